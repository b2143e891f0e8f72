import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { CircuitColumn, CircuitSetting, PanelMetric } from '../../shared/circuitPanelProtocol.ts';
import type { CircuitQuestion, CircuitRequests, OpenedCircuit, ScoredCircuit } from '../../shared/circuitRequests.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { Picture, SimplePicture } from '../../shared/figures.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import type { AnalysisEngine } from '../analyses/analysisEngine.ts';
import { circuitToAttributionGraph, graphExample } from '../circuits/attributionGraph.ts';
import { circuitToText } from '../circuits/circuitFile.ts';
import { circuitToEapIg, readEapIg } from '../circuits/eapIgJson.ts';
import { keptEvaluator } from '../circuits/keptEvaluator.ts';
import { type KeptEnds, PanelEvaluation } from '../circuits/panelEvaluation.ts';
import { whereHeadsLook } from '../circuits/whereHeadsLook.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { stepKinds } from '../experiments/stepKinds.ts';
import { loadTaskSet } from '../tasks/loadTaskSet.ts';

/** Tokens of the OV matrix that a panel can show. */
const MOST_TOKENS = 40;

interface OpenTask {
  readonly engine: AnalysisEngine;
  readonly key: string;
  readonly task: TaskSet;
  /** Fixed while the data are open: another limit would mean other clean runs. */
  readonly memoryBytes: number;
}

function columnsOf({ tokens, roles }: TaskItem): CircuitColumn[] {
  const roleAt = (position: number) => Object.entries(roles).find(([, at]) => at.includes(position))?.[0] ?? null;
  return tokens.map((token, position) => ({ position, token, role: roleAt(position) }));
}

function settingOf({ model }: AnalysisEngine, task: TaskSet): CircuitSetting {
  const [example] = task.items;
  return {
    modelLabel: model.info.label,
    modelHash: model.info.hash ?? '',
    nLayers: model.config.nLayers,
    nHeads: model.config.nHeads,
    parallelResidual: model.config.parallelResidual,
    columns: columnsOf(example),
    roles: task.roles,
    corruptions: task.corruptions,
    metrics: metricsOf(task),
    answers: example.answers.map(({ name, position }) => ({ name, position })),
    rows: task.items.length,
    refused: task.refused,
  };
}

/** A logit difference where the answers have foils, to their mean where they have several; and ln p. */
function metricsOf({ items }: TaskSet): readonly PanelMetric[] {
  const counts = items.flatMap(({ answers }) => answers.map(({ foils }) => foils.length));
  if (counts.includes(0)) return ['log-prob'];
  return counts.every((count) => count === 1) ? ['max', 'log-prob'] : ['max', 'mean', 'log-prob'];
}

/** What was chosen, where the data allow it. */
function metricOf(task: TaskSet, chosen: PanelMetric | undefined): MetricSpec {
  const metrics = metricsOf(task);
  const metric = chosen !== undefined && metrics.includes(chosen) ? chosen : metrics[0];
  return metric === 'log-prob' ? { kind: metric } : { kind: 'logit-difference', foil: metric };
}

/** Answers and foils of the data, most frequent first: the tokens whose copying matters here. */
function namedTokens({ items }: TaskSet): number[] {
  const counts = new Map<number, number>();
  for (const { answers } of items)
    for (const { answer, foils } of answers)
      for (const id of [answer, ...foils]) counts.set(id, (counts.get(id) ?? 0) + 1);
  const most = [...counts].sort((a, b) => b[1] - a[1]).slice(0, MOST_TOKENS);
  return most.map(([id]) => id).sort((a, b) => a - b);
}

/** Names of the two spellings of the answers in a figure. */
const READ = 'other spelling';
const WRITTEN = 'answers';

/**
 * The OV circuit on the answers and, as words in a prompt often have another spelling than where they are predicted, on the
 * same with the leading space put in or left out. Nothing to ask where the answers are fewer than two.
 */
function ovQuestion(engine: AnalysisEngine, task: TaskSet, node: string) {
  const answers = namedTokens(task);
  if (answers.length < 2) return [];
  const texts = answers.map((id) => engine.model.tokenizer.tokenText(id));
  const others = engine.checkTerms(texts.map((text) => (text.startsWith(' ') ? text.slice(1) : ` ${text}`)));
  const read = others.flatMap(({ pieces }) => (pieces.length === 1 ? [pieces[0].id] : []));
  const sets = { [WRITTEN]: answers, ...(read.length > 1 && { [READ]: read }) };
  return [['ov-circuit', { heads: [node], sets }] as const];
}

/** What the circuit panel asks of open models. Keeps the data and the clean runs of the last question. */
export class CircuitDesk {
  #open: OpenTask | null = null;
  readonly #ends: KeptEnds = { of: null, full: null, empty: null };

  /** Model and data of a circuit. Cost: one forward pass of at most 64 rows. @throws MechanistError `bad-input` */
  async open(
    engine: AnalysisEngine,
    question: CircuitQuestion,
    memoryBytes: number,
    context: ClimbContext,
  ): Promise<OpenedCircuit> {
    const { task } = await this.#task(engine, question, memoryBytes, context);
    const reads = await whereHeadsLook(engine.runner, task, question.circuit, context);
    return { setting: settingOf(engine, task), reads };
  }

  /** @throws MechanistError `bad-input`: the data cannot be read, or a node or corruption is not there */
  async evaluate(
    engine: AnalysisEngine,
    question: CircuitQuestion,
    memoryBytes: number,
    onScored: (scored: ScoredCircuit) => void,
    context: ClimbContext,
  ): Promise<ScoredCircuit> {
    const open = await this.#task(engine, question, memoryBytes, context);
    const { circuit, seed } = question;
    const evaluator = await keptEvaluator(engine.runner, open.task, optionsOf(question, open), context);
    return await new PanelEvaluation(engine.about, evaluator, circuit, seed, context, onScored).run(this.#ends);
  }

  /** Attention by role and OV circuit of a head. Cost: one forward pass of the data, up to its layer. */
  async detail(
    engine: AnalysisEngine,
    { question, node, answer }: CircuitRequests['circuit.detail']['params'],
    memoryBytes: number,
    context: ClimbContext,
  ): Promise<readonly SimplePicture[]> {
    if (!/^L\d+\.H\d+$/.test(node)) return [];
    const { task } = await this.#task(engine, question, memoryBytes, context);
    const on = { task, memoryBytes, seed: question.seed, circuit: () => question.circuit };
    const asked: readonly (readonly [kind: string, params: Readonly<Record<string, unknown>>])[] = [
      ['attention-by-role', { heads: [node], ...(answer !== null && { answers: [answer] }) }],
      ...ovQuestion(engine, task, node),
    ];
    const pictures: SimplePicture[] = [];
    for (const [name, params] of asked) {
      const kind = stepKinds.find((one) => one.name === name);
      if (kind === undefined) continue;
      const found = (await engine.step(kind, params, on, context)).pictures;
      // Of the matrices, what is written of the answers for what stands in the prompt.
      const most = found.some(({ id }) => id.endsWith(`${READ}>${WRITTEN}`)) ? `${READ}>${WRITTEN}` : '';
      const wanted = (picture: Picture): picture is SimplePicture =>
        picture.type !== 'coupling' && (picture.type !== 'matrix' || picture.id.endsWith(most));
      pictures.push(...found.filter(wanted));
    }
    return pictures;
  }

  /** The circuit as other tools read it. Cost: one forward pass of a row, for a graph's answer. */
  async convert(
    engine: AnalysisEngine,
    { question, to }: CircuitRequests['circuit.convert']['params'],
    memoryBytes: number,
    context: ClimbContext,
  ): Promise<string> {
    const { model, runner } = engine;
    const { circuit } = question;
    if (to === 'eap-ig') return circuitToEapIg(circuit, model.config);
    const { task } = await this.#task(engine, question, memoryBytes, context);
    const example = await graphExample(runner, task.items[0], (id) => model.tokenizer.tokenText(id));
    const about = { model: model.info.label, version: engine.about.version };
    return circuitToAttributionGraph(circuit, model.config, example, about);
  }

  async #task(
    engine: AnalysisEngine,
    { data, seed }: CircuitQuestion,
    memoryBytes: number,
    { signal }: ClimbContext,
  ): Promise<OpenTask> {
    try {
      const { mtimeMs, size } = await stat(data.path);
      const key = JSON.stringify([data, mtimeMs, size, seed]);
      if (this.#open?.engine === engine && this.#open.key === key) return this.#open;
      const lines = createReadStream(data.path, 'utf8');
      const source = { name: basename(data.path), lines };
      const { tokenizer, config } = engine.model;
      try {
        const task = await loadTaskSet(source, tokenizer, config.nCtx, { rows: data.rows, seed, signal });
        this.#open = { engine, key, task, memoryBytes };
        return this.#open;
      } finally {
        lines.destroy();
      }
    } catch (error) {
      if (error instanceof MechanistError || isCancelled(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new MechanistError('bad-input', `The data cannot be read: ${reason}`);
    }
  }
}

/**
 * Turns a graph of EAP-IG into the text of a circuit file. No forward passes.
 * @throws MechanistError `bad-input` with the first thing that is wrong, and where
 */
export function importEapIg(
  engine: AnalysisEngine,
  { model, name, text }: CircuitRequests['circuit.import']['params'],
): string {
  const { config, info } = engine.model;
  const own = { ref: model, ...(info.hash && { hash: info.hash }) };
  const { circuit, problems } = readEapIg(text, config, { name, model: own });
  if (circuit !== null) return circuitToText(circuit);
  const [first] = problems;
  const line = text.slice(0, first?.start ?? 0).split('\n').length;
  throw new MechanistError('bad-input', `Line ${line} of the graph: ${first?.message ?? 'it holds no circuit.'}`);
}

function optionsOf({ circuit: { scope, ablation }, seed, metric }: CircuitQuestion, { task, memoryBytes }: OpenTask) {
  return { scope, ablation, metric: metricOf(task, metric), memoryBytes, seed };
}
