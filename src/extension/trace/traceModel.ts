import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef, TracePanelState } from '../../shared/tracePanelProtocol.ts';
import { defaultToken } from '../../shared/traceSelection.ts';
import type { EnginePort } from '../engineClient.ts';
import type { PromptSession } from '../promptLanguage/promptSession.ts';
import { traceKey } from '../promptLanguage/traceStore.ts';

/** Columns of the lens that are asked for at once, and the most that are asked for. */
const lensChunk = 64;
const mostLensPositions = 1024;

function sentence(error: unknown): string {
  if (error instanceof MechanistError && error.code !== 'internal') return error.message;
  const text = error instanceof Error ? error.message : String(error);
  return `Something unexpected went wrong: ${text.split('\n', 1)[0]}. Show Log has more.`;
}

function joinLens(before: LensTable | null, after: LensTable): LensTable {
  if (!before) return after;
  return {
    rows: after.rows,
    positions: [...before.positions, ...after.positions],
    values: after.values.map((row, i) => [...(before.values[i] ?? []), ...row]),
    top: after.top.map((row, i) => [...(before.top[i] ?? []), ...row]),
  };
}

/**
 * What a trace panel shows, without vscode: runs trace, lens and head detail for one question, cancels them when the
 * question or the selection changes, and posts whole states.
 */
export class TraceModel {
  readonly #port: EnginePort;
  readonly #post: (state: TracePanelState) => void;
  readonly #log: (line: string) => void;
  #state: TracePanelState;
  #request: TraceRequest | null = null;
  #declined: string | null = null;
  #run: AbortController | null = null;
  #headRun: AbortController | null = null;

  constructor(port: EnginePort, title: string, post: (state: TracePanelState) => void, log: (line: string) => void) {
    this.#port = port;
    this.#post = post;
    this.#log = log;
    this.#state = {
      title,
      status: 'loading',
      progress: null,
      error: null,
      document: null,
      lens: null,
      lensError: null,
      head: null,
      headError: null,
      selection: { token: null, component: null },
    };
  }

  get state(): TracePanelState {
    return this.#state;
  }

  /** The question whose answer is shown or on its way. */
  get request(): TraceRequest | null {
    return this.#request;
  }

  /** Whether the person pressed Cancel on this very question: it is asked again only when they say so. */
  hasDeclined(request: TraceRequest): boolean {
    return this.#declined === traceKey(request);
  }

  /** The state once more, for a page that was made anew. */
  repost(): void {
    this.#post(this.#state);
  }

  update(change: Partial<TracePanelState>): void {
    this.#state = { ...this.#state, ...change };
    this.#post(this.#state);
  }

  /** Answers a question; the figure of the one before stays until then, and can be cancelled like a first one. */
  async run(session: PromptSession, request: TraceRequest): Promise<void> {
    this.cancel();
    const controller = new AbortController();
    this.#run = controller;
    this.#request = request;
    this.#declined = null;
    this.update({ status: 'loading', progress: null, error: null });
    try {
      const document = await session.trace(request, controller.signal, (progress) => {
        if (this.#run === controller) this.update({ progress });
      });
      if (this.#run !== controller) return;
      this.#adopt(document);
      await Promise.all([this.#runLens(request, document, controller.signal), this.#runHead()]);
    } catch (error) {
      if (this.#run === controller) this.#failed(error);
    }
  }

  /** Says why there is nothing to show (yet). */
  refuse(message: string): void {
    this.cancel();
    this.#request = null;
    this.update({ status: 'error', error: message, progress: null });
  }

  /** Stops what is running. The figure that is there stays. */
  cancel(): void {
    this.#run?.abort();
    this.#headRun?.abort();
    this.#run = null;
    this.#headRun = null;
  }

  /** The person pressed Cancel: what is there stays and says that it is old; else the panel offers to run again. */
  cancelled(): void {
    this.cancel();
    this.#declined = this.#request && traceKey(this.#request);
    this.#request = null;
    if (this.#state.document) this.update({ status: 'stale', progress: null });
    else this.update({ status: 'empty', progress: null });
  }

  select(selection: { token?: number | null; component?: ComponentRef | null }): void {
    this.update({ selection: { ...this.#state.selection, ...selection } });
    void this.#runHead();
  }

  dispose(): void {
    this.cancel();
  }

  #adopt(document: TraceDocument): void {
    const { token } = this.#state.selection;
    const selection = {
      ...this.#state.selection,
      token: token !== null && token < document.tokens.length ? token : null,
    };
    this.update({
      status: 'ready',
      document,
      selection,
      progress: null,
      error: null,
      lens: null,
      lensError: null,
      head: null,
      headError: null,
    });
  }

  async #runLens(request: TraceRequest, document: TraceDocument, signal: AbortSignal): Promise<void> {
    const total = Math.min(document.tokens.length, mostLensPositions);
    let lens: LensTable | null = null;
    try {
      for (let start = 0; start < total; start += lensChunk) {
        const positions = Array.from({ length: Math.min(lensChunk, total - start) }, (_, i) => start + i);
        lens = joinLens(lens, await this.#port.request('lens', { request, positions }, { signal }));
        if (signal.aborted) return;
        this.update({ lens });
      }
    } catch (error) {
      if (signal.aborted || isCancelled(error)) return;
      this.#log(`logit lens failed: ${String(error)}`);
      this.update({ lensError: sentence(error) });
    }
  }

  async #runHead(): Promise<void> {
    this.#headRun?.abort();
    this.#headRun = null;
    const { document, selection, head } = this.#state;
    const { component } = selection;
    const request = this.#request;
    if (!document || !request || component?.kind !== 'head' || component.head === undefined) {
      if (head || this.#state.headError) this.update({ head: null, headError: null });
      return;
    }
    const source = selection.token ?? defaultToken(document) ?? 0;
    const question = { request, layer: component.layer, head: component.head, source };
    if (head?.layer === question.layer && head.head === question.head && head.ov.source === source) return;
    const controller = new AbortController();
    this.#headRun = controller;
    // The same head from another token keeps its pattern on screen until the new detail is there.
    const sameHead = head?.layer === question.layer && head.head === question.head;
    if ((head && !sameHead) || this.#state.headError) this.update({ head: sameHead ? head : null, headError: null });
    try {
      const detail = await this.#port.request('head', question, { signal: controller.signal });
      if (this.#headRun === controller) this.update({ head: detail });
    } catch (error) {
      if (this.#headRun !== controller || isCancelled(error)) return;
      this.#log(`head detail failed: ${String(error)}`);
      this.update({ headError: sentence(error) });
    }
  }

  #failed(error: unknown): void {
    this.#request = null;
    if (isCancelled(error)) return;
    this.#log(`trace failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    this.update({ status: 'error', error: sentence(error), progress: null });
  }
}
