import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { featureVector } from '../../../src/core/observables/featureVector.ts';
import { runPairs } from '../../../src/core/observables/pairRuns.ts';
import { observableValue, pathSlopes, steerAlong } from '../../../src/core/observables/steerAlong.ts';
import { steerFeature } from '../../../src/core/observables/steps/steerFeature.ts';
import { StreamEditor } from '../../../src/core/observables/streamEdit.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { namePairs } from '../../support/genderPairs.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { movingTask, runStep, stepContext } from '../../support/steps.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

describe.each(['gpt2', 'llama'])('the effect of a direction along paths, %s', (shape) => {
  const { model, remove } = randomModel(SHAPES[shape], 6);
  let engine: AnalysisEngine;
  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('is exactly linear: all heads of the last layer together are the whole effect with norms, patterns and MLP held', async () => {
    const context = stepContext(engine, movingTask(1));
    const hook = 'blocks.2.hook_resid_pre';
    const [{ ids }] = context.task.items;
    const side = { row: 0, ids, at: 2, answer: ids.length - 1 };
    const observable = {
      label: 'o',
      terms: [
        { id: 5, text: 'a', weight: 1.5 },
        { id: 9, text: 'b', weight: -1 },
      ],
    };
    // One head's own feature, so that there is an effect to speak of.
    const { vector } = await featureVector(context, { observable, path: 'L2.H1@3' }, { ids });
    const editor = new StreamEditor(engine.runner, hook, vector);
    let slope = 0;
    for (let head = 0; head < 4; head += 1) {
      const [own] = await pathSlopes(context, editor.unit, [side], { observable, path: `L2.H${head}@3` });
      slope += own ?? Number.NaN;
    }
    const frozen = ['attn.hook_pattern', 'ln1.hook_scale', 'hook_mlp_out'].map(
      (name): Intervention => ({ at: { hook: `blocks.2.${name}` }, kind: 'freeze' }),
    );
    const scale: Intervention = { at: { hook: 'ln_final.hook_scale' }, kind: 'freeze' };
    const measure = async (factor: number) => {
      const add: Intervention = { at: { hook, positions: [2] }, kind: 'add', vector: [...editor.unit], factor };
      const result = await engine.runner.runWith([ids], { interventions: [add, ...frozen, scale] });
      return observableValue(observable, (await result.logits()).data);
    };
    const base = await measure(0);
    for (const factor of [-8, 0.5, 3]) expect((await measure(factor)) - base).toBeCloseTo(slope * factor, 4);
    expect(Math.abs(slope)).toBeGreaterThan(1e-3);
  });

  it('raises the score by exactly what is added, and is null where the path reads another token', async () => {
    const context = stepContext(engine, movingTask(2));
    const random = seededRandom(2);
    const vector = Float64Array.from({ length: 24 }, () => random.normal());
    const hook = 'blocks.1.hook_resid_pre';
    const editor = new StreamEditor(engine.runner, hook, vector);
    const sides = context.task.items.map(({ ids }, row) => ({ row, ids, at: 2, answer: ids.length - 1 }));
    const observable = { label: 'o', terms: [{ id: 5, text: 'a', weight: 1 }] };
    const size = Math.sqrt(vector.reduce((sum, value) => sum + value ** 2, 0));
    const runs = await runPairs(context, editor, sides, () => undefined);
    const base = await steerAlong(context, editor, sides, runs, [observable], 0);
    expect(base.kl).toEqual([0, 0]);
    for (const [row, { ids }] of sides.entries()) {
      const add: Intervention = { at: { hook, positions: [2] }, kind: 'add', vector: [...vector], factor: 2 };
      const { activations } = await engine.runner.runWith([ids], {
        interventions: [add],
        hooks: [hook],
        positions: [2],
      });
      const read = activations.get(hook)?.data ?? [];
      const score = vector.reduce((sum, value, i) => sum + value * read[i], 0);
      // A factor of 2 of the vector adds 2 |y|² to the score.
      expect(score - runs.coefficients[row] * size).toBeCloseTo(2 * size ** 2, 3);
    }
    const path = (text: string) => pathSlopes(context, editor.unit, sides, { observable, path: text });
    expect(await path('L1.H0@4')).toEqual([null, null]);
    expect(await path('L1.H0@9')).toEqual([null, null]);
    expect((await path('L1.H0@3')).every(Number.isFinite)).toBe(true);
  });
});

describe('steer-feature on small-world', () => {
  let folder: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-steer-'));
    engine = await load(SMALL_WORLD, folder);
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('moves both prompts the way of the feature: a pair apart takes a man most of the way to a woman', async () => {
    const context = stepContext(engine, namePairs(engine, 8));
    const feature = { observable: { ' she': 1, ' he': -1 }, path: 'L0.H2@name' };
    const params = { feature, factors: [1, -1, 0, 1], also: [{ ' her': 1, ' him': -1 }] };
    const { values, pictures, warnings, cells } = await runStep(steerFeature, context, params);
    expect([...cells.keys()]).toEqual(['base', 'x:-1', 'x:1']);
    expect(warnings.filter((warning) => !/ρ/.test(warning))).toEqual([]);
    expect(values['0.clean']).toBeGreaterThan(3);
    expect(values['0.corrupted']).toBeLessThan(-3);
    expect(values['1.corrupted']).toBeGreaterThan(values['0.corrupted'] + 6);
    expect(values['-1.clean']).toBeLessThan(values['0.clean'] - 6);
    expect(values['1.corrupted.path']).toBeGreaterThan(values['0.corrupted']);
    expect(values['1.corrupted.path'] - values['0.corrupted']).toBeCloseTo(
      -(values['-1.corrupted.path'] - values['0.corrupted']),
      6,
    );
    const [curve, table] = pictures;
    expect(curve).toMatchObject({ type: 'curve', x: { labels: ['−1.00', '+1.00'] } });
    expect(table.type === 'table' && table.rows.map((row) => row.length)).toEqual([10, 10, 10, 10]);
  });

  it('says where the path reads another token than the one that is changed', async () => {
    const context = stepContext(engine, namePairs(engine, 2));
    const feature = { observable: { ' she': 1, ' he': -1 }, path: 'L0.H2@1' };
    const { warnings, values } = await runStep(steerFeature, context, { feature, factors: [1], at: 'name' });
    // The third template has the name second.
    expect(warnings.join(' ')).toMatch(/On 4 of 12 prompts the path reads another token than name/);
    expect(Number.isFinite(values['1.clean.path'])).toBe(true);
  });
});
