import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActivationCache } from '../../../src/core/engine/activationCache.ts';
import { FinalNorm } from '../../../src/core/engine/finalNorm.ts';
import { HeadWeights } from '../../../src/core/engine/headWeights.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { featureVector, walkFeature } from '../../../src/core/observables/featureVector.ts';
import { dot, length } from '../../../src/core/observables/vectors.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { distance } from '../../support/gradients.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

const TOKENS = [5, 17, 3, 40, 22];
const OTHER = [5, 31, 3, 11, 22];
const LAST = TOKENS.length - 1;
const TERMS = [
  { id: 7, text: ' t7', weight: 1 },
  { id: 12, text: ' t12', weight: -1 },
];
const OBSERVABLE = { label: 't7 − t12', terms: TERMS };

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llama', 'mistral'])('features of %s as interventions have it', (shape) => {
  const config = SHAPES[shape];
  const { nHeads, nLayers, dModel } = config;
  const random = normals(17);
  let model: OpenModel;
  let runner: ModelRunner;
  let cache: ActivationCache;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 31));
    runner = await ModelRunner.open(model, { threads: 1 });
    cache = new ActivationCache(runner, 1 << 24);
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const run = (interventions: readonly Intervention[], hooks: readonly string[] = []) =>
    runner.runWith([TOKENS], { interventions, hooks, runs: { other: [OTHER], same: [TOKENS] } });
  const observed = async (interventions: readonly Intervention[]) => {
    const { data } = await (await run(interventions)).logits({ columns: TERMS.map(({ id }) => id) });
    return TERMS.reduce((sum, { weight }, i) => sum + weight * data[i], 0);
  };
  const freeze = (hook: string, more: object = {}): Intervention => ({ kind: 'freeze', at: { hook, ...more } });
  const [LAYER, HEAD, SOURCE] = [1, 2, 1];
  /** Only one head carries a change from below its layer on; scales and patterns stand still. */
  const onlyHead = [
    freeze(`blocks.${LAYER}.ln1.hook_scale`),
    freeze(`blocks.${LAYER}.attn.hook_pattern`),
    freeze(`blocks.${LAYER}.attn.hook_z`, {
      heads: Array.from({ length: nHeads }, (_, h) => h).filter((h) => h !== HEAD),
    }),
    freeze(`blocks.${LAYER}.hook_mlp_out`),
    ...Array.from({ length: nLayers - LAYER - 1 }, (_, i) => LAYER + 1 + i).flatMap((layer) => [
      freeze(`blocks.${layer}.hook_attn_out`),
      freeze(`blocks.${layer}.hook_mlp_out`),
    ]),
    freeze('ln_final.hook_scale'),
  ];
  const path = `L${LAYER}.H${HEAD}@${SOURCE + 1}`;
  const at = { hook: `blocks.${LAYER}.hook_resid_pre`, positions: [SOURCE] };
  const attention = async () => {
    const { activations } = await runner.run([TOKENS], { hooks: [`blocks.${LAYER}.attn.hook_pattern`] });
    const pattern = activations.get(`blocks.${LAYER}.attn.hook_pattern`)?.data ?? new Float32Array(0);
    return pattern[(HEAD * TOKENS.length + LAST) * TOKENS.length + SOURCE];
  };
  const streamAt = async (interventions: readonly Intervention[]) =>
    (await run(interventions, [at.hook])).activations
      .get(at.hook)
      ?.data.subarray(SOURCE * dModel, (SOURCE + 1) * dModel) ?? new Float32Array(0);
  const close = (found: number, wanted: number) =>
    expect(Math.abs(found - wanted)).toBeLessThan(1e-4 * Math.max(1, Math.abs(wanted)));

  it('9: adding α v before a head changes the observable by α A v · y', async () => {
    const { vector } = await featureVector({ runner, cache }, { observable: OBSERVABLE, path }, { ids: TOKENS });
    const share = await attention();
    const base = await observed(onlyHead);
    for (const [v, alpha] of [
      [Array.from({ length: dModel }, random), 1.5],
      [[...vector], 1 / length(vector)],
      [[...vector], -2 / length(vector)],
    ] as const) {
      const change = (await observed([{ kind: 'add', vector: v, factor: alpha, at }, ...onlyHead])) - base;
      close(change, alpha * share * dot(v, vector));
    }
  });

  it('10: projecting a feature out makes its score 0 there, twice as once', async () => {
    const { vector } = await featureVector({ runner, cache }, { observable: OBSERVABLE, path }, { ids: TOKENS });
    const out: Intervention = { kind: 'projectOut', direction: [...vector], at };
    const [before, once, twice] = [await streamAt([]), await streamAt([out]), await streamAt([out, out])];
    const scale = length(vector) * length(before);
    expect(Math.abs(dot(vector, before))).toBeGreaterThan(1e-3 * scale);
    expect(Math.abs(dot(vector, once))).toBeLessThan(1e-6 * scale);
    expect(distance(twice, once)).toBeLessThan(1e-6);
  });

  it('10: a pair patch with the exact factor gives the score of the other prompt', async () => {
    const { vector } = await featureVector({ runner, cache }, { observable: OBSERVABLE, path }, { ids: TOKENS });
    const unit = vector.map((value) => value / length(vector));
    const { activations } = await runner.run([OTHER], { hooks: [at.hook], positions: [SOURCE] });
    const other = activations.get(at.hook)?.data ?? new Float32Array(0);
    const factor = dot(unit, other) - dot(unit, await streamAt([]));
    const patched = await streamAt([{ kind: 'add', vector: [...unit], factor, at }]);
    close(dot(unit, patched), dot(unit, other));
  });

  it('11: patching values of one token from another prompt does A (y · (LN(x) − LN(x′))), and nothing from itself', async () => {
    const z = { hook: `blocks.${LAYER}.attn.hook_v`, positions: [SOURCE] };
    const base = await observed(onlyHead);
    expect(await observed([{ kind: 'patch', at: z, from: { run: 'same' } }])).toBe(await observed([]));
    const change = (await observed([...onlyHead.slice(1), { kind: 'patch', at: z, from: { run: 'other' } }])) - base;
    const { nodes } = await walkFeature({ runner, cache }, { observable: OBSERVABLE, path }, { ids: TOKENS });
    const weights = await HeadWeights.read(runner, LAYER);
    const { vector } = weights.pullBack(HEAD, nodes[0].direction);
    const norm = await FinalNorm.read(config, model.weights.blocks[LAYER].norm1, runner.files);
    const normed = async (ids: readonly number[]) => {
      const { activations } = await runner.run([ids], { hooks: [at.hook], positions: [SOURCE] });
      return norm.normed(Float64Array.from(activations.get(at.hook)?.data ?? []));
    };
    const [clean, dirty] = [await normed(TOKENS), await normed(OTHER)];
    close(change, (await attention()) * (dot(vector, dirty) - dot(vector, clean)));
  });
});
