import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { PackedArray } from '../../../src/shared/packedArray.ts';
import { oracleRun } from '../../support/oracle.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const PROMPTS = [
  [3, 1, 4, 1, 5, 9, 2, 6, 5],
  [27, 18, 28, 18, 2, 8, 45, 9, 0],
];

/** Largest difference, relative to the largest number. */
function distance(actual: ArrayLike<number>, expected: readonly number[]): number {
  expect(actual.length).toBe(expected.length);
  const scale = Math.max(...expected.map(Math.abs), 1e-6);
  return Math.max(...expected.map((value, i) => Math.abs(value - actual[i]))) / scale;
}

const item = ({ data, dims }: PackedArray, index: number) => {
  const size = data.length / dims[0];
  return data.subarray(index * size, (index + 1) * size);
};

describe.each(Object.entries(SHAPES))('%s', (_, config) => {
  let runner: ModelRunner;
  let model: OpenModel;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config));
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  it('agrees with the float64 oracle at every hook point and in the logits', async () => {
    const hooks = allHookPoints(config).map(hookName);
    const result = await runner.run(PROMPTS, { hooks });
    const logits = await runner.logits(PROMPTS, { positions: 'all' });
    expect([...result.activations.keys()].sort()).toEqual([...hooks].sort());
    PROMPTS.forEach((tokens, index) => {
      const oracle = oracleRun(config, model.weights, tokens);
      expect(distance(item(logits, index), oracle.logits.flat())).toBeLessThan(1e-5);
      for (const [name, array] of result.activations) {
        const expected = oracle.activations.get(name)?.flat();
        if (expected !== undefined) expect(distance(item(array, index), expected), name).toBeLessThan(1e-5);
        else expect(name).toMatch(/pattern$|attn_scores$|result$/);
      }
      for (let layer = 0; layer < config.nLayers; layer += 1) {
        const name = `blocks.${layer}.attn.hook_pattern`;
        const heads = Array.from(
          { length: config.nHeads },
          (__, head) => oracle.activations.get(`${name}.${head}`)?.flat() ?? [],
        );
        const pattern = result.activations.get(name);
        expect(pattern && distance(item(pattern, index), heads.flat()), name).toBeLessThan(1e-5);
      }
    });
  });
});
