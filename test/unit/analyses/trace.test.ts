import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { sumOfParts } from '../../../src/core/analyses/directAttribution.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import { oracleMeanEmbedding, oracleRun } from '../../support/oracle.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const IDS = [3, 14, 15, 9, 2, 6, 5, 35, 8, 9];
const PROMPT = IDS.map((id) => `t${id}`).join(' ');
const OBSERVABLE = { ' t7': 1, ' t11': -1, ' t40': 0.5 };
const TERMS = [
  [7, 1],
  [11, -1],
  [40, 0.5],
] as const;

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const observe = (logits: readonly number[]) => sum(TERMS.map(([id, weight]) => weight * logits[id]));

describe.each(Object.entries(SHAPES))('trace of %s', (_, config) => {
  let engine: AnalysisEngine;
  let model: OpenModel;
  let remove: () => void;
  const request = (more: Partial<TraceRequest> = {}): TraceRequest => ({
    ...{ model: 'random', prompt: PROMPT, observable: OBSERVABLE, method: 'direct' },
    ...more,
  });

  beforeAll(async () => {
    ({ model, remove } = randomModel(config));
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 22, version: '0.0.0-test' });
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it.each([-1, 4, 0])('splits the observable at position %i into parts that add up to it', async (position) => {
    const document = await engine.trace(request({ position }));
    const { value } = document.observable;
    const at = document.position;
    const oracle = oracleRun(config, model.weights, IDS);
    expect(document.warnings).toEqual([]);
    expect(Math.abs(value - observe(oracle.logits[at]))).toBeLessThan(1e-4);
    expect(Math.abs(sumOfParts(document.direct) - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    expect(Math.abs(sum(document.attributions) - value)).toBeLessThan(1e-4 * Math.max(1, Math.abs(value)));
    document.direct.heads.forEach((heads, layer) => {
      heads.forEach((head, h) => {
        const row = (layer * config.nHeads + h) * IDS.length;
        const bySource = document.direct.bySource.data.subarray(row, row + IDS.length);
        const attention = document.direct.attention.data.subarray(row, row + IDS.length);
        expect(Math.abs(sum([...bySource]) - head)).toBeLessThan(1e-4 * Math.max(1, Math.abs(head)));
        expect(sum([...attention])).toBeCloseTo(1, 5);
        const pattern = oracle.activations.get(`blocks.${layer}.attn.hook_pattern.${h}`)?.[at] ?? [];
        expect([...attention].every((weight, key) => Math.abs(weight - pattern[key]) < 1e-5)).toBe(true);
        expect([...bySource].every((part, key) => key <= at || part === 0)).toBe(true);
      });
    });
  });

  it('attributes to each head, MLP and embedding what the model itself writes along the observable', async () => {
    const { direct } = await engine.trace(request());
    const { activations } = oracleRun(config, model.weights, IDS);
    const { direction } = await engine.runner.unembedding.direction(TERMS.map(([id, weight]) => ({ id, weight })));
    const scale = activations.get('ln_final.hook_scale')?.at(-1)?.[0] ?? Number.NaN;
    const u = engine.runner.finalNorm.pullBack(direction, scale);
    const along = (values: ArrayLike<number>) => sum([...u].map((value, i) => value * values[i]));
    const last = (name: string) => along(activations.get(name)?.at(-1) ?? []);
    expect(Math.abs(direct.embedding - last('hook_embed'))).toBeLessThan(1e-4);
    for (let layer = 0; layer < config.nLayers; layer += 1) {
      const name = `blocks.${layer}.attn.hook_result`;
      const run = await engine.runner.run([IDS], { hooks: [name], positions: [-1] });
      const results = run.activations.get(name)?.data ?? new Float32Array(0);
      direct.heads[layer].forEach((head, h) => {
        expect(Math.abs(head - along(results.subarray(h * config.dModel, (h + 1) * config.dModel)))).toBeLessThan(1e-4);
      });
      expect(Math.abs(direct.mlps[layer] - last(`blocks.${layer}.hook_mlp_out`))).toBeLessThan(1e-4);
    }
  });

  it('occludes each token as the oracle does, and finds exactly nothing after the position', async () => {
    const position = 7;
    const document = await engine.trace(request({ method: 'occlusion', position }));
    const mean = oracleMeanEmbedding(model.weights);
    const whole = observe(oracleRun(config, model.weights, IDS).logits[position]);
    document.attributions.forEach((attribution, token) => {
      const occluded = oracleRun(config, model.weights, IDS, new Map([[token, mean]]));
      if (token > position) expect(attribution).toBe(0);
      else expect(Math.abs(attribution - (whole - observe(occluded.logits[position])))).toBeLessThan(1e-4);
    });
    expect(document.provenance.ablation).toMatch(/mean embedding/);
  });

  it('reads the lens of every layer as the oracle does', async () => {
    const table = await engine.lens(request(), [2, -1]);
    const oracle = oracleRun(config, model.weights, IDS);
    const last = table.values.at(-1) ?? [];
    expect(table.positions).toEqual([2, 9]);
    expect(table.rows).toEqual(['emb', 'L0', 'L1', 'L2']);
    expect(Math.abs(last[0] - observe(oracle.logits[2]))).toBeLessThan(1e-4);
    expect(Math.abs(last[1] - observe(oracle.logits[9]))).toBeLessThan(1e-4);
    const best = oracle.logits[9].indexOf(Math.max(...oracle.logits[9]));
    expect(table.top.at(-1)?.[1].id).toBe(best);
    const total = sum(oracle.logits[9].map((logit) => Math.exp(logit - oracle.logits[9][best])));
    expect(table.top.at(-1)?.[1].p).toBeCloseTo(1 / total, 4);
  });

  it('shows the pattern of a head and what its OV circuit pushes', async () => {
    const detail = await engine.head(request(), { layer: 1, head: 3, source: 4 });
    const oracle = oracleRun(config, model.weights, IDS);
    const pattern = oracle.activations.get('blocks.1.attn.hook_pattern.3')?.flat() ?? [];
    expect(detail.pattern.dims).toEqual([10, 10]);
    expect(pattern.every((weight, i) => Math.abs(weight - detail.pattern.data[i]) < 1e-5)).toBe(true);
    // The OV logit of an observable's term, times the attention, is what the trace attributes to that source.
    const [best] = detail.ov.up;
    const single = await engine.trace(request({ observable: { [best.text]: 1 } }));
    const row = (1 * config.nHeads + 3) * IDS.length + 4;
    const { bySource, attention } = single.direct;
    expect(Math.abs(best.logit * attention.data[row] - bySource.data[row])).toBeLessThan(1e-4);
    expect(detail.ov.up).toHaveLength(5);
    expect(detail.ov.down[0].logit).toBeLessThanOrEqual(detail.ov.down[4].logit);
  });
});
