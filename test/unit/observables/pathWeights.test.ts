import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { ActivationCache } from '../../../src/core/engine/activationCache.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { featureVector } from '../../../src/core/observables/featureVector.ts';
import { PathWeights } from '../../../src/core/observables/pathWeights.ts';
import { sharingWeights } from '../../../src/core/observables/promptReader.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const { model, remove } = randomModel(SHAPES.llama, 6);
let runner: ModelRunner;

beforeAll(async () => {
  runner = await ModelRunner.open(model, { threads: 1 });
});
afterAll(async () => {
  await runner.close();
  remove();
});

/** Tensors that are read from the files meanwhile. */
async function reads(work: () => Promise<unknown>): Promise<number> {
  const tensor = vi.spyOn(runner.files, 'tensor');
  try {
    await work();
    return tensor.mock.calls.length;
  } finally {
    tensor.mockRestore();
  }
}

it('reads the weights of a path once for all prompts that share them, and gives the same', async () => {
  const terms = [{ id: 7, text: ' t7', weight: 1 }];
  const request = { observable: { label: 't7', terms }, path: 'L2.H1 <= MLP 1 <= L1.H0', norm: 'jacobian' } as const;
  const alone = { runner, cache: new ActivationCache(runner, 1 << 24) };
  const shared = sharingWeights(alone);
  const make = (context: typeof alone, last: number) => featureVector(context, request, { ids: [5, 17, 3, last] });
  const first = await reads(() => make(shared, 40));
  expect(first).toBeGreaterThan(0);
  expect(await reads(() => make(shared, 22))).toBe(0);
  expect(await make(shared, 22)).toEqual(await make(alone, 22));
  expect(await reads(() => make(alone, 22))).toBe(first);
});

it('keeps only the layers asked for last where memory is short', async () => {
  const weights = new PathWeights(runner, 1);
  const [a, b] = [await weights.mlpOf(0), await weights.mlpOf(0)];
  expect(a).toBe(b);
  await weights.headsOf(0);
  expect(await reads(() => weights.mlpOf(0))).toBe(0);
  await weights.mlpOf(1);
  expect(await reads(() => weights.headsOf(0))).toBe(0);
  expect(await reads(() => weights.mlpOf(0))).toBeGreaterThan(0);
});
