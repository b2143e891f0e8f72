import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { describeAttribution } from './attributionParity.ts';
import { describeParity } from './parity.ts';
import { load, type ModelFigures, readFigures, SMALL_WORLD } from './referenceFigures.ts';

describe('the bundled model against transformers in float32', () => {
  const figures = readFigures<ModelFigures>('smallWorld.json');
  let cache: string;
  let loaded: AnalysisEngine;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-reference-'));
    loaded = await load(SMALL_WORLD, cache);
  });
  afterAll(async () => {
    await loaded?.close();
    await rm(cache, { recursive: true, force: true });
  });
  describeParity(figures, () => loaded);
  describeAttribution(figures, () => loaded);
});
