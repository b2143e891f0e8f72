import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { gradientTimesInput, integratedGradients } from '../../../src/core/analyses/integratedGradients.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const ids = Int32Array.of(3, 9, 4, 20, 7);
const terms = [
  { id: 5, text: ' t5', weight: 1 },
  { id: 6, text: ' t6', weight: -1 },
];

describe.each(['gpt2', 'llama'])('tokens and steering in %s', (name) => {
  let engine: AnalysisEngine;
  let remove: () => void;

  beforeAll(async () => {
    const random = randomModel(SHAPES[name], 8);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  const context = () => ({ model: engine.model, runner: engine.runner, cache: engine.cache, version: 'test' });

  it('adds integrated gradients up to the way from the baseline', async () => {
    const { attributions, value, baselineValue } = await integratedGradients(context(), ids, 4, terms, 1000);
    const sum = attributions.reduce((total, one) => total + one, 0);
    expect(Math.abs(sum - (value - baselineValue))).toBeLessThan(0.01 * Math.max(1, Math.abs(value - baselineValue)));
  });

  it('gives nothing to tokens after the position, by gradient and by integration', async () => {
    const product = await gradientTimesInput(context(), ids, 2, terms);
    const shorter = await gradientTimesInput(context(), ids.subarray(0, 3), 2, terms);
    expect(product).toEqual([...shorter, 0, 0]);
    const { attributions } = await integratedGradients(context(), ids, 2, terms, 4);
    expect(attributions.slice(3)).toEqual([0, 0]);
  });

  it('follows the gradient × input product in small steps along the embedding of one token', async () => {
    const product = await gradientTimesInput(context(), ids, 4, terms);
    const embedding = (await engine.runner.embed([ids])).tokens.subarray(0, SHAPES[name].dModel);
    const size = Math.hypot(...embedding);
    const request = { model: 'test', prompt: { clean: ' t3 t9 t4 t20 t7', answer: ' t5', foils: [' t6'] } };
    const direction = { kind: 'vector' as const, values: Array.from(embedding) };
    const step = 0.01 * size;
    const at = { ...request, hook: 'hook_embed', direction, positions: [0], factors: [step, -step] };
    const { steered } = await engine.steer(at);
    const slope = (steered[0].value - steered[1].value) / 0.02;
    expect(Math.abs(slope - product[0])).toBeLessThan(0.02 * Math.max(1, Math.abs(product[0])));
  });

  it('changes nothing with factor 0, and each factor by itself', async () => {
    const prompt = { clean: ' t3 t9 t4', answer: ' t5', foils: [' t6'] };
    const direction = { kind: 'unembedding' as const, toward: ' t5', away: ' t6' };
    const base = { model: 'test', prompt, hook: 'blocks.1.hook_resid_pre', direction };
    const several = await engine.steer({ ...base, factors: [0, 3] });
    expect(several.steered[0]).toEqual({ factor: 0, ...several.clean });
    const [alone] = (await engine.steer({ ...base, factors: [3] })).steered;
    expect(alone.value).toBe(several.steered[1].value);
    expect(alone.value).not.toBe(several.clean.value);
    expect(several.clean.kl).toBe(0);
    const byMetric = await engine.steer({ ...base, metric: { kind: 'kl' }, factors: [3] });
    expect(alone.kl).toBeGreaterThan(0);
    expect(byMetric.steered[0].value).toBe(alone.kl);
  });
});
