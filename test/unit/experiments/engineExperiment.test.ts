import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentNotifications } from '../../../src/shared/experimentRun.ts';
import type { FiguresDocument } from '../../../src/shared/figures.ts';
import { type ForkedEngine, forkEngine, stopEngine } from '../../support/forkEngine.ts';

const root = resolve(import.meta.dirname, '../../..');
const model = resolve(root, 'test/reference/models/gpt2');
let folder: string;
let engine: ForkedEngine;
let notices: { readonly name: string; readonly params: unknown }[] = [];

const path = (name: string) => join(folder, name);
const text = `model: ${model}\ndata: d.jsonl\nsteps:\n  - baseline\n`;

beforeAll(() => {
  execFileSync(process.execPath, ['esbuild.mjs', 'engine'], { cwd: root });
  folder = mkdtempSync(join(tmpdir(), 'mechanist-engine-experiment-'));
  const row = (i: number) =>
    JSON.stringify({ id: String(i), clean: 'The 1 sat'.repeat(6), answers: [{ token: 'a', foils: ['b'] }] });
  writeFileSync(path('d.jsonl'), Array.from({ length: 800 }, (_, i) => `${row(i)}\n`).join(''));
  engine = forkEngine({ cacheDir: path('cache') }, (name, params) => notices.push({ name, params }));
});
afterAll(async () => {
  await stopEngine(engine);
  rmSync(folder, { recursive: true, force: true });
});

function of<K extends keyof ExperimentNotifications>(name: K): ExperimentNotifications[K][] {
  return notices.filter((notice) => notice.name === name).map(({ params }) => params as ExperimentNotifications[K]);
}

describe('experiments in the engine process', () => {
  it('tell how far they are, let a trace go first, and end with what became of each step', async () => {
    notices = [];
    const ended: string[] = [];
    const params = { path: path('a.experiment.yaml'), text, token: 't' };
    const running = engine.peer.request('experiment.run', params).then((outcome) => {
      ended.push('experiment');
      return outcome;
    });
    while (of('experiment.progress').length === 0) await new Promise((done) => setTimeout(done, 2));
    const question = { model, prompt: 'The 1 sat', method: 'direct' as const };
    await engine.peer.request('trace', question).then(() => ended.push('trace'));
    const outcome = await running;
    expect(ended).toEqual(['trace', 'experiment']);
    expect(outcome.steps).toMatchObject([{ step: 'baseline', state: 'complete', cells: { done: 50, total: 50 } }]);
    expect(of('experiment.step')).toEqual([{ token: 't', outcome: outcome.steps[0] }]);
    for (const { token, progress } of of('experiment.progress')) {
      expect([token, progress.step, progress.cells.total]).toEqual(['t', 'baseline', 50]);
    }
    expect(JSON.parse(readFileSync(path('a.results/baseline.mechanist.json'), 'utf8')).complete).toBe(true);
  });

  it('keep what is done when they are cancelled, and when the process is killed', async () => {
    const params = { path: path('b.experiment.yaml'), text, token: 'u' };
    const parts = path('b.results/parts/baseline.jsonl');
    const cells = () => (existsSync(parts) ? readFileSync(parts, 'utf8').split('\n').length - 1 : 0);
    /** Waits for so many cells on the disk; a run that ends before fails the test. */
    const until = async (count: number, run: Promise<unknown>) => {
      let over = false;
      void run.finally(() => {
        over = true;
      });
      while (cells() < count && !over) await new Promise((done) => setTimeout(done, 2));
      expect(over).toBe(false);
    };
    const controller = new AbortController();
    const asked = engine.peer.request('experiment.run', params, { signal: controller.signal });
    const cancelled = asked.catch((error: unknown) => error);
    await until(1, cancelled);
    controller.abort();
    expect(await cancelled).toMatchObject({ code: 'cancelled' });
    const kept = cells();
    expect(kept).toBeLessThan(50);
    const killed = engine.peer.request('experiment.run', params).catch((error: unknown) => error);
    await until(kept + 2, killed);
    await stopEngine(engine);
    expect(await killed).toMatchObject({ code: 'engine-stopped' });
    engine = forkEngine({ cacheDir: path('cache') }, (name, own) => notices.push({ name, params: own }));
    const [step] = (await engine.peer.request('experiment.run', params)).steps;
    expect(step.state).toBe('complete');
    expect(step.reused).toBeGreaterThan(kept);
    expect(cells()).toBe(50);
  });

  it('go on inside a search that was killed, to the same circuit', async () => {
    const search = `model: ${model}
data: { file: d.jsonl, rows: 64 }
steps:
  - run: discover-acdc
    with: { ablation: { kind: zero }, threshold: 0.001 }
`;
    const asked = (name: string) => ({ path: path(`${name}.experiment.yaml`), text: search, token: 'w' });
    const figures = (name: string): FiguresDocument =>
      JSON.parse(readFileSync(path(`${name}.results/discover-acdc.mechanist.json`), 'utf8'));
    const isLeft = (name: string) => {
      const parts = path(`${name}.results/parts`);
      return existsSync(parts) && readdirSync(parts).some((file) => file.endsWith('.checkpoint.json'));
    };
    let over = false;
    const killed = engine.peer.request('experiment.run', asked('killed')).catch((error: unknown) => error);
    void killed.finally(() => {
      over = true;
    });
    while (!isLeft('killed') && !over) await new Promise((done) => setTimeout(done, 2));
    expect(over).toBe(false);
    await stopEngine(engine);
    await killed;
    engine = forkEngine({ cacheDir: path('cache') }, (name, own) => notices.push({ name, params: own }));
    const [step] = (await engine.peer.request('experiment.run', asked('killed'))).steps;
    expect([step.state, isLeft('killed')]).toEqual(['complete', false]);
    await engine.peer.request('experiment.run', asked('whole'));
    const [ours, whole] = [figures('killed'), figures('whole')];
    expect({ ...ours, cost: null }).toEqual({ ...whole, cost: null });
    // Nothing was tried twice: what was run again is the clean run of the 64 rows.
    expect(ours.cost.forwardPasses - whole.cost.forwardPasses).toBeCloseTo(64, 1);
  });

  it('refuse a file with a mistake at its place, before a model is opened', async () => {
    const wrong = { path: path('c.experiment.yaml'), text: text.replace('- baseline', '- basline'), token: 'v' };
    await expect(engine.peer.request('experiment.run', wrong)).rejects.toMatchObject({
      code: 'bad-input',
      message: expect.stringContaining('c.experiment.yaml:4:5'),
    });
  });
});
