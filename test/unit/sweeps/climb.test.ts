import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { BaseRun } from '../../../src/core/engine/sweeps/baseRun.ts';
import { climb } from '../../../src/core/engine/sweeps/climb.ts';
import { SweepStack } from '../../../src/core/engine/sweeps/sweepStack.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

const [ITEMS, COUNT] = [3, 6];
const TOLERANCE = 2e-4;

describe.each(Object.entries(SHAPES))('runs of %s that leave a base run', (_name, config) => {
  const { nLayers, dModel, dVocab } = config;
  const random = seededRandom(21);
  const normal = normals(22);
  let engine: AnalysisEngine;
  let base: BaseRun;
  let remove: () => void;

  beforeAll(async () => {
    const made = randomModel(config, 13);
    remove = made.remove;
    engine = await wordEngine(made.model);
    const tokens = Array.from({ length: ITEMS }, () => Int32Array.from({ length: COUNT }, () => random.below(dVocab)));
    base = await BaseRun.run(engine.runner, tokens, { hooks: [], keysValues: true, residuals: true }, {});
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  /** The base run's stream with other rows from `first` on, of one run through whole blocks: `[pos, d_model]`. */
  async function plain(boundary: number, item: number, first: number, rows: Float32Array): Promise<Float32Array> {
    const size = COUNT * dModel;
    const x = base.residual(boundary).slice(item * size, (item + 1) * size);
    x.set(rows, first * dModel);
    const pass = { x, batch: 1, count: COUNT, start: 0, fromLayer: boundary, toLayer: nLayers };
    return (await engine.runner.blocks.forward(pass)).x;
  }

  interface Setting {
    readonly boundary: number;
    readonly items: readonly number[];
    readonly x: Float32Array;
  }

  /** Departures at several boundaries: of every item, equally often, or of any. */
  function setting(first: number): Setting[] {
    return Array.from({ length: nLayers }, (_, boundary) => boundary)
      .filter((boundary) => boundary === 0 || random.below(2) === 0)
      .map((boundary) => {
        const all = Array.from({ length: ITEMS * (1 + random.below(2)) }, (_, i) => i % ITEMS);
        const items = random.below(3) > 0 ? all : all.map(() => random.below(ITEMS));
        return { boundary, items, x: Float32Array.from({ length: items.length * (COUNT - first) * dModel }, normal) };
      });
  }

  const climbed = (stack: SweepStack, first: number, settings: readonly Setting[], answers: readonly number[]) =>
    climb(
      ...([stack, base, first, settings.map(({ x, ...at }) => ({ ...at, rows: async () => x })), answers, {}] as const),
    );

  it('reach the same stream together as each in a run of its own, from one start after another', async () => {
    const stack = new SweepStack(engine.runner);
    for (const first of [2, 0, COUNT - 1, 2, 4]) {
      const settings = setting(first);
      const answers = random.below(2) === 0 ? [COUNT - 1] : [1, COUNT - 1];
      const found = await climbed(stack, first, settings, answers);
      let at = 0;
      for (const { boundary, items, x } of settings) {
        for (const [run, item] of items.entries()) {
          const size = (COUNT - first) * dModel;
          const whole = await plain(boundary, item, first, x.subarray(run * size, (run + 1) * size));
          for (const answer of answers) {
            const expected = whole.subarray(answer * dModel, (answer + 1) * dModel);
            const own = found.subarray(at, at + dModel);
            const worst = own.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0);
            expect(worst, `from ${first}, layer ${boundary}, run ${run}`).toBeLessThan(TOLERANCE);
            at += dModel;
          }
        }
      }
      expect(at).toBe(found.length);
    }
    await stack.release();
  });

  it('are refused when their rows are not finite', async () => {
    const stack = new SweepStack(engine.runner);
    const first = COUNT - 2;
    const all = Array.from({ length: ITEMS }, (_, item) => item);
    const rows = Float32Array.from({ length: ITEMS * 2 * dModel }, normal);
    const failing = (x: Float32Array) =>
      climbed(stack, first, [{ boundary: 1, items: all, x }], [COUNT - 1]).catch((error: unknown) => error);
    const damaged = rows.slice();
    damaged[3] = Number.NaN;
    expect(await failing(damaged)).toMatchObject({ code: 'model-corrupt', data: { hook: 'blocks.0.hook_resid_post' } });
    await stack.release();
  });
});
