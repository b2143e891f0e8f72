import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
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
