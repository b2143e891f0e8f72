import { describe, expect, it } from 'vitest';
import type { NotifyingPort } from '../../../src/extension/engineClient.ts';
import { GridModel } from '../../../src/extension/grid/gridModel.ts';
import type { EngineRequests } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import { doneCount, withCells } from '../../../src/shared/gridCells.ts';
import type { GridDocument } from '../../../src/shared/gridDocument.ts';
import type { GridPanelState } from '../../../src/shared/gridPanelProtocol.ts';
import type { RequestOptions } from '../../../src/shared/rpc.ts';
import { emptyGrid, makeCells, makeGrid } from '../../support/gridFixture.ts';
import { settle } from './fakeEngine.ts';

const empty = emptyGrid({ nLayers: 4, nHeads: 3, n: 2 });
const cells = makeCells(empty);
const whole = withCells(empty, cells);

/** An engine whose sweep goes on when the test says so. */
class SweepEngine implements NotifyingPort {
  readonly asked: { method: string; params: unknown }[] = [];
  #listeners = new Set<(name: string, params: unknown) => void>();
  #answers: { resolve: (document: unknown) => void; reject: (error: unknown) => void }[] = [];

  onNotification(listener: (name: string, params: unknown) => void) {
    this.#listeners.add(listener);
    return { dispose: () => this.#listeners.delete(listener) };
  }

  get listening(): number {
    return this.#listeners.size;
  }

  request<K extends keyof EngineRequests>(
    method: K,
    params: EngineRequests[K]['params'],
    options: RequestOptions = {},
  ) {
    this.asked.push({ method, params });
    return new Promise<EngineRequests[K]['result']>((resolve, reject) => {
      this.#answers.push({ resolve: resolve as (document: unknown) => void, reject });
      options.signal?.addEventListener('abort', () => reject(new MechanistError('cancelled', 'Cancelled.')));
    });
  }

  get token(): string {
    const { token } = (this.asked.at(-1)?.params ?? {}) as { token?: string };
    return token ?? '';
  }

  tell(name: string, params: object): void {
    for (const listener of [...this.#listeners]) listener(name, params);
  }

  started(document: GridDocument = empty, token = this.token): void {
    this.tell('grid.started', { token, document });
  }

  cells(from: number, to: number, token = this.token): void {
    this.tell('grid.cells', { token, cells: cells.slice(from, to) });
  }

  answer(document: unknown): void {
    this.#answers.at(-1)?.resolve(document);
  }

  fail(error: unknown): void {
    this.#answers.at(-1)?.reject(error);
  }
}

function setup() {
  const engine = new SweepEngine();
  const posted: GridPanelState[] = [];
  const model = new GridModel(
    engine,
    'a.prompt',
    (state) => posted.push(state),
    () => undefined,
  );
  return { engine, model, posted };
}

const stopped = new MechanistError('engine-stopped', 'The engine stopped.');

describe('a sweep', () => {
  it('fills as cells come and ends with the document of the engine', async () => {
    const { engine, model, posted } = setup();
    const run = model.run(empty.request);
    expect(model.state.status).toBe('loading');
    engine.started();
    engine.cells(0, 5);
    engine.cells(5, 9);
    expect(model.state.status).toBe('running');
    expect(posted.map(({ document }) => document && doneCount(document)).filter((n) => n !== null)).toEqual([0, 5, 9]);
    expect(model.state.pace?.cells).toBe(4);
    engine.answer(whole);
    await run;
    expect(model.state).toMatchObject({ status: 'ready', document: whole, canResume: false, pace: null });
    expect(engine.listening).toBe(0);
  });

  it('does not listen to other sweeps', async () => {
    const { engine, model } = setup();
    void model.run(empty.request);
    engine.started();
    engine.cells(0, 5, 'another');
    expect(model.state.document && doneCount(model.state.document)).toBe(0);
  });

  it('keeps what is done when it is cancelled, without an error', async () => {
    const { engine, model } = setup();
    const run = model.run(empty.request);
    engine.started();
    engine.cells(0, 5);
    model.cancel();
    await run;
    expect(model.state).toMatchObject({ status: 'partial', error: null, canResume: true });
    expect(model.state.document && doneCount(model.state.document)).toBe(5);
  });

  it('cancelled before it began leaves an offer to run', async () => {
    const { model } = setup();
    const run = model.run(empty.request);
    model.cancel();
    await run;
    expect(model.state).toMatchObject({ status: 'empty', error: null, document: null });
  });

  it('keeps what is done when the engine dies, says so, and resumes with it', async () => {
    const { engine, model } = setup();
    const run = model.run(empty.request);
    engine.started();
    engine.cells(0, 5);
    engine.fail(stopped);
    await run;
    expect(model.state).toMatchObject({ status: 'partial', canResume: true });
    expect(model.state.error).toMatch(/What was done is kept; Resume/);
    const kept = model.state.document;
    const again = model.resume();
    expect(engine.asked.at(-1)?.params).toMatchObject({ request: empty.request, resume: kept });
    expect(model.state).toMatchObject({ status: 'running', error: null });
    engine.started(kept ?? empty);
    engine.cells(5, 12);
    engine.answer(model.state.document);
    await again;
    expect(model.state.status).toBe('ready');
    expect(model.state.document?.values).toEqual(whole.values);
  });

  it('keeps its cells when another engine process begins it anew', () => {
    const { engine, model } = setup();
    void model.run(empty.request);
    engine.started();
    engine.cells(0, 7);
    engine.started();
    expect(model.state.document && doneCount(model.state.document)).toBe(7);
  });

  it('that is refused says why; nothing unexpected is shown raw', async () => {
    const { engine, model } = setup();
    const run = model.run(empty.request);
    engine.fail(new MechanistError('bad-input', 'The prompts part at position 3.'));
    await run;
    expect(model.state).toMatchObject({ status: 'error', error: 'The prompts part at position 3.', canResume: false });
    const next = model.run(empty.request);
    engine.fail(new Error('x is undefined\n    at foo (bar.js:1:1)'));
    await next;
    expect(model.state.error).not.toMatch(/bar\.js/);
  });

  it('replaced by another one does not write into it', async () => {
    const { engine, model } = setup();
    const first = model.run(empty.request);
    const old = engine.token;
    engine.started();
    void model.run(empty.request);
    await first;
    engine.cells(0, 5, old);
    expect(model.state).toMatchObject({ status: 'loading', document: null });
  });

  it('does not resume what is complete', async () => {
    const { engine, model } = setup();
    model.show(whole, 'a.mechanist.json');
    expect(model.state).toMatchObject({ status: 'ready', saved: 'a.mechanist.json', canResume: false });
    await model.resume();
    expect(engine.asked).toEqual([]);
  });
});

describe('a selected head', () => {
  it('is read on one item; a later question wins', async () => {
    const { engine, model } = setup();
    model.show(whole, 'a');
    const first = model.select({ row: 1, column: 2 }, 0);
    const second = model.select({ row: 3, column: 0 }, 1);
    expect(engine.asked.at(-1)?.params).toMatchObject({ layer: 3, head: 0, source: 9 });
    engine.answer({ layer: 3, head: 0 });
    await Promise.all([first, second]);
    expect(model.state.head).toMatchObject({ place: { row: 3, column: 0 }, item: 1, detail: { layer: 3 } });
  });

  it('that cannot be read says why; a cell that is no head asks nothing', async () => {
    const { engine, model } = setup();
    model.show(whole, 'a');
    const asked = model.select({ row: 1, column: 2 }, 0);
    engine.fail(new MechanistError('model-not-found', 'There is no model "gpt5".'));
    await asked;
    expect(model.state.head?.error).toBe('There is no model "gpt5".');
    model.show(makeGrid({ kind: 'patch', nLayers: 2, n: 1 }), 'b');
    await model.select({ row: 1, column: 2 }, 0);
    await settle();
    expect(engine.asked).toHaveLength(1);
  });
});
