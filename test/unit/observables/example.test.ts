import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { readExperiment, runOpenExperiment } from '../../../src/core/session/experiment.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

let engine: AnalysisEngine;
const results = mkdtempSync(join(tmpdir(), 'mechanist-observables-'));

beforeAll(async () => {
  engine = await load(SMALL_WORLD, join(results, 'hashes'));
});
afterAll(async () => {
  await engine.close();
  rmSync(results, { recursive: true, force: true });
});

it.each(['small-world', 'jobs.small-world'])('the example %s runs whole and gives what it expects', async (name) => {
  const path = resolve('examples/observables', `${name}.experiment.yaml`);
  const open = await readExperiment({ path, results: join(results, name) });
  const { steps } = await runOpenExperiment(engine, open, { memoryBytes: 1 << 28 }, {});
  expect(steps.filter(({ state }) => state !== 'complete')).toEqual([]);
  expect(steps.flatMap(({ checks }) => checks).filter(({ passed }) => !passed)).toEqual([]);
});
