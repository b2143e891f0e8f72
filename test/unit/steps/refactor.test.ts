import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { StepContext, StepKind } from '../../../src/core/experiments/stepKind.ts';
import { copyingScatter } from '../../../src/core/experiments/steps/copyingScatter.ts';
import { ovCircuit } from '../../../src/core/experiments/steps/ovCircuit.ts';
import { patchHeads } from '../../../src/core/experiments/steps/patchHeads.ts';
import { patchPaths } from '../../../src/core/experiments/steps/patchPaths.ts';
import { patchResidual } from '../../../src/core/experiments/steps/patchResidual.ts';
import { swapBosAttention } from '../../../src/core/experiments/steps/swapBosAttention.ts';
import { swapCombination } from '../../../src/core/experiments/steps/swapCombination.ts';
import type { TensorLocation } from '../../../src/core/models/modelWeights.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { acronymTask, LOGIT_DIFFERENCE as metric, runStep, stepContext } from '../../support/steps.ts';

/** Changes a tensor in its file. */
function rewrite({ file, offset, byteLength }: TensorLocation, change: (values: Float32Array) => void): Float32Array {
  const bytes = readFileSync(file);
  const values = new Float32Array(byteLength / 4);
  values.forEach((_, i) => {
    values[i] = bytes.readFloatLE(offset + 4 * i);
  });
  change(values);
  values.forEach((value, i) => {
    bytes.writeFloatLE(value, offset + 4 * i);
  });
  writeFileSync(file, bytes);
  return values;
}

const read = (location: TensorLocation) => rewrite(location, () => undefined);

/** Folds the first norm of a block into the maps that read it: gain and bias go into q, k and v. */
function foldNorm({ config, weights }: OpenModel, layer: number): void {
  const { norm1, attention } = weights.blocks[layer];
  if (attention.qkv.kind !== 'fused' || attention.qkv.qkv.bias === null || norm1.bias === null)
    throw new Error('shape');
  const { weight, bias } = attention.qkv.qkv;
  const [gain, shift] = [read(norm1.gain), read(norm1.bias)];
  const outputs = 3 * config.dModel;
  const before = read(weight);
  rewrite(bias, (values) => {
    for (let i = 0; i < config.dModel; i += 1) {
      for (let o = 0; o < outputs; o += 1) values[o] += shift[i] * before[i * outputs + o];
    }
  });
  rewrite(weight, (values) => {
    for (let i = 0; i < values.length; i += 1) values[i] *= gain[Math.floor(i / outputs)];
  });
  rewrite(norm1.gain, (values) => values.fill(1));
  rewrite(norm1.bias, (values) => values.fill(0));
}

/** Turns the value space of a head by an angle, and puts the heads' value biases into the output bias. */
function refactorValues({ config, weights }: OpenModel, layer: number, head: number): void {
  const { qkv, out } = weights.blocks[layer].attention;
  if (qkv.kind !== 'fused' || qkv.qkv.bias === null || out.bias === null) throw new Error('shape');
  const { dModel, dHead } = config;
  const [cos, sin] = [Math.cos(0.7), Math.sin(0.7)];
  const first = 2 * dModel + head * dHead;
  const turn = (values: Float32Array, a: number, b: number) => {
    [values[a], values[b]] = [cos * values[a] - sin * values[b], sin * values[a] + cos * values[b]];
  };
  rewrite(qkv.qkv.weight, (values) => {
    for (let i = 0; i < dModel; i += 1) turn(values, i * 3 * dModel + first, i * 3 * dModel + first + 1);
  });
  rewrite(qkv.qkv.bias, (values) => turn(values, first, first + 1));
  const output = rewrite(out.weight, (values) => {
    for (let j = 0; j < dModel; j += 1) turn(values, head * dHead * dModel + j, (head * dHead + 1) * dModel + j);
  });
  const value = read(qkv.qkv.bias).slice(2 * dModel);
  rewrite(qkv.qkv.bias, (values) => values.fill(0, 2 * dModel));
  rewrite(out.bias, (values) => {
    for (let e = 0; e < dModel; e += 1)
      for (let j = 0; j < dModel; j += 1) values[j] += value[e] * output[e * dModel + j];
  });
}

// §9: patching is invariant under folding the norm and refactoring OV, and so is the OV matrix. Value biases count to no head.
describe('the same model written otherwise', () => {
  const task = acronymTask(3);
  let contexts: StepContext[];
  let close: () => Promise<void>;

  beforeAll(async () => {
    const [plain, other] = [randomModel(SHAPES.gpt2, 51), randomModel(SHAPES.gpt2, 51)];
    for (const layer of [0, 1, 2]) {
      foldNorm(other.model, layer);
      refactorValues(other.model, layer, 1);
    }
    const engines: AnalysisEngine[] = [await wordEngine(plain.model), await wordEngine(other.model)];
    contexts = engines.map((engine) => stepContext(engine, task));
    close = async () => {
      for (const engine of engines) await engine.close();
      plain.remove();
      other.remove();
    };
  });
  afterAll(() => close());

  async function same<P>(kind: StepKind<P>, params: P): Promise<void> {
    const [own, other] = [await runStep(kind, contexts[0], params), await runStep(kind, contexts[1], params)];
    const names = Object.keys(own.values);
    expect(Object.keys(other.values)).toEqual(names);
    expect(names.length).toBeGreaterThan(0);
    expect(names.some((name) => Math.abs(own.values[name]) > 1e-2)).toBe(true);
    for (const name of names) expect(Math.abs(own.values[name] - other.values[name]), name).toBeLessThan(1e-4);
  }

  it('gives the same effects of patching', async () => {
    const params = { corruption: 'cur:{answer}', metric };
    await same(patchResidual, params);
    await same(patchHeads, params);
    await same(patchHeads, { ...params, at: ['A1'], site: 'v' as const });
    await same(patchPaths, params);
    await same(swapBosAttention, { pairs: [['C1', 'C3']], metric });
    const swapped = { pairs: [['C1', 'C3']], swapped: ['L0.H1', 'L1.H2'], heads: ['L2.H1'], metric };
    await same(swapCombination, swapped);
    await same(swapCombination, { ...swapped, renormalise: true, queries: 'pair' as const });
  });

  it('gives the same OV circuits, and the same correlations of attention and what is written', async () => {
    const sets = { in: [5, 9, 30], out: [7, 5, 40] };
    for (const norm of [false, true]) await same(ovCircuit, { heads: ['L1.H1', 'L2.H0'], sets, norm });
    await same(copyingScatter, { heads: ['L1.H1', 'L0.H2'], to: ['C1', 'C2', 'C3'] });
  });
});
