import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withCells } from '../../../src/shared/gridCells.ts';
import type { AblateRequest, GridCell, GridDocument, GridNotifications } from '../../../src/shared/gridDocument.ts';
import { type ForkedEngine, forkEngine, stopEngine } from '../../support/forkEngine.ts';
import { hasSmollm2, smollm2File } from '../../support/smollm2.ts';

const root = resolve(import.meta.dirname, '../../..');
const model = resolve(root, 'test/reference/models/gpt2');
let cacheDir: string;
let engine: ForkedEngine;
let notices: { readonly name: string; readonly params: unknown; readonly at: number }[] = [];

beforeAll(() => {
  execFileSync(process.execPath, ['esbuild.mjs', 'engine'], { cwd: root });
  cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-sweeps-'));
  engine = forkEngine({ cacheDir }, (name, params) => notices.push({ name, params, at: performance.now() }));
});
afterAll(async () => {
  await stopEngine(engine);
  rmSync(cacheDir, { recursive: true, force: true });
});

function of<K extends keyof GridNotifications>(name: K): GridNotifications[K][] {
  return notices.filter((notice) => notice.name === name).map(({ params }) => params as GridNotifications[K]);
}

const request = (path: string, prompt = 'The cat sat'): AblateRequest => ({
  ...{ model: path, analysis: 'ablate', sites: 'heads', mode: 'zero' },
  prompts: [{ clean: prompt, answer: 'a', foils: ['b'] }],
});

/** Ten prompts and every neuron of a layer of the bundled model: about a second. */
const longSweep: AblateRequest = {
  ...{ model: 'small-world', analysis: 'ablate', sites: 'neurons', layer: 0, mode: 'zero' },
  prompts: ['nurse', 'farmer', 'doctor', 'maid', 'soldier', 'teacher', 'king', 'queen', 'lawyer', 'waiter'].map(
    (who) => ({ clean: `The ${who} said that`, answer: ' she', foils: [' he'] }),
  ),
};

/** What the editor knows of a sweep from its messages. */
function known(): GridDocument {
  return withCells(
    of('grid.started')[0].document,
    of('grid.cells').flatMap(({ cells }) => cells),
  );
}

const doneOf = ({ values }: GridDocument) => values.flat().filter((value) => value !== null).length;

describe('sweeps in the engine process', () => {
  it('brings the empty document, then cells, then the whole one', async () => {
    notices = [];
    const document = await engine.peer.request('grid', { request: request(model), token: 't1' });
    const [started] = of('grid.started');
    expect(started.token).toBe('t1');
    expect(started.document.complete).toBe(false);
    const cells = of('grid.cells').flatMap((notice) => notice.cells);
    expect(withCells(started.document, cells).values).toEqual(document.values);
    expect(document.byItem.data).toBeInstanceOf(Float32Array);
    const again = await engine.peer.request('grid', { request: request(model), token: 't2', resume: document });
    expect(again.values).toEqual(document.values);
  });

  it('refuses what cannot be run with the reason', async () => {
    const wrong = { ...request(model), prompts: [{ clean: '', answer: 'a', foils: ['b'] }] };
    await expect(engine.peer.request('grid', { request: wrong, token: 't3' })).rejects.toMatchObject({
      code: 'prompt-empty',
    });
  });

  it('loses no cell that was told when it is cancelled or killed, and goes on from them to the same numbers', async () => {
    const whole = await engine.peer.request('grid', { request: longSweep, token: 'whole' });
    const other = forkEngine({ cacheDir }, (name, params) => notices.push({ name, params, at: performance.now() }));
    try {
      for (const end of ['cancelled', 'killed'] as const) {
        notices = [];
        const controller = new AbortController();
        const sweep = other.peer.request('grid', { request: longSweep, token: end }, { signal: controller.signal });
        const outcome = sweep.then(
          () => 'finished',
          (error: { code: string }) => error.code,
        );
        while (of('grid.cells').length === 0) await new Promise((next) => setTimeout(next, 2));
        if (end === 'cancelled') controller.abort();
        else other.child.kill('SIGKILL');
        expect(await outcome).toBe(end === 'cancelled' ? 'cancelled' : 'engine-stopped');
        const partial = known();
        expect(doneOf(partial)).toBeGreaterThan(0);
        expect(doneOf(partial)).toBeLessThan(doneOf(whole));
        notices = [];
        const resumed = await engine.peer.request('grid', { request: longSweep, token: 'on', resume: partial });
        expect(resumed.complete).toBe(true);
        const again = of('grid.cells').flatMap(({ cells }) => cells);
        expect(again.length).toBe(doneOf(whole) - doneOf(partial));
        whole.byItem.data.forEach((value, i) => {
          expect(Math.abs(resumed.byItem.data[i] - value)).toBeLessThan(1e-4);
        });
      }
    } finally {
      await stopEngine(other);
    }
  }, 60_000);

  it.skipIf(process.platform !== 'linux')(
    'bounds the peak of memory by the setting',
    async () => {
      // Pairs of 100 tokens, 1.4 MB of activations each: were all held, the peak would rise by 250 MB.
      const ending = ' and the farmer told the nurse about the park and the shop'.repeat(8);
      const text = (who: string) => `The ${who}${ending} and that`;
      const prompts = Array.from({ length: 130 }, (_, i) => ({
        ...{ id: String(i), clean: text('nurse'), corrupted: text('farmer'), answer: ' she', foils: [' he'] },
      }));
      notices = [];
      const other = forkEngine({ cacheDir }, (name, params) => notices.push({ name, params, at: performance.now() }));
      const peak = () => {
        const status = readFileSync(`/proc/${other.child.pid}/status`, 'utf8');
        return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]);
      };
      const request = { model: 'small-world', analysis: 'patch', site: 'k' } as const;
      try {
        await other.peer.request('grid', { request: { ...request, prompts: prompts.slice(0, 1) }, token: 'warm' });
        const before = peak();
        for (const memoryBytes of [8e6, 64e6]) {
          notices = [];
          const controller = new AbortController();
          const sweep = other.peer.request(
            'grid',
            { request: { ...request, prompts, memoryBytes }, token: 'bounded' },
            { signal: controller.signal },
          );
          const outcome = sweep.catch((error: { code: string }) => error.code);
          while (of('grid.started').length === 0) await new Promise((next) => setTimeout(next, 20));
          await new Promise((next) => setTimeout(next, 1000));
          controller.abort();
          expect(await outcome).toBe('cancelled');
          // Buffers that wait to be collected, up to 64 MB of them, come on top.
          expect(peak() - before, `${memoryBytes}`).toBeLessThan(memoryBytes + 110e6);
        }
      } finally {
        await stopEngine(other);
      }
    },
    60_000,
  );

  it.skipIf(!hasSmollm2)(
    'answers what is asked meanwhile, and keeps the cells when it is cancelled',
    async () => {
      const text = 'When Mary and John went to the store, John gave a drink to';
      await engine.peer.request('models.load', { model: smollm2File });
      notices = [];
      const prompts = Array.from({ length: 12 }, (_, i) => ({
        clean: `${i} ${text}`,
        answer: ' Mary',
        foils: [' John'],
      }));
      const controller = new AbortController();
      const sweep = engine.peer.request(
        'grid',
        { request: { ...request(smollm2File), prompts }, token: 't4' },
        { signal: controller.signal },
      );
      const outcome = sweep.then(
        () => 'finished',
        (error: { code: string }) => error.code,
      );
      while (of('grid.cells').length < 2) await new Promise((next) => setTimeout(next, 20));
      const asked = performance.now();
      const trace = await engine.peer.request('trace', { model: smollm2File, prompt: text, method: 'direct' });
      expect(trace.tokens.length).toBeGreaterThan(10);
      // Far less than the sweep, which goes on for many seconds.
      expect(performance.now() - asked).toBeLessThan(5000);
      const before = of('grid.cells').length;
      while (of('grid.cells').length === before) await new Promise((next) => setTimeout(next, 20));
      controller.abort();
      expect(await outcome).toBe('cancelled');
      const cells: GridCell[] = of('grid.cells').flatMap((notice) => notice.cells);
      const document: GridDocument = withCells(of('grid.started')[0].document, cells);
      const done = document.values.flat().filter((value) => value !== null).length;
      expect(done).toBeGreaterThan(0);
      expect(done).toBeLessThan(270);
      // At most four messages a second.
      const times = notices.filter(({ name }) => name === 'grid.cells').map(({ at }) => at);
      expect((times.length - 2) / ((times[times.length - 1] - times[0]) / 1000)).toBeLessThan(4.5);
    },
    120_000,
  );
});
