import { randomUUID } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { readCircuit } from '../../core/circuits/circuitFile.ts';
import { resolveModelName } from '../../core/tasks/modelName.ts';
import type { CircuitFile } from '../../shared/circuit.ts';
import {
  type CircuitFault,
  type CircuitPanelState,
  emptyCircuitPanel,
  type PanelMetric,
} from '../../shared/circuitPanelProtocol.ts';
import type {
  CircuitNotifications,
  CircuitQuestion,
  ForeignFormat,
  ScoredCircuit,
} from '../../shared/circuitRequests.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { NotifyingPort } from '../engineClient.ts';

/** Seed of everything that is drawn in the panel; a circuit's provenance may name its own. */
const SEED = 0;

function sentence(error: unknown): string {
  if (error instanceof MechanistError && error.code !== 'internal') return error.message;
  const text = error instanceof Error ? error.message : String(error);
  return `Something unexpected went wrong: ${text.split('\n', 1)[0]}. Show Log has more.`;
}

/** Line and column of an offset, from 1. */
function placeOf(text: string, offset: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}

/** Whether a text is a graph as EAP-IG writes it. */
function isEapIg(text: string): boolean {
  if (!/^\s*\{/.test(text)) return false;
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
    return value.cfg !== undefined && value.nodes !== undefined && value.edges !== undefined;
  } catch {
    return false;
  }
}

/** What model and data are opened for: roles and names of nodes do not matter. */
function settingKey({ model, data }: CircuitFile): string {
  return JSON.stringify([model, data]);
}

/** What numbers depend on: not what nodes are called, nor how they are grouped. */
function numbersKey(circuit: CircuitFile): string {
  const nodes = circuit.nodes.map(({ node, at }) => [node, at]);
  return JSON.stringify([settingKey(circuit), circuit.scope, circuit.ablation, nodes, circuit.edges]);
}

/**
 * What a circuit panel shows, without vscode: reads the file's text, opens model and data, asks for numbers after each
 * change, drops older questions, and posts whole states. Old numbers stay until new ones come.
 */
export class CircuitModel {
  #state: CircuitPanelState;
  #text = '';
  #path: string;
  /** The person said to go on with these other weights. */
  #goOn: string | null = null;
  #selected: { readonly node: string; readonly answer: number | 'all' } | null = null;
  #opening: AbortController | null = null;
  #scoring: AbortController | null = null;
  #reading: AbortController | null = null;

  constructor(
    private readonly port: NotifyingPort,
    title: string,
    path: string,
    private readonly post: (state: CircuitPanelState) => void,
    private readonly log: (line: string) => void,
  ) {
    this.#state = { ...emptyCircuitPanel, title };
    this.#path = path;
  }

  get state(): CircuitPanelState {
    return this.#state;
  }

  /** The state once more, for a page that was made anew. */
  repost(): void {
    this.post(this.#state);
  }

  #update(change: Partial<CircuitPanelState>): void {
    this.#state = { ...this.#state, ...change };
    this.post(this.#state);
  }

  /** Scores answers another way. */
  async setMetric(metric: PanelMetric): Promise<void> {
    const { circuit } = this.#state;
    this.#update({ metric });
    if (circuit !== null) await this.#score(circuit);
  }

  /** Takes the file's text, as it is in the editor. What cannot be read leaves the last good circuit in sight. */
  async show(text: string): Promise<void> {
    this.#text = text;
    const before = this.#state.circuit;
    const { circuit, faults } = this.#read(text);
    const foreign = circuit === null && isEapIg(text);
    if (circuit === null) {
      this.#update({ faults: foreign ? [] : faults, foreign });
      return;
    }
    this.#update({ circuit, faults, foreign });
    if (before === null || settingKey(before) !== settingKey(circuit)) await this.#open(circuit);
    else if (numbersKey(before) !== numbersKey(circuit)) await this.#score(circuit);
    else if (this.#state.evaluation) this.#update({ evaluation: { ...this.#state.evaluation, circuit } });
  }

  #read(text: string): { readonly circuit: CircuitFile | null; readonly faults: readonly CircuitFault[] } {
    const { setting } = this.#state;
    const sizes = setting && { ...setting, dMlp: Number.POSITIVE_INFINITY, label: setting.modelLabel, hash: null };
    const { circuit, problems } = readCircuit(text, sizes);
    const faults = problems.map(({ start, severity, message }) => ({
      ...placeOf(text, start),
      severity,
      // The page says the place itself.
      message: message.replace(/ \(line \d+, column \d+\)$/, ''),
    }));
    return { circuit, faults };
  }

  /** The circuit as other tools read it; null while there is none. */
  async convert(to: ForeignFormat): Promise<string | null> {
    const { circuit } = this.#state;
    const question = circuit && this.#question(circuit);
    return question ? await this.port.request('circuit.convert', { question, to }) : null;
  }

  /** Asks again for everything: after an error, or when the model's file changed. */
  async retry(): Promise<void> {
    const { circuit } = this.#state;
    if (circuit) await this.#open(circuit);
  }

  /** Uses the circuit on other weights than those it was made with. */
  async goOn(): Promise<void> {
    this.#goOn = this.#state.setting?.modelHash ?? null;
    this.#update({ otherModel: null });
    const { circuit } = this.#state;
    if (circuit) await this.#score(circuit);
  }

  /** Stops what is computed; what has come stays. */
  cancel(): void {
    this.#scoring?.abort();
  }

  /** Drops every open question, without a word. */
  dispose(): void {
    const running = [this.#opening, this.#scoring, this.#reading];
    // What ends now is nobody's question any more.
    this.#opening = this.#scoring = this.#reading = null;
    for (const controller of running) controller?.abort();
  }

  #question(circuit: CircuitFile): CircuitQuestion | null {
    const { data, model } = circuit;
    if (data === undefined) return null;
    const folder = dirname(this.#path);
    const rows = data.rows === undefined ? {} : { rows: data.rows };
    return {
      model: resolveModelName(model.ref, folder),
      data: { path: resolve(folder, data.path), ...rows },
      circuit,
      seed: SEED,
      ...(this.#state.metric !== null && { metric: this.#state.metric }),
    };
  }

  async #open(circuit: CircuitFile): Promise<void> {
    const question = this.#question(circuit);
    this.dispose();
    this.#update({ setting: null, evaluation: null, reads: [], gains: [], detail: null, error: null, progress: null });
    if (question === null) return;
    const controller = new AbortController();
    this.#opening = controller;
    try {
      const { setting, reads } = await this.port.request('circuit.open', question, {
        signal: controller.signal,
        onProgress: (progress) => this.#opening === controller && this.#update({ progress }),
      });
      if (this.#opening !== controller) return;
      const expected = circuit.model.hash;
      const other = expected !== undefined && expected !== setting.modelHash && this.#goOn !== setting.modelHash;
      const otherModel = other ? { expected, found: setting.modelHash } : null;
      // What was chosen for other data may not be possible with these.
      const { metric } = this.#state;
      const possible = metric !== null && setting.metrics.includes(metric) ? metric : null;
      this.#update({ setting, reads, otherModel, metric: possible, progress: null });
      // Nodes that this model does not have can only be told now.
      const read = this.#read(this.#text);
      this.#update({ faults: read.faults });
      if (!other && read.circuit !== null) await this.#score(read.circuit);
    } catch (error) {
      if (this.#opening === controller) this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (isCancelled(error)) {
      const { freshness, evaluation } = this.#state;
      const which = evaluation !== null && freshness === 'old' ? ' The numbers are those before the last change.' : '';
      this.#update({ progress: null, error: `Stopped.${which}` });
      return;
    }
    this.log(`circuit: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    this.#update({ progress: null, error: sentence(error) });
  }

  async #score(circuit: CircuitFile): Promise<void> {
    const question = this.#question(circuit);
    this.#scoring?.abort();
    if (question === null || this.#state.setting === null || this.#state.otherModel !== null) return;
    const controller = new AbortController();
    this.#scoring = controller;
    const token = randomUUID();
    this.#update({ freshness: 'old', error: null });
    const take = ({ evaluation, gains }: ScoredCircuit, done: boolean): void => {
      if (this.#scoring !== controller) return;
      // Names and roles may have changed since the question was asked.
      const named = this.#state.circuit ?? circuit;
      const kept = numbersKey(named) === numbersKey(circuit) ? named : circuit;
      const gained = gains.length > 0 || done ? { gains } : {};
      this.#update({ evaluation: { ...evaluation, circuit: kept }, ...gained, freshness: done ? 'fresh' : 'filling' });
    };
    const listening = this.port.onNotification((name, params) => {
      if (name !== 'circuit.scored') return;
      const scored = params as CircuitNotifications['circuit.scored'];
      if (scored.token === token) take(scored.scored, false);
    });
    try {
      const scored = await this.port.request(
        'circuit.evaluate',
        { question, token },
        {
          signal: controller.signal,
          onProgress: (progress) => this.#scoring === controller && this.#update({ progress }),
        },
      );
      take(scored, true);
      if (this.#scoring === controller) this.#update({ progress: null });
      if (this.#scoring === controller) await this.#lookAgain(question);
    } catch (error) {
      if (this.#scoring === controller) this.#failed(error);
    } finally {
      listening.dispose();
    }
  }

  /** Where new heads attend: asked after the numbers, which matter more. */
  async #lookAgain(question: CircuitQuestion): Promise<void> {
    const known = new Set(this.#state.reads.map(({ node }) => node));
    if (question.circuit.nodes.every(({ node }) => known.has(node))) return;
    const { reads } = await this.port.request('circuit.open', question, {});
    this.#update({ reads });
  }

  /** Reads where a head looks and what its OV circuit copies. */
  async select(node: string | null, answer: number | 'all'): Promise<void> {
    const { circuit, setting, detail } = this.#state;
    const question = circuit && this.#question(circuit);
    if (node === null || !question || setting === null) return;
    const same = this.#selected?.node === node && this.#selected.answer === answer;
    if (same && detail?.node === node && detail.error === null) return;
    this.#selected = { node, answer };
    this.#reading?.abort();
    const controller = new AbortController();
    this.#reading = controller;
    const name = answer === 'all' ? null : (setting.answers[answer]?.name ?? null);
    if (detail?.node !== node) this.#update({ detail: { node, pictures: null, error: null } });
    try {
      const options = { signal: controller.signal };
      const pictures = await this.port.request('circuit.detail', { question, node, answer: name }, options);
      if (this.#reading === controller) this.#update({ detail: { node, pictures, error: null } });
    } catch (error) {
      if (this.#reading !== controller || isCancelled(error)) return;
      this.log(`circuit detail: ${String(error)}`);
      this.#update({ detail: { node, pictures: null, error: sentence(error) } });
    }
  }
}
