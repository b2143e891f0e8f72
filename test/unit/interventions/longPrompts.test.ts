import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordCleanRun } from '../../../src/core/engine/interventions/cleanRun.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

// Longer than one run of positions, and a batch longer than one run of items.
const [LENGTH, ITEMS] = [640, 2];

describe.each(['gpt2', 'llama', 'mistral'])('interventions on long prompts of %s', (name) => {
  const config = { ...SHAPES[name], nCtx: LENGTH };
  const { model, remove } = randomModel(config, 4);
  const random = seededRandom(8);
  const batch = () =>
    Array.from({ length: ITEMS }, () => Array.from({ length: LENGTH }, () => random.below(config.dVocab)));
  const [tokens, other] = [batch(), batch()];
  const vector = (width: number) => Array.from({ length: width }, () => random.normal());
  let runner: ModelRunner;
  beforeAll(async () => {
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const hooks = ['blocks.1.attn.hook_result', 'blocks.2.hook_resid_pre', 'blocks.1.ln2.hook_scale'];
  const list: Intervention[] = [
    { kind: 'patch', from: { run: 'other' }, at: { hook: 'blocks.0.attn.hook_k', positions: [3, 510, 520, -1] } },
    { kind: 'mean', over: 'batch', at: { hook: 'blocks.0.attn.hook_attn_scores', heads: [1] } },
    {
      kind: 'editPattern',
      entries: [{ query: 600, key: 598, value: 2 }],
      renormalise: true,
      at: { hook: 'blocks.1.attn.hook_pattern', items: [1] },
    },
    { kind: 'scale', factor: -1, at: { hook: 'blocks.1.attn.hook_result', heads: [0, 2], positions: [511, 512, 513] } },
    { kind: 'scale', factor: 1.5, at: { hook: 'blocks.1.ln2.hook_scale', positions: [100, 639] } },
    {
      kind: 'add',
      vector: vector(config.dModel),
      at: { hook: 'blocks.2.hook_resid_pre', positions: [530], items: [0] },
    },
    { kind: 'projectOut', direction: vector(config.dModel), at: { hook: 'blocks.2.hook_mlp_out' } },
  ];
  /** Swaps nothing, but makes a layer run all positions at once. */
  const whole: Intervention[] = [0, 1, 2].map((layer) => ({
    ...{ kind: 'swapPositions', pairs: [[0, 0]], at: { hook: `blocks.${layer}.hook_attn_out` } },
  }));

  const distance = (a: Float32Array, b: Float32Array) => {
    let [difference, scale] = [0, 1];
    expect(a.length).toBe(b.length);
    for (let i = 0; i < a.length; i += 1) {
      difference = Math.max(difference, Math.abs(a[i] - b[i]));
      scale = Math.max(scale, Math.abs(b[i]));
    }
    return difference / scale;
  };

  it('are the same in pieces as at once, alone as in a batch, and from a clean run', async () => {
    const options = { runs: { other }, hooks, positions: [100, 511, 512, 530, 600] };
    const pieces = await runner.runWith(tokens, { ...options, interventions: list });
    const atOnce = await runner.runWith(tokens, { ...options, interventions: [...list, ...whole] });
    expect(distance(pieces.residual.data, (await runner.run(tokens)).residual.data)).toBeGreaterThan(1e-3);
    expect(distance(pieces.residual.data, atOnce.residual.data)).toBeLessThan(1e-5);
    for (const hook of hooks) {
      const [a, b] = [pieces, atOnce].map(({ activations }) => activations.get(hook)?.data ?? new Float32Array(0));
      expect(a.length).toBeGreaterThan(0);
      expect(distance(a, b), hook).toBeLessThan(1e-5);
    }
    const late = list.slice(3).filter(({ at }) => at.positions?.[0] !== 100 && at.positions !== undefined);
    const clean = await recordCleanRun(runner, tokens);
    const full = await runner.runWith(tokens, { interventions: late });
    const before = runner.counters.blockPositions;
    const resumed = await runner.runWith(tokens, { interventions: late, clean });
    expect(runner.counters.blockPositions - before).toBe(2 * ITEMS * (LENGTH - 511));
    expect(distance(resumed.residual.data, full.residual.data)).toBeLessThan(1e-5);
  });
});
