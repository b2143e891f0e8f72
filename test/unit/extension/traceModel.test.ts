import { describe, expect, it } from 'vitest';
import { noObservables } from '../../../src/core/tasks/namedObservables.ts';
import type { EnginePort } from '../../../src/extension/engineClient.ts';
import { ModelDirectory } from '../../../src/extension/modelDirectory.ts';
import { PromptSession } from '../../../src/extension/promptLanguage/promptSession.ts';
import { TraceModel } from '../../../src/extension/trace/traceModel.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { HeadDetail, LensTable } from '../../../src/shared/traceDocument.ts';
import type { TracePanelState } from '../../../src/shared/tracePanelProtocol.ts';
import { FakeEngine, settle } from './fakeEngine.ts';

const question = (prompt: string): TraceRequest => ({ model: 'smollm2-135m', prompt, method: 'direct' });

function lensOf(positions: readonly number[]): LensTable {
  const row = positions.map((p) => p / 10);
  return { rows: ['emb', 'L0'], positions, values: [row, row], top: [positions.map(top), positions.map(top)] };
}
const top = (id: number) => ({ id, text: 'a', p: 0.5 });

/** An engine that also answers `lens` and `head`, with a way to hold heads back. */
function panelEngine() {
  const engine = new FakeEngine();
  const heads: { layer: number; head: number; source: number; signal: AbortSignal | undefined; answer: () => void }[] =
    [];
  const lenses: number[][] = [];
  let lensFailure: MechanistError | null = null;
  const port = {
    request: async (method: string, params: never, options: { signal?: AbortSignal } = {}) => {
      if (method === 'lens') {
        const { positions } = params as { positions: number[] };
        lenses.push(positions);
        if (lensFailure) throw lensFailure;
        return lensOf(positions);
      }
      if (method !== 'head') return await engine.request(method as 'trace', params, options);
      const { layer, head, source } = params as { layer: number; head: number; source: number };
      return await new Promise<HeadDetail>((resolve, reject) => {
        const pattern = { dims: [1, 1], data: new Float32Array([1]) };
        const answer = () => resolve({ layer, head, pattern, ov: { source, up: [], down: [] } });
        options.signal?.addEventListener('abort', () => reject(new MechanistError('cancelled', 'Cancelled.')));
        heads.push({ layer, head, source, signal: options.signal, answer });
      });
    },
  } as EnginePort;
  const failLens = (error: MechanistError) => {
    lensFailure = error;
  };
  return { engine, port, heads, lenses, failLens };
}

function panel() {
  const parts = panelEngine();
  const source = {
    text: () => '',
    folder: null,
    settings: () => ({
      model: 'smollm2-135m',
      fallbackModel: '',
      method: 'direct' as const,
      tintEnabled: true,
      updateDelayMs: 0,
      observables: noObservables,
    }),
    visible: () => [],
  };
  const session = new PromptSession(source, parts.port, new ModelDirectory(parts.port));
  const posted: TracePanelState[] = [];
  const model = new TraceModel(
    parts.port,
    'a.prompt:1',
    (state) => posted.push(state),
    () => {},
  );
  return { ...parts, session, model, posted };
}

const l1h1 = { layer: 1, kind: 'head', head: 1 } as const;

describe('TraceModel', () => {
  it('posts whole states: loading, document, lens', async () => {
    const { model, session, posted } = panel();
    await model.run(session, question('The nurse said'));
    expect(posted[0]).toMatchObject({ status: 'loading', document: null });
    expect(model.state.status).toBe('ready');
    expect(model.state.document?.prompt).toBe('The nurse said');
    expect(model.state.lens?.positions).toEqual([0, 1, 2]);
    for (const state of posted) expect(Object.keys(state).sort()).toEqual(Object.keys(model.state).sort());
  });

  it('asks for the lens of long prompts in parts and joins them', async () => {
    const { model, session, lenses } = panel();
    await model.run(session, question('a '.repeat(150).trim()));
    expect(lenses.map((p) => p.length)).toEqual([64, 64, 22]);
    expect(model.state.lens?.positions).toEqual(Array.from({ length: 150 }, (_, i) => i));
    expect(model.state.lens?.values[1]).toHaveLength(150);
  });

  it('keeps the old figure while the new one is on its way, with progress and Cancel; the selection stays', async () => {
    const { model, session, posted } = panel();
    await model.run(session, question('The nurse said'));
    model.select({ token: 1 });
    posted.length = 0;
    await model.run(session, question('The maid said'));
    expect(posted[0]).toMatchObject({ status: 'loading' });
    expect(posted[0]?.document?.prompt).toBe('The nurse said');
    expect(model.state).toMatchObject({ status: 'ready', selection: { token: 1 } });
  });

  it('forgets a selected token that the new prompt does not have', async () => {
    const { model, session } = panel();
    await model.run(session, question('The nurse said'));
    model.select({ token: 2 });
    await model.run(session, question('The'));
    expect(model.state.selection.token).toBeNull();
  });

  it('asks for the selected head only, and cancels the one before', async () => {
    const { model, session, heads } = panel();
    await model.run(session, question('The nurse said'));
    model.select({ component: { layer: 0, kind: 'head', head: 0 } });
    model.select({ component: l1h1, token: 2 });
    await settle();
    expect(heads.map((h) => h.signal?.aborted)).toEqual([true, false]);
    heads[1]?.answer();
    await settle();
    expect(model.state.head).toMatchObject({ layer: 1, head: 1, ov: { source: 2 } });
    model.select({ component: { layer: 1, kind: 'mlp' } });
    expect(model.state.head).toBeNull();
  });

  it('keeps the attention pattern while the same head is read from another token', async () => {
    const { model, session, heads } = panel();
    await model.run(session, question('The nurse said'));
    model.select({ component: l1h1, token: 0 });
    await settle();
    heads[0]?.answer();
    await settle();
    model.select({ token: 1 });
    expect(model.state.head).toMatchObject({ layer: 1, head: 1 });
    heads[1]?.answer();
    await settle();
    expect(model.state.head?.ov.source).toBe(1);
  });

  it('lets the last question win', async () => {
    const { model, session, engine } = panel();
    engine.gate = new Promise(() => {});
    const first = model.run(session, question('one'));
    await settle();
    engine.gate = null;
    await model.run(session, question('two'));
    await first;
    expect(model.state.document?.prompt).toBe('two');
    expect(model.state.error).toBeNull();
  });

  it('keeps the rest when the lens fails', async () => {
    const { model, session, failLens } = panel();
    failLens(new MechanistError('bad-input', 'No lens today.'));
    await model.run(session, question('The nurse said'));
    expect(model.state).toMatchObject({ status: 'ready', lensError: 'No lens today.' });
  });

  it('says in one sentence what went wrong, without a stack', async () => {
    const { model, session, engine } = panel();
    engine.failure = new MechanistError('model-corrupt', 'The file is damaged.');
    await model.run(session, question('one'));
    expect(model.state).toMatchObject({ status: 'error', error: 'The file is damaged.' });
    engine.failure = null;
    await model.run(session, question('one'));
    expect(model.state).toMatchObject({ status: 'ready', error: null });
  });

  it('offers to run again after a cancel', async () => {
    const { model, session, engine } = panel();
    engine.gate = new Promise(() => {});
    void model.run(session, question('one'));
    await settle();
    model.cancelled();
    await settle();
    expect(model.state.status).toBe('empty');
    expect(engine.asked.at(-1)?.signal?.aborted).toBe(true);
    expect(model.request).toBeNull();
  });

  it('keeps the old figure as stale after a cancel, and remembers which question was declined', async () => {
    const { model, session, engine } = panel();
    await model.run(session, question('one'));
    engine.gate = new Promise(() => {});
    void model.run(session, question('two'));
    await settle();
    expect(model.state).toMatchObject({ status: 'loading', document: { prompt: 'one' } });
    model.cancelled();
    await settle();
    expect(model.state).toMatchObject({ status: 'stale', document: { prompt: 'one' } });
    expect([model.hasDeclined(question('one')), model.hasDeclined(question('two'))]).toEqual([false, true]);
    engine.gate = null;
    await model.run(session, question('two'));
    expect(model.state).toMatchObject({ status: 'ready', document: { prompt: 'two' } });
    expect(model.hasDeclined(question('two'))).toBe(false);
  });
});
