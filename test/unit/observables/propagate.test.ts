import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import type { TraceDocument } from '../../../src/shared/traceDocument.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const PROMPT = ' t5 t17 t3 t40 t22 t9 t31';
const base = {
  model: 'm',
  prompt: PROMPT,
  method: 'observable-propagation',
  observable: { ' t7': 1, ' t12': -1 },
} as const;
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe.each(['gpt2', 'gptNeoX', 'llama'])('observable propagation in a trace of %s', (shape) => {
  const { model, remove } = randomModel(SHAPES[shape], 12);
  let engine: AnalysisEngine;

  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  const trace = async (more: Partial<TraceRequest> = {}) => {
    const found = await engine.trace({ ...base, ...more });
    return { ...found, detail: found.propagation as NonNullable<TraceDocument['propagation']> };
  };

  it('takes the head with the largest direct contribution where no path is named', async () => {
    const { detail, direct, attributions } = await trace();
    const values = direct.heads.flatMap((row, layer) =>
      row.map((value, head) => [value, `L${layer}.H${head}`] as const),
    );
    const [value, name] = values.sort(([a], [b]) => Math.abs(b) - Math.abs(a))[0];
    expect(detail.path).toMatch(new RegExp(`^${name}@[1-7]$`));
    expect(detail).toMatchObject({ pathIsDefault: true, norm: 'frozen', view: 'score' });
    expect(detail.contribution).toBeCloseTo(value, 4);
    expect(attributions).toEqual(detail.scores);
  });

  it('adds up to what the head writes, token by token as direct attribution has it', async () => {
    const { detail, direct, observable, attributions, warnings } = await trace({ path: 'L2.H1', view: 'contribution' });
    const [, heads, length] = direct.bySource.dims;
    const first = (2 * heads + 1) * length;
    detail.contributions.forEach((value, source) => {
      expect(value).toBeCloseTo(direct.bySource.data[first + source], 4);
      expect(detail.attention[source]).toBeCloseTo(direct.attention.data[first + source], 6);
    });
    expect(sum(attributions)).toBeCloseTo(detail.contribution, 4);
    expect(detail.share).toBeCloseTo(direct.heads[2][1] / observable.value, 4);
    expect(warnings.filter((text) => text.includes('through the path'))).toEqual([]);
  });

  it('goes through two heads: the sum over the middle token is what the later head reads there', async () => {
    const { detail } = await trace({ path: 'L2.H1@4 <= L1.H0', view: 'contribution' });
    const { runner } = engine;
    const ids = PROMPT.trim()
      .split(' ')
      .map((word) => Number(word.slice(1)));
    const hooks = ['blocks.1.attn.hook_result', 'blocks.2.attn.hook_pattern', 'blocks.2.ln1.hook_scale'];
    const { activations } = await runner.run([ids], { hooks });
    const [result, pattern] = hooks.map((hook) => activations.get(hook)?.data ?? new Float32Array(0));
    const { nHeads, dModel } = model.config;
    const written = result.subarray((3 * nHeads + 0) * dModel, (3 * nHeads + 1) * dModel);
    // Along L2.H1 at token 4 read alone, the stream of L1.H0's output.
    const later = await trace({ path: 'L2.H1@4 <= emb' });
    const scoreOf = async (x: Float32Array) => {
      const { walkFeature } = await import('../../../src/core/observables/featureVector.ts');
      const observable = { label: '', terms: later.observable.terms };
      const { vector } = await walkFeature(engine, { observable, path: 'L2.H1@4' }, { ids });
      return vector.reduce((total, value, i) => total + value * x[i], 0);
    };
    const share = pattern[(1 * ids.length + 6) * ids.length + 3];
    expect(detail.contribution).toBeCloseTo(share * (await scoreOf(written)), 4);
    expect(sum(detail.contributions)).toBeCloseTo(detail.contribution, 4);
    expect(sum(detail.attention)).toBeCloseTo(share, 5);
  });

  it('of an MLP and of the embedding says what they add at their own token', async () => {
    const mlp = await trace({ path: 'MLP 2', view: 'contribution' });
    expect(mlp.detail.contributions.map((value) => value !== 0)).toEqual([...new Array(6).fill(false), true]);
    expect(mlp.detail.contribution).toBeCloseTo(mlp.direct.mlps[2], 4);
    expect(mlp.detail.hook).toBe(model.config.parallelResidual ? 'blocks.2.hook_resid_pre' : 'blocks.2.hook_resid_mid');
    const emb = await trace({ path: 'emb' });
    expect(emb.detail.contribution).toBeCloseTo(emb.direct.embedding + emb.direct.positionEmbedding, 4);
    expect(emb.attributions[6]).toBeCloseTo(emb.detail.contribution, 4);
  });

  it('runs no forward pass for another observable, node, norm or view', async () => {
    engine.cache.clear();
    await engine.trace({ ...base, method: 'direct' });
    const { blockPositions } = engine.runner.counters;
    for (const more of [
      {},
      { observable: { ' t30': 1 } },
      { path: 'L0.H0' },
      { path: 'L2.H3@2 <= emb@2' },
      { path: 'L1.H2', norm: 'jacobian' },
      { path: 'L1.H2', norm: 'scaled', view: 'contribution' },
    ] as const) {
      await engine.trace({ ...base, ...more });
    }
    expect(engine.runner.counters.blockPositions).toBe(blockPositions);
    // A path that ends at an MLP reads it at every token: one block, once.
    await engine.trace({ ...base, path: 'MLP 1' });
    const once = engine.runner.counters.blockPositions;
    expect(once - blockPositions).toBeLessThanOrEqual(7);
    await engine.trace({ ...base, path: 'MLP 1', observable: { ' t2': 1 }, norm: 'secant' });
    expect(engine.runner.counters.blockPositions).toBe(once);
  });

  it('tells questions apart by path, norm and view, and refuses a path that is none', async () => {
    const hashes = await Promise.all(
      [{}, { path: 'L0.H0' }, { norm: 'jacobian' }, { view: 'contribution' }].map(
        async (more) => (await trace(more as Partial<TraceRequest>)).provenance.hash,
      ),
    );
    expect(new Set(hashes).size).toBe(4);
    await expect(trace({ path: 'L9.H0' })).rejects.toThrow('layers are 0 to 2');
  });
});
