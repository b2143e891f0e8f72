import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { WeightFiles } from '../../../src/core/engine/weightFiles.ts';
import type { ModelWeights, TensorLocation } from '../../../src/core/models/modelWeights.ts';
import type { AblateRequest, GridDocument, GridRequest, PatchSite } from '../../../src/shared/gridDocument.ts';
import { sweep, WORDS, wordEngine } from '../../support/gridContext.ts';
import { overwriteTensor } from '../../support/overwriteTensor.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

/** So large that the variance of a stream is lost beside it: the scale of every norm is its root, whatever is run. */
const EPS = 1e12;
/** So large that no neuron ever reaches the bend of the rectifier. */
const ALWAYS_ON = 20;
/** What the MLPs read is small, for the same reason. */
const MLP_GAIN = 0.03;

const config = {
  ...SHAPES.gpt2,
  norm: { kind: 'layernorm' as const, eps: EPS },
  mlp: { gated: false, activation: 'relu' as const },
};
const { nLayers, dModel, dMlp } = config;

/** Makes the model linear in its embeddings: norms divide by a constant, neurons are always on, queries are zero. */
async function makeLinear({ blocks, finalNorm }: ModelWeights, files: WeightFiles): Promise<void> {
  const rescale = async (gain: TensorLocation, factor = 1) =>
    overwriteTensor(
      gain,
      (await files.tensor(gain)).map((value) => value * factor * Math.sqrt(EPS)),
    );
  await rescale(finalNorm.gain);
  for (const { norm1, norm2, attention, mlp } of blocks) {
    await rescale(norm1.gain);
    await rescale(norm2.gain, MLP_GAIN);
    if (attention.qkv.kind !== 'fused' || mlp.in.bias === null) throw new Error('Not of the shape of GPT-2.');
    const { weight, bias } = attention.qkv.qkv;
    const zeros = new Float32Array(dModel);
    for (let row = 0; row < dModel; row += 1) await overwriteTensor(weight, zeros, row * 3 * dModel);
    if (bias !== null) await overwriteTensor(bias, zeros);
    await overwriteTensor(mlp.in.bias, new Float32Array(dMlp).fill(ALWAYS_ON));
  }
}

describe('first-order estimates in a linear model', () => {
  const { model, remove } = randomModel(config, 8);
  let engine: AnalysisEngine;

  beforeAll(async () => {
    engine = await wordEngine(model);
    await makeLinear(model.weights, engine.runner.files);
    await engine.close();
    engine = await wordEngine(model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  const pairs = [
    { clean: ' t3 t9 t4 t20 t7', corrupted: ' t3 t8 t11 t20 t6', answer: 5, foils: [6] },
    { clean: ' t1 t2 t3 t4 t5', corrupted: ' t30 t31 t32 t33 t34', answer: 7, foils: [40], position: 3 },
  ];
  const patch = { ...WORDS, analysis: 'patch' as const, prompts: pairs };
  const ablate = {
    ...{ ...WORDS, analysis: 'ablate' as const },
    prompts: pairs.map(({ corrupted: _, ...prompt }) => prompt),
  };

  const largest = (values: ArrayLike<number>, base: number) =>
    Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value - base)), 0);

  /** The estimate of every cell and prompt is what a run gives. Returns the exact sweep. */
  async function expectExact(request: GridRequest, what: string): Promise<GridDocument> {
    const exact = await sweep(engine, request);
    const estimate = await sweep(engine, { ...request, method: 'attribution' });
    const tolerance = 1e-4 * Math.max(1, largest(exact.byItem.data, 0));
    exact.byItem.data.forEach((value, i) => {
      expect(Math.abs(estimate.byItem.data[i] - value), `${what}, number ${i}`).toBeLessThan(tolerance);
    });
    return exact;
  }

  const effects = ({ values, clean, corrupted }: GridDocument) =>
    values.map((row) => row.map((value) => (value ?? Number.NaN) - (corrupted ?? clean).mean));

  it.each<PatchSite>(['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out', 'z', 'v'])(
    'are exact for patching of %s, in both directions',
    async (site) => {
      const exact = await expectExact({ ...patch, site }, site);
      expect(largest(effects(exact).flat(), 0)).toBeGreaterThan(0.01);
      await expectExact({ ...patch, site, direction: 'noising' }, site);
    },
  );

  it('add up to the whole effect over the positions of the stream, and over the heads of a layer', async () => {
    const stream = await expectExact({ ...patch, site: 'resid_pre' }, 'resid_pre');
    const whole = stream.clean.mean - (stream.corrupted?.mean ?? Number.NaN);
    const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);
    for (const row of effects(stream)) expect(sum(row)).toBeCloseTo(whole, 2);
    // All heads of a layer are its attn_out.
    const last = nLayers - 1;
    const [z, all] = [
      await expectExact({ ...patch, site: 'z' }, 'z'),
      await expectExact({ ...patch, site: 'attn_out', byPosition: false }, 'attn_out'),
    ];
    expect(sum(effects(z)[last])).toBeCloseTo(effects(all)[last][0], 2);
  });

  it('see nothing in queries, keys and patterns, which move nothing here', async () => {
    for (const site of ['q', 'k', 'pattern'] as const) {
      const exact = await expectExact({ ...patch, site }, site);
      expect(largest(effects(exact).flat(), 0)).toBeLessThan(1e-3);
    }
  });

  it.each<AblateRequest['sites']>(['heads', 'mlps', 'neurons', 'positions'])(
    'are exact for ablation of %s',
    async (sites) => {
      for (const mode of ['zero', 'mean', 'resample'] as const) {
        await expectExact({ ...ablate, sites, mode, layer: 1 }, `${mode} ${sites}`);
      }
    },
  );
});
