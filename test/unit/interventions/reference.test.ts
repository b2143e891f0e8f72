import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { load, maxDelta, REFERENCE, randomModelNames, readFigures, unpack } from '../reference/referenceFigures.ts';
import { type InterventionFigures, translate } from './referenceInterventions.ts';

vi.mock('../../../src/core/models/supportedFamilies.ts', async (original) => ({
  ...(await original<object>()),
  supportedFamilies: ['gpt2', 'llama', 'gpt_neo', 'gpt_neox', 'qwen2', 'mistral'],
}));

// Figures by PyTorch hooks on Hugging Face models in float64: scripts/reference/interventions.py.
describe.each(randomModelNames())('%s', (name) => {
  const figures = readFigures<InterventionFigures>(`interventions-${name}.json`);
  const { ids, otherIds, columnStep, answer, foil } = figures;
  let cache: string;
  let loaded: AnalysisEngine;

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-interventions-'));
    loaded = await load(join(REFERENCE, 'models', name), cache);
  });
  afterAll(async () => {
    await loaded?.close();
    await rm(cache, { recursive: true, force: true });
  });

  it.each(figures.interventions)(
    'gives the logits of PyTorch: $name',
    async ({ interventions, rows, logits, differences }) => {
      const result = await loaded.runner.runWith([ids, otherIds], {
        interventions: interventions.map(translate),
        runs: { other: [otherIds] },
      });
      const columns = Array.from(
        { length: Math.ceil(loaded.model.config.dVocab / columnStep) },
        (_, i) => i * columnStep,
      );
      const own = await result.logits({ positions: rows, columns });
      expect(own.dims).toEqual(logits.dims);
      expect(maxDelta(own.data, unpack(logits))).toBeLessThanOrEqual(1e-4);
      const last = await result.logits({ columns: [answer, foil] });
      const own2 = [0, 1].map((item) => last.data[2 * item] - last.data[2 * item + 1]);
      expect(maxDelta(own2, differences)).toBeLessThanOrEqual(1e-4);
    },
  );
});
