import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { ModelConfig } from '../../../src/core/models/modelConfig.ts';
import { oracleRun } from '../../support/oracle.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

const LENGTH = 700;
const config: ModelConfig = {
  ...SHAPES.mistral,
  nCtx: LENGTH,
  nLayers: 2,
  attention: { scale: 0.4, windows: [null, 300] },
};
const random = normals(5);
const IDS = Array.from({ length: LENGTH }, () => Math.floor(Math.abs(random() * 1000)) % config.dVocab);

function distance(a: ArrayLike<number>, b: readonly number[]): number {
  const largest = (values: readonly number[]) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return largest(b.map((value, i) => value - a[i])) / largest(b);
}

describe('a prompt longer than one run', () => {
  const made = randomModel(config);
  let runner: ModelRunner;

  beforeAll(async () => {
    runner = await ModelRunner.open(made.model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    made.remove();
  });

  it('is computed in chunks with the same result', async () => {
    const before = runner.counters.runs;
    const hooks = ['blocks.1.attn.hook_z', 'blocks.1.hook_resid_pre', 'blocks.1.attn.hook_pattern'];
    const positions = [0, 511, 512, 699];
    const { activations, residual } = await runner.run([IDS], { hooks, positions });
    expect(runner.counters.runs - before).toBe(2 * config.nLayers);
    const oracle = oracleRun(config, made.model.weights, IDS);
    expect(distance(residual.data, oracle.activations.get('blocks.1.hook_resid_post')?.flat() ?? [])).toBeLessThan(
      1e-5,
    );
    for (const hook of hooks.slice(0, 2)) {
      const expected = positions.flatMap((position) => oracle.activations.get(hook)?.[position] ?? []);
      expect(distance(activations.get(hook)?.data ?? [], expected), hook).toBeLessThan(1e-5);
    }
    const pattern = [0, 1, 2, 3].flatMap((head) =>
      positions.flatMap((position) => oracle.activations.get(`blocks.1.attn.hook_pattern.${head}`)?.[position] ?? []),
    );
    expect(distance(activations.get('blocks.1.attn.hook_pattern')?.data ?? [], pattern)).toBeLessThan(1e-5);
  });

  it('is cut at the context with a warning, and traced without keeping what the cache cannot hold', async () => {
    const engine = await AnalysisEngine.open(made.model, { threads: 1, cacheBytes: 1000, version: 'test' });
    const prompt = [...IDS, 1, 2, 3].map((id) => `t${id}`).join(' ');
    const request = { model: 'm', prompt, method: 'direct' as const };
    const document = await engine.trace(request);
    expect(document.tokens).toHaveLength(LENGTH);
    expect(document.tokensInText).toBe(LENGTH + 3);
    expect(document.warnings).toEqual([
      "The prompt has 703 tokens; only the first 700 fit the model's context and are traced.",
    ]);
    expect(engine.cache.bytes).toBe(0);
    const oracle = oracleRun(config, made.model.weights, IDS);
    const [first, second] = [...oracle.logits[LENGTH - 1]].sort((a, b) => b - a);
    expect(document.observable.value).toBeCloseTo(first - second, 4);
    const table = await engine.lens(request, [LENGTH - 1]);
    expect(table.values.at(-1)?.[0]).toBeCloseTo(first - second, 4);
    const detail = await engine.head(request, { layer: 1, head: 2, source: 600 });
    expect(
      distance(detail.pattern.data, oracle.activations.get('blocks.1.attn.hook_pattern.2')?.flat() ?? []),
    ).toBeLessThan(1e-5);
    await engine.close();
  });
});
