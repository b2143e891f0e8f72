import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FinalNorm } from '../../../src/core/engine/finalNorm.ts';
import { HeadWeights } from '../../../src/core/engine/headWeights.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { MlpPullBack } from '../../../src/core/observables/mlpPullBack.ts';
import { meanPullBack, normAlong, normAngle, pullBackNorm } from '../../../src/core/observables/normPullBack.ts';
import { segmentRoot } from '../../../src/core/observables/segment.ts';
import { between, dot, length, plus } from '../../../src/core/observables/vectors.ts';
import { normModes } from '../../../src/shared/features.ts';
import { type OracleRun, oracleRun } from '../../support/oracle.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

const TOKENS = [5, 17, 3, 40, 22, 9];
const LAST = TOKENS.length - 1;
const TERMS = [
  { id: 7, weight: 1 },
  { id: 12, weight: -1 },
];

/** Of one direction in a function of one row, by central differences. */
function slope(f: (x: Float64Array) => number, x: Float64Array, direction: Float64Array, step = 1e-4): number {
  return (f(plus(x, direction, step)) - f(plus(x, direction, -step))) / (2 * step);
}

describe.each(Object.entries(SHAPES))('directions taken back through %s', (_, config) => {
  const { dModel, nLayers, nHeads, dHead } = config;
  const random = normals(21);
  const row = (size = 1) => Float64Array.from({ length: dModel }, () => size * random());
  let model: OpenModel;
  let runner: ModelRunner;
  let remove: () => void;
  let run: OracleRun;
  const at = (hook: string, position = LAST) => Float64Array.from(run.activations.get(hook)?.[position] ?? []);

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 4));
    runner = await ModelRunner.open(model, { threads: 1 });
    run = oracleRun(config, model.weights, TOKENS);
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const normOf = (layer: number, name: 'norm1' | 'norm2') =>
    FinalNorm.read(config, model.weights.blocks[layer][name], runner.files);

  it('has gains that differ from norm to norm, so that none can stand for another', async () => {
    const gains = await Promise.all([normOf(0, 'norm1'), normOf(0, 'norm2'), normOf(1, 'norm1')]);
    expect(new Set([...gains, runner.finalNorm].map(({ gain }) => gain.join())).size).toBe(4);
  });

  it('1: the parts of the stream add up to the observable, final scale frozen', async () => {
    const { direction, bias } = await runner.unembedding.direction(TERMS);
    const y = pullBackNorm(runner.finalNorm, direction, 'frozen', at(`blocks.${nLayers - 1}.hook_resid_post`));
    let sum = y.offset + bias + dot(y.vector, at('blocks.0.hook_resid_pre'));
    for (let layer = 0; layer < nLayers; layer += 1) {
      const weights = await HeadWeights.read(runner, layer);
      const z = at(`blocks.${layer}.attn.hook_z`);
      for (let head = 0; head < nHeads; head += 1) {
        sum += dot(y.vector, weights.output(head, z.subarray(head * dHead, (head + 1) * dHead)));
      }
      const out = model.weights.blocks[layer].attention.out.bias;
      if (out !== null) sum += dot(y.vector, await runner.files.tensor(out));
      sum += dot(y.vector, at(`blocks.${layer}.hook_mlp_out`));
    }
    const logits = run.logits[LAST];
    const value = TERMS.reduce((total, { id, weight }) => total + weight * logits[id], 0);
    expect(Math.abs(sum - value)).toBeLessThan(1e-10 * Math.max(1, Math.abs(value)));
  });

  it('2: what a head reads from each token adds up to what it writes', async () => {
    const y = row();
    for (const layer of [0, nLayers - 1]) {
      const weights = await HeadWeights.read(runner, layer);
      const norm = await normOf(layer, 'norm1');
      for (let head = 0; head < nHeads; head += 1) {
        const z = at(`blocks.${layer}.attn.hook_z`).subarray(head * dHead, (head + 1) * dHead);
        const { vector, offset } = weights.pullBack(head, y);
        const pattern = at(`blocks.${layer}.attn.hook_pattern.${head}`);
        const sum = pattern.reduce((total, share, source) => {
          const x = at(`blocks.${layer}.hook_resid_pre`, source);
          return total + share * (dot(vector, norm.normed(x)) + offset);
        }, 0);
        expect(Math.abs(sum - dot(y, weights.output(head, z)))).toBeLessThan(1e-10);
      }
    }
  });

  it('5: pass a norm as its central difference does, eps and gain included', async () => {
    const norm = await normOf(1, 'norm2');
    for (const size of [1, 0.01, 30]) {
      const [n, x, v] = [row(), row(size), row()];
      const { vector, offset } = pullBackNorm(norm, n, 'jacobian', x);
      const found = slope((point) => normAlong(norm, n, point), x, v, 1e-4 * size);
      expect(Math.abs(dot(vector, v) - found)).toBeLessThan(1e-6 * (length(vector) * length(v)));
      expect(dot(vector, x) + offset).toBeCloseTo(normAlong(norm, n, x), 9);
      const { rho, angle } = normAngle(norm, n, x);
      const straight = norm.pullBack(n, 1);
      const cosine = dot(straight, vector) / (length(straight) * length(vector));
      expect(Math.abs(Math.cos(angle) - cosine)).toBeLessThan(1e-10);
      const centred = norm.centred(x);
      expect(Math.abs(rho - dot(straight, centred) / (length(straight) * length(centred)))).toBeLessThan(1e-10);
      // sqrt(1 − ρ²) but for eps, which only counts for small inputs.
      if (size === 30) expect(Math.abs(cosine - Math.sqrt(1 - rho * rho))).toBeLessThan(1e-6);
      const one = new Float64Array(dModel).fill(1);
      if (config.norm.kind === 'layernorm')
        expect(Math.abs(dot(vector, one))).toBeLessThan(1e-10 * dModel * length(vector));
      if (size === 30) expect(Math.abs(dot(vector, centred))).toBeLessThan(1e-6 * length(vector) * length(centred));
    }
  });

  it('keep what each mode promises at its point', async () => {
    const norm = await normOf(0, 'norm1');
    const [n, x] = [row(), row(3)];
    const value = normAlong(norm, n, x);
    const pulled = Object.fromEntries(normModes.map((mode) => [mode, pullBackNorm(norm, n, mode, x)]));
    for (const mode of ['frozen', 'jacobian', 'secant'] as const) {
      expect(Math.abs(dot(pulled[mode].vector, x) + pulled[mode].offset - value), mode).toBeLessThan(1e-10);
    }
    expect(pulled.ignore.vector).toEqual(n);
    // Without the mean and eps, scaled is frozen.
    const scaled = norm.centred(pulled.scaled.vector);
    const ratio = length(pulled.frozen.vector) / length(scaled);
    expect(ratio).toBeCloseTo(1, 4);
    expect(dot(scaled, pulled.frozen.vector) / (length(scaled) * length(pulled.frozen.vector))).toBeCloseTo(1, 12);
    const turned = plus(
      x,
      norm.centred(n),
      (-1 * dot(pulled.secant.vector, x)) / dot(pulled.secant.vector, norm.centred(n)),
    );
    expect(Math.abs(dot(pulled.secant.vector, turned))).toBeLessThan(1e-8);
  });

  it('give by the mean over a segment the difference between its ends', async () => {
    const norm = await normOf(2, 'norm1');
    const [n, from, to] = [row(), row(2), row(2)];
    const difference = normAlong(norm, n, to) - normAlong(norm, n, from);
    for (const mode of ['jacobian', 'secant'] as const) {
      const { vector, offset } = meanPullBack(norm, n, mode, from, to);
      const limit = mode === 'secant' ? 1e-10 : 1e-3;
      expect(Math.abs(dot(vector, plus(to, from, -1)) - difference)).toBeLessThan(
        limit * Math.max(1, Math.abs(difference)),
      );
      expect(dot(vector, to) + offset).toBeCloseTo(normAlong(norm, n, to), 2);
    }
  });

  it('6: pass an MLP as its central difference does, at a point, at the boundary and on average', async () => {
    const mlp = await MlpPullBack.read(runner, 1);
    const [y, from, to, v] = [row(), row(), row(), row()];
    const g = (z: Float64Array) => mlp.value(y, z);
    const exact = dot(y, at('blocks.1.hook_mlp_out'));
    const norm = await normOf(1, 'norm2');
    const input = at(config.parallelResidual ? 'blocks.1.hook_resid_pre' : 'blocks.1.hook_resid_mid');
    expect(Math.abs(g(norm.normed(input)) - exact)).toBeLessThan(1e-10 * Math.max(1, Math.abs(exact)));
    const own = mlp.at(y, to);
    const step = config.mlp.activation === 'relu' ? 1e-7 : 1e-4;
    expect(Math.abs(dot(own.vector, v) - slope(g, to, v, step))).toBeLessThan(1e-6 * length(own.vector) * length(v));
    expect(Math.abs(dot(own.vector, to) + own.offset - g(to))).toBeLessThan(1e-10);

    const whole = g(to) - g(from);
    const { vector, root } = mlp.boundary(y, from, to);
    const z = between(from, to, root?.t ?? -1);
    expect(root?.ends.map((end) => end.toFixed(9))).toEqual([g(from), g(to)].map((end) => end.toFixed(9)));
    expect(root?.target === 0).toBe(g(from) * g(to) <= 0);
    if (root?.target !== 0) expect(root?.target).toBeCloseTo((g(from) + g(to)) / 2, 10);
    expect(Math.abs(g(z) - (root?.target ?? 0))).toBeLessThan(1e-6 * Math.abs(whole));
    expect(vector).toEqual(
      mlp.at(y, z).vector.map((value, i) => (Math.abs(value - vector[i]) < 1e-9 ? vector[i] : value)),
    );

    const mean = mlp.mean(y, from, to);
    const limit = config.mlp.activation === 'relu' ? 2e-2 : 1e-3;
    expect(Math.abs(dot(mean.vector, plus(to, from, -1)) - whole)).toBeLessThan(limit * length(mean.vector));
    expect((dot(mean.vector, from) + dot(mean.vector, to)) / 2 + mean.offset).toBeCloseTo((g(to) + g(from)) / 2, 9);
  });
});

describe('the decision boundary', () => {
  it('is found to the last bit, whichever way the function goes', () => {
    for (const sign of [1, -1]) {
      const root = segmentRoot((t) => sign * (t - 1 / 3) * (1 + t * t));
      expect(Math.abs(root.t - 1 / 3)).toBeLessThan(1e-15);
      expect(root.target).toBe(0);
    }
  });

  it('is the mean of two ends of one sign', () => {
    const root = segmentRoot((t) => 1 + t ** 2);
    expect(root).toMatchObject({ ends: [1, 2], target: 1.5 });
    expect(root.t).toBeCloseTo(Math.SQRT1_2, 12);
  });

  it('is in the middle where nothing changes', () => {
    expect(segmentRoot(() => 3)).toMatchObject({ t: 0.5, target: 3 });
    expect(segmentRoot(() => 0)).toMatchObject({ t: 0.5, target: 0 });
  });
});
