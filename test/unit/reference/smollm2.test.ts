import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { describeAttribution } from './attributionParity.ts';
import { describeParity } from './parity.ts';
import { load, type ModelFigures, mechanistCache, readFigures, smollm2File } from './referenceFigures.ts';

const file = smollm2File();

describe.skipIf(file === null)('SmolLM2-135M-Instruct Q4_1 against transformers in float32', () => {
  const figures = readFigures<ModelFigures>('smollm2.json');
  let loaded: AnalysisEngine;
  beforeAll(async () => {
    loaded = await load(file ?? '', mechanistCache());
  }, 300_000);
  afterAll(() => loaded?.close());

  it('is held on at least 20 prompts, to 2e-3 logits', () => {
    expect(figures.prompts.length).toBeGreaterThanOrEqual(20);
    expect(figures.tolerance).toBe(2e-3);
  });
  describeParity(figures, () => loaded);
  describeAttribution(figures, () => loaded);
});
