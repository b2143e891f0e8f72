import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CatalogueEntry, memoryOf, readCatalogue } from '../../../src/core/models/catalogue.ts';
import { readModelInfo } from '../../../src/core/models/openModelFiles.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const bundledDir = resolve(import.meta.dirname, '../../../models');
const entries = await readCatalogue(bundledDir);
const contexts: Readonly<Record<string, number>> = {
  gpt2: 1024,
  'gpt2-medium': 1024,
  'gpt-neo-125m': 2048,
  'small-world': 128,
  acronyms: 32,
  planted: 16,
};

/** Parameters as the architecture has them: an entry whose sizes do not belong together is a wrong entry. */
function parametersOf({ id, family, shape }: CatalogueEntry): number {
  if (!shape) throw new Error(`${id} has no shape`);
  const { nLayers, nHeads, nKeyValueHeads = nHeads, dModel: d, dMlp, dVocab } = shape;
  const learned = (contexts[id] ?? Number.NaN) * d;
  const mlp = 2 * d * dMlp + dMlp + d;
  const norms = 4 * d;
  switch (family) {
    case 'gpt2':
      // The planted model's unembedding is its own.
      return ((id === 'planted' ? 2 : 1) * dVocab + 2) * d + learned + nLayers * (4 * d * d + 4 * d + mlp + norms);
    case 'gpt_neo':
      return (dVocab + 2) * d + learned + nLayers * (4 * d * d + d + mlp + norms);
    case 'gpt_neox':
      return (2 * dVocab + 2) * d + nLayers * (4 * d * d + 4 * d + mlp + norms);
    default:
      return (dVocab + 1) * d + nLayers * (2 * d * d + (2 * d * d * nKeyValueHeads) / nHeads + 3 * d * dMlp + 2 * d);
  }
}

describe('the catalogue', () => {
  it.each(entries.map((entry) => [entry.id, entry] as const))('%s has sizes that belong together', (_, entry) => {
    expect(entry.shape?.parameters).toBe(parametersOf(entry));
  });

  it.each(['small-world', 'acronyms', 'planted'])('forecasts what the files of %s say', async (ref) => {
    const entry = entries.find(({ id }) => id === ref);
    const options = { ref, cacheDir: temporaryFolder(), availableBytes: 8e9 };
    const info = await readModelInfo(resolve(bundledDir, ref), options);
    expect(entry && memoryOf(entry, 8e9)).toEqual(info.memory);
  });

  // Peaks by VmHWM after a prompt of 64 tokens: docs/benchmarks.md. Too little would let a machine swap.
  it.each([
    ['smollm2-135m', 733e6],
    ['gpt2', 686e6],
    ['small-world', 112e6],
  ])('forecasts the measured peak of %s from above, within a tenth', (id, measured) => {
    const entry = entries.find((e) => e.id === id);
    const needed = (entry && memoryOf(entry, 8e9)?.neededBytes) ?? Number.NaN;
    expect(needed / measured).toBeGreaterThan(1);
    expect(needed / measured).toBeLessThan(1.1);
  });
});
