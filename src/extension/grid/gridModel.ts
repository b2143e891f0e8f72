import { randomUUID } from 'node:crypto';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import { cellsOf, headOfCell, withCells } from '../../shared/gridCells.ts';
import type { GridDocument, GridNotifications, GridRequest } from '../../shared/gridDocument.ts';
import type { GridCompared, GridPanelState, GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { NotifyingPort } from '../engineClient.ts';

function sentence(error: unknown): string {
  if (error instanceof MechanistError && error.code !== 'internal') return error.message;
  const text = error instanceof Error ? error.message : String(error);
  return `Something unexpected went wrong: ${text.split('\n', 1)[0]}. Show Log has more.`;
}

interface Run {
  readonly controller: AbortController;
  readonly token: string;
  /** When the first cells of this run came, and how many there are since. */
  first: number | null;
  cells: number;
}

const idle: Omit<GridPanelState, 'title'> = {
  status: 'empty',
  progress: null,
  pace: null,
  error: null,
  document: null,
  stale: false,
  canResume: false,
  canRunAgain: false,
  saved: null,
  compared: null,
  head: null,
  marked: [],
};

/**
 * What a heat-map panel shows, without vscode: runs a sweep, takes its cells as they come, keeps what is done when it is
 * cancelled or the engine dies, resumes it, and posts whole states.
 */
export class GridModel {
  readonly #port: NotifyingPort;
  readonly #post: (state: GridPanelState) => void;
  readonly #log: (line: string) => void;
  #state: GridPanelState;
  #run: Run | null = null;
  #headRun: AbortController | null = null;

  constructor(port: NotifyingPort, title: string, post: (state: GridPanelState) => void, log: (line: string) => void) {
    this.#port = port;
    this.#post = post;
    this.#log = log;
    this.#state = { ...idle, title };
  }

  get state(): GridPanelState {
    return this.#state;
  }

  update(change: Partial<GridPanelState>): void {
    this.#state = { ...this.#state, ...change };
    this.#post(this.#state);
  }

  /** The state once more, for a page that was made anew. */
  repost(): void {
    this.#post(this.#state);
  }

  /** Shows a document that was read from a file. */
  show(document: GridDocument, saved: string): void {
    this.#stop();
    const status = document.complete ? 'ready' : 'partial';
    this.update({ status, document, saved, error: null, progress: null, pace: null, canResume: !document.complete });
  }

  /** Says why there is nothing to show. What was there stays. */
  fail(message: string): void {
    this.#stop();
    this.update({ status: 'error', error: message, progress: null });
  }

  /** Asks anew; what was there before goes. */
  run(request: GridRequest): Promise<void> {
    this.update({ document: null, head: null, saved: null, stale: false });
    return this.#go(request, undefined);
  }

  /** Goes on with the cells that are missing. */
  async resume(): Promise<void> {
    const { document } = this.#state;
    if (document && !document.complete) await this.#go(document.request, document);
  }

  /** Stops the run; its cells stay. */
  cancel(): void {
    this.#run?.controller.abort();
  }

  compare(compared: GridCompared | null): void {
    this.update({ compared });
  }

  /** Reads where the head at a cell looks, on one item. Cells that are no heads have nothing to read. */
  async select(place: GridPlace, item: number): Promise<void> {
    const { document, head } = this.#state;
    const prompt = document?.items[item];
    const own = document && headOfCell(document, place.row, place.column);
    if (!document || !prompt || !own) return;
    if (head?.place.row === place.row && head.place.column === place.column && head.item === item && head.detail)
      return;
    this.#headRun?.abort();
    const controller = new AbortController();
    this.#headRun = controller;
    this.update({ head: { place, item, detail: null, error: null } });
    const source = Math.max(0, prompt.tokens.length - 1);
    const request = { model: document.request.model, prompt: prompt.prompt, method: 'direct' as const };
    const question = { request, ...own, source };
    try {
      const detail = await this.#port.request('head', question, { signal: controller.signal });
      if (this.#headRun === controller) this.update({ head: { place, item, detail, error: null } });
    } catch (error) {
      if (this.#headRun !== controller || isCancelled(error)) return;
      this.#log(`head detail failed: ${String(error)}`);
      this.update({ head: { place, item, detail: null, error: sentence(error) } });
    }
  }

  dispose(): void {
    this.#stop();
    this.#headRun?.abort();
    this.#headRun = null;
  }

  #stop(): void {
    this.#run?.controller.abort();
    this.#run = null;
  }

  async #go(request: GridRequest, resume: GridDocument | undefined): Promise<void> {
    this.#stop();
    const run: Run = { controller: new AbortController(), token: randomUUID(), first: null, cells: 0 };
    this.#run = run;
    const status = resume ? 'running' : 'loading';
    this.update({ status, progress: null, pace: null, error: null, canResume: false });
    const listening = this.#port.onNotification((name, params) => {
      if (this.#run === run) this.#notified(run, name, params);
    });
    try {
      const options = {
        signal: run.controller.signal,
        onProgress: (progress: GridPanelState['progress']) => {
          if (this.#run === run) this.update({ progress });
        },
      };
      const params = { request, token: run.token, ...(resume && { resume }) };
      const document = await this.#port.request('grid', params, options);
      if (this.#run === run) this.#finished(document);
    } catch (error) {
      if (this.#run === run) this.#ended(error);
    } finally {
      listening.dispose();
      if (this.#run === run) this.#run = null;
    }
  }

  #notified(run: Run, name: string, params: unknown): void {
    if (name === 'grid.started') {
      const { token, document } = params as GridNotifications['grid.started'];
      if (token !== run.token) return;
      // A run that was started again, with another engine process, brings the same numbers: what is done stays.
      const kept = this.#state.document ? cellsOf(this.#state.document) : [];
      this.update({ status: 'running', document: withCells(document, kept) });
    }
    if (name === 'grid.cells') {
      const { token, cells } = params as GridNotifications['grid.cells'];
      const { document } = this.#state;
      if (token !== run.token || !document) return;
      const now = Date.now();
      // The first cells say nothing of the pace: nobody knows when they were begun.
      const pace = run.first === null ? null : { milliseconds: now - run.first, cells: run.cells + cells.length };
      run.cells = pace?.cells ?? 0;
      run.first ??= now;
      this.update({ document: withCells(document, cells), pace, saved: null });
    }
  }

  #finished(document: GridDocument): void {
    const status = document.complete ? 'ready' : 'partial';
    this.update({ status, document, progress: null, pace: null, saved: null, canResume: !document.complete });
  }

  #ended(error: unknown): void {
    const { document } = this.#state;
    const quiet = isCancelled(error);
    if (!quiet) this.#log(`sweep failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    const stopped = error instanceof MechanistError && error.code === 'engine-stopped';
    const kept = document && stopped ? ' What was done is kept; Resume goes on with the rest.' : '';
    this.update({
      // A screened sweep may be stopped with an estimate in every cell: there is nothing left to resume.
      status: document ? (document.complete ? 'ready' : 'partial') : quiet ? 'empty' : 'error',
      error: quiet ? null : `${sentence(error)}${kept}`,
      progress: null,
      pace: null,
      canResume: document !== null && !document.complete,
    });
  }
}
