import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { describeAttribution } from './attributionParity.ts';
import { describeParity } from './parity.ts';
import { ACRONYMS, load, type ModelFigures, PLANTED, readFigures, SMALL_WORLD } from './referenceFigures.ts';

describe.each([
  ['small-world', SMALL_WORLD, 'smallWorld.json'],
  ['acronyms', ACRONYMS, 'acronyms.json'],
  ['planted', PLANTED, 'planted.json'],
] as const)('the bundled model %s against transformers in float32', (_, path, file) => {
  const figures = readFigures<ModelFigures>(file);
  let cache: string;
  let loaded: AnalysisEngine;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-reference-'));
    loaded = await load(path, cache);
  });
  afterAll(async () => {
    await loaded?.close();
    await rm(cache, { recursive: true, force: true });
  });
  describeParity(figures, () => loaded);
  describeAttribution(figures, () => loaded);
});
