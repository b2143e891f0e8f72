import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import {
  load,
  maxDelta,
  type RandomModelFigures,
  REFERENCE,
  randomModelNames,
  readFigures,
  unpack,
} from './referenceFigures.ts';

// One small model with random weights for each switch of the architecture; figures by HF transformers in float32.
describe.each(randomModelNames())('%s', (name) => {
  const figures = readFigures<RandomModelFigures>('models', name, 'expected.json');
  let cache: string;
  let loaded: AnalysisEngine;

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-reference-'));
    loaded = await load(join(REFERENCE, 'models', name), cache);
  });
  afterAll(async () => {
    await loaded?.close();
    await rm(cache, { recursive: true, force: true });
  });

  it.each(figures.prompts.map((prompt, index) => ({ index, prompt })))(
    'has the logits, hidden states and attention of transformers on prompt $index',
    async ({ prompt }) => {
      const { model, runner } = loaded;
      const layers = Array.from({ length: model.config.nLayers }, (_, layer) => layer);
      const hooks = layers.flatMap((l) => [
        `blocks.${l}.hook_resid_pre`,
        `blocks.${l}.hook_resid_post`,
        `blocks.${l}.attn.hook_pattern`,
      ]);
      const { activations } = await runner.run([prompt.ids], { hooks });
      const read = (hook: string) => Array.from(activations.get(hook)?.data ?? []);

      const hidden = [
        ...read('blocks.0.hook_resid_pre'),
        ...layers.flatMap((l) => read(`blocks.${l}.hook_resid_post`)),
      ];
      expect(maxDelta(hidden, unpack(prompt.hidden))).toBeLessThanOrEqual(figures.tolerance);
      const patterns = layers.flatMap((l) => read(`blocks.${l}.attn.hook_pattern`));
      expect(maxDelta(patterns, unpack(prompt.patterns))).toBeLessThanOrEqual(figures.tolerance);
      const logits = await runner.logits([prompt.ids], { positions: 'all' });
      expect(maxDelta(logits.data, unpack(prompt.logits))).toBeLessThanOrEqual(figures.tolerance);
    },
  );
});

it('covers every family and switch that the figures were made for', () => {
  expect(randomModelNames().length).toBeGreaterThanOrEqual(10);
});
