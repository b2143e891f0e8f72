import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FinalNorm } from '../../../src/core/engine/finalNorm.ts';
import { HeadPullBack } from '../../../src/core/engine/headPullBack.ts';
import { HeadWeights } from '../../../src/core/engine/headWeights.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { headNorms, unscaled } from '../../../src/core/observables/headNorms.ts';
import { length } from '../../../src/core/observables/vectors.ts';
import { distance } from '../../support/gradients.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

describe.each(Object.entries(SHAPES))('all heads of a layer at once, in %s', (_, config) => {
  const { dModel, nHeads, nLayers } = config;
  const random = normals(2);
  let model: OpenModel;
  let runner: ModelRunner;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 14));
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  it('read along what each reads along by itself, with and without the gain of their norm', async () => {
    const directions = [0, 1, 2].map(() => Float32Array.from({ length: dModel }, random));
    const packed = Float32Array.from(directions.flatMap((direction) => [...direction]));
    const heads = new HeadPullBack(runner);
    for (const layer of [0, nLayers - 1]) {
      const weights = await HeadWeights.read(runner, layer);
      const norm = await FinalNorm.read(config, model.weights.blocks[layer].norm1, runner.files);
      const each = (change: (vector: Float64Array) => Float64Array) =>
        Array.from({ length: nHeads }, (_h, head) =>
          directions.map((direction) => change(weights.pullBack(head, direction).vector)),
        ).flat();
      for (const [norms, wanted] of [
        ['norms', each((vector) => vector)],
        ['gainedNorms', each((vector) => vector.map((value, i) => value * norm.gain[i]))],
      ] as const) {
        expect(distance(await heads.run(layer, packed, norms), wanted.map(length))).toBeLessThan(1e-5);
      }
    }
    await heads.release();
  });

  it('have norms that scale with the observable, up to the layer that is asked for', async () => {
    const terms = [
      { id: 3, weight: 1 },
      { id: 9, weight: -1 },
    ];
    const { direction } = await runner.unembedding.direction(terms);
    const doubled = direction.map((value) => -2 * value);
    const [own, twice] = await headNorms({ runner }, [direction, doubled], { gains: true });
    expect(own.map((row) => row.length)).toEqual(new Array(nLayers).fill(nHeads));
    expect(
      distance(
        twice.flat(),
        own.flat().map((value) => 2 * value),
      ),
    ).toBeLessThan(1e-5);
    const weights = await HeadWeights.read(runner, 1);
    const norm = await FinalNorm.read(config, model.weights.blocks[1].norm1, runner.files);
    const { vector } = weights.pullBack(2, direction);
    expect(own[1][2] / length(unscaled(norm, vector))).toBeCloseTo(1, 4);
    const [plain] = await headNorms({ runner }, [direction], { gains: false, toLayer: 2 });
    expect(plain).toHaveLength(2);
    expect(plain[1][2] / length(vector)).toBeCloseTo(1, 4);
  });
});
