import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { itemsOf } from '../../../src/core/engine/keysValues.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

/** Largest difference relative to the largest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [difference, scale] = [0, 1e-6];
  for (let i = 0; i < a.length; i += 1) {
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference / scale;
}

const plus = (...arrays: readonly Float32Array[]) =>
  arrays[0].map((_, i) => arrays.reduce((sum, array) => sum + array[i], 0));

describe.each(Object.entries(SHAPES))('laws of %s', (_, config) => {
  const { nLayers, nHeads, dModel } = config;
  const random = normals(7);
  const prompt = (length: number) =>
    Array.from({ length }, () => Math.abs(Math.floor(random() * 1000)) % config.dVocab);
  const BATCH = [prompt(11), prompt(11), prompt(11)];
  let runner: ModelRunner;
  let model: OpenModel;
  let remove: () => void;

  const read = async (tokens: readonly (readonly number[])[], ...hooks: string[]) => {
    const { activations } = await runner.run(tokens, { hooks });
    return hooks.map((hook) => activations.get(hook)?.data ?? new Float32Array(0));
  };

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 3));
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  it('adds every part of a block to the residual stream', async () => {
    for (let layer = 0; layer < nLayers; layer += 1) {
      const at = (name: string) => `blocks.${layer}.${name}`;
      const [pre, attn, mlp, post] = await read(
        BATCH,
        ...['hook_resid_pre', 'hook_attn_out', 'hook_mlp_out', 'hook_resid_post'].map(at),
      );
      expect(distance(plus(pre, attn, mlp), post)).toBeLessThan(1e-6);
      if (config.parallelResidual) continue;
      const [mid] = await read(BATCH, at('hook_resid_mid'));
      expect(distance(plus(pre, attn), mid)).toBeLessThan(1e-6);
      expect(distance(plus(mid, mlp), post)).toBeLessThan(1e-6);
    }
  });

  it('sums the results of all heads and the output bias to attn_out', async () => {
    const [results, attnOut] = await read(BATCH, 'blocks.1.attn.hook_result', 'blocks.1.hook_attn_out');
    const { bias } = model.weights.blocks[1].attention.out;
    const offset = bias === null ? new Float32Array(dModel) : await runner.files.tensor(bias);
    const sums = attnOut.map((_value, i) => {
      const [row, column] = [Math.floor(i / dModel), i % dModel];
      let sum = offset[column];
      for (let head = 0; head < nHeads; head += 1) sum += results[(row * nHeads + head) * dModel + column];
      return sum;
    });
    expect(distance(sums, attnOut)).toBeLessThan(1e-6);
  });

  it('attends to nothing later, nothing outside the window, and to 1 in all', async () => {
    for (let layer = 0; layer < nLayers; layer += 1) {
      const [pattern] = await read(BATCH, `blocks.${layer}.attn.hook_pattern`);
      const window = config.attention.windows[layer] ?? 11;
      for (let row = 0; row < pattern.length / 11; row += 1) {
        const [query, weights] = [row % 11, pattern.subarray(row * 11, (row + 1) * 11)];
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
        weights.forEach((weight, key) => {
          if (key > query || query - key >= window) expect(weight).toBe(0);
          else expect(weight).toBeGreaterThan(0);
        });
      }
    }
  });

  it('gives each prompt of a batch what it gets alone, in any order', async () => {
    const whole = await runner.logits(BATCH);
    const turned = await runner.logits([BATCH[2], BATCH[0], BATCH[1]]);
    const item = (data: Float32Array, index: number) =>
      data.subarray(index * config.dVocab, (index + 1) * config.dVocab);
    for (const [index, place] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ]) {
      expect(Array.from(item(turned.data, place))).toEqual(Array.from(item(whole.data, index)));
      expect(distance((await runner.logits([BATCH[index]])).data, item(whole.data, index))).toBeLessThan(1e-5);
    }
  });

  it('does not depend on tokens that come later', async () => {
    const all = await runner.run([BATCH[0]]);
    const some = await runner.run([BATCH[0].slice(0, 6)]);
    expect(distance(some.residual.data, all.residual.data.subarray(0, 6 * dModel))).toBeLessThan(1e-5);
  });

  it('runs to a layer and on from there as it runs at once', async () => {
    const plain = await runner.run(BATCH);
    for (let layer = 0; layer <= nLayers; layer += 1) {
      const lower = await runner.run(BATCH, { toLayer: layer });
      const upper = await runner.run(BATCH, { fromLayer: layer, residual: lower.residual });
      expect(upper.residual.data).toEqual(plain.residual.data);
    }
  });

  it('runs on from keys and values of the first positions as it runs at once', async () => {
    const plain = await runner.blocks.forward(await pass(BATCH, 0));
    for (const start of [1, 4, 10]) {
      const first = await runner.blocks.forward(
        await pass(
          BATCH.map((row) => row.slice(0, start)),
          0,
        ),
      );
      const rest = await runner.blocks.forward({
        ...(await pass(
          BATCH.map((row) => row.slice(start)),
          start,
        )),
        past: (layer) => first.keysValues[layer],
      });
      BATCH.forEach((__, index) => {
        const expected = plain.x.subarray((index * 11 + start) * dModel, (index + 1) * 11 * dModel);
        const size = (11 - start) * dModel;
        expect(distance(rest.x.subarray(index * size, (index + 1) * size), expected)).toBeLessThan(1e-5);
      });
      // One past serves many items.
      const shared = await runner.blocks.forward({
        ...(await pass([BATCH[0].slice(start), BATCH[0].slice(start)], start)),
        past: (layer) => itemsOf({ ...first.keysValues[layer], batch: 1, ...firstItem(first.keysValues[layer]) }, 0, 1),
      });
      const expected = plain.x.subarray(start * dModel, 11 * dModel);
      expect(distance(shared.x.subarray(0, expected.length), expected)).toBeLessThan(1e-5);
      expect(distance(shared.x.subarray(expected.length), expected)).toBeLessThan(1e-5);
    }
  });

  const firstItem = (kv: { batch: number; keys: Float32Array; values: Float32Array }) => ({
    keys: kv.keys.subarray(0, kv.keys.length / kv.batch),
    values: kv.values.subarray(0, kv.values.length / kv.batch),
  });

  const pass = async (tokens: readonly (readonly number[])[], start: number) => {
    const { tokens: x, positions } = await runner.embed(tokens, start);
    return {
      ...{ x: positions === null ? x : plus(x, positions), batch: tokens.length, count: tokens[0].length, start },
      ...{ fromLayer: 0, toLayer: nLayers, keepKeysValues: true },
    };
  };

  it('reads chosen positions and columns as parts of the whole', async () => {
    const all = await runner.run(BATCH, { hooks: ['blocks.2.attn.hook_z', 'blocks.2.attn.hook_pattern'] });
    const some = await runner.run(BATCH, { hooks: [...all.activations.keys()], positions: [-1, 3] });
    const width = config.nHeads * config.dHead;
    const z = all.activations.get('blocks.2.attn.hook_z')?.data ?? new Float32Array(0);
    const picked = some.activations.get('blocks.2.attn.hook_z');
    expect(picked?.dims).toEqual([3, 2, config.nHeads, config.dHead]);
    expect(picked?.data.subarray(0, width)).toEqual(z.subarray(10 * width, 11 * width));
    expect(picked?.data.subarray(width, 2 * width)).toEqual(z.subarray(3 * width, 4 * width));
    expect(some.activations.get('blocks.2.attn.hook_pattern')?.dims).toEqual([3, nHeads, 2, 11]);
    const logits = await runner.logits(BATCH, { positions: [2] });
    const columns = await runner.logits(BATCH, { positions: [2], columns: [5, 0] });
    expect(columns.dims).toEqual([3, 1, 2]);
    expect(columns.data[0]).toBe(logits.data[5]);
    expect(columns.data[1]).toBe(logits.data[0]);
  });
});
