import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { StepKind } from '../../../src/core/experiments/stepKind.ts';
import { featuresOfRow } from '../../../src/core/observables/featuresOfRow.ts';
import { feature } from '../../../src/core/observables/steps/feature.ts';
import { steerFeature } from '../../../src/core/observables/steps/steerFeature.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import type { FeatureSpec } from '../../../src/shared/features.ts';
import { distance } from '../../support/gradients.ts';
import { randomTask } from '../../support/randomTask.ts';
import { stepContext } from '../../support/steps.ts';
import { ResultsPlace } from '../experiments/experimentRuns.ts';
import { load, REFERENCE } from '../reference/referenceFigures.ts';

const FILE = 'x.results/feature.safetensors';

describe('features from a file', () => {
  const kinds = [feature, steerFeature] as unknown as StepKind[];
  const place = new ResultsPlace(kinds);
  const task = randomTask({ dVocab: 272 }, [7, 9]);
  let engine: AnalysisEngine;
  let cache: string;

  const run = (steps: readonly string[]) => {
    const text = ['model: m', 'data: d', 'observables: { ab: { a: 1, b: -1 } }', 'steps:', ...steps].join('\n');
    const file = new ExperimentParser(kinds).parse(text);
    expect(file.problems).toEqual([]);
    const options = { file, path: join(place.folder, 'x.experiment.yaml'), folder: place.folder, model: 'm' };
    return engine.experiment({ ...options, results: place.results(), kinds }, { task, memoryBytes: 1 << 28 });
  };
  const MAKE =
    '  - { run: feature, with: { observables: [ab], paths: [L2.H1@first <= MLP 1, emb, L1.H0], norm: jacobian, row: r1 } }';
  const steer = (more: string) =>
    `  - { run: steer-feature, with: { feature: { observable: ab, path: L2.H1@first <= MLP 1${more} }, factors: [1], row: r1 } }`;

  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), 'mechanist-feature-file-'));
    engine = await load(join(REFERENCE, 'models', 'gpt2'), cache);
    await run([MAKE]);
  });
  afterAll(async () => {
    await engine.close();
    place.remove();
    rmSync(cache, { recursive: true, force: true });
  });

  const context = (own = engine) => {
    const file = (name: string) => ({ path: join(place.folder, name), hash: name });
    return stepContext(own, task, { file });
  };
  const ab = { a: 1, b: -1 };
  const made = async (spec: Partial<FeatureSpec>, row: string | undefined = 'r1', own = context()) => {
    const [found] = await featuresOfRow(own, [{ observable: ab, path: 'emb', ...spec }], { row });
    return found;
  };

  it('are those that were made, in float32, on another row too', async () => {
    for (const path of ['L2.H1@first <= MLP 1', 'emb']) {
      const [own, stored] = [await made({ path, norm: 'jacobian' }), await made({ path, file: FILE })];
      expect(distance(stored.vector, own.vector)).toBeLessThan(1e-7);
      expect({ ...stored, vector: null }).toEqual(JSON.parse(JSON.stringify({ ...own, vector: null })));
      const elsewhere = await made({ path, file: FILE }, 'r0');
      expect(elsewhere.vector).toEqual(stored.vector);
      const here = await made({ path, norm: 'jacobian' }, 'r0');
      expect(elsewhere.path).toEqual(here.path);
      expect(distance(here.vector, elsewhere.vector)).toBeGreaterThan(1e-4);
    }
  });

  it('are those of the tokens that are asked for', async () => {
    const at = async (path: string, row?: string) => (await made({ path, file: FILE }, row)).path.at(-1)?.position;
    const position = (await made({ path: 'L2.H1@first <= MLP 1' })).path[1].position ?? Number.NaN;
    expect(await at(`L2.H1@${position + 1} <= MLP 1`)).toBe(position);
    await expect(at(`L2.H1@${position + 2} <= MLP 1`)).rejects.toThrow(
      /no such feature.* at L2.H1@\d+ <= MLP 1@\d+ \(/,
    );
    await expect(at('L2.H1@frist <= MLP 1')).rejects.toThrow('Did you mean first?');
    // Elsewhere the path says where it is read.
    expect(await at(`L2.H1@${position + 2} <= MLP 1`, 'r0')).toBe(position + 1);
  });

  it('steer as the features that a step makes itself; their file belongs to the cells', async () => {
    const [, stored] = (await run([MAKE, steer(`, file: ${FILE}`)])).steps;
    const [, fresh] = (await run([MAKE, steer(', norm: jacobian')])).steps;
    expect([stored.message, stored.state, fresh.state]).toEqual([null, 'complete', 'complete']);
    expect(Object.keys(stored.values)).toEqual(Object.keys(fresh.values));
    for (const [name, value] of Object.entries(fresh.values)) {
      expect(Math.abs(stored.values[name] - value), name).toBeLessThan(1e-4);
    }
    const [, again] = (await run([MAKE, steer(`, file: ${FILE}`)])).steps;
    expect(again.reused).toBe(again.cells.total);
    const [, other] = (await run([MAKE.replace('jacobian', 'frozen'), steer(`, file: ${FILE}`)])).steps;
    expect(other.reused).toBe(0);
    await run([MAKE]);
  });

  it('are refused in words: other models, other files, none or several of the kind', async () => {
    const refused = (spec: Partial<FeatureSpec>, own = context()) => made({ file: FILE, ...spec }, 'r1', own);
    const llama = await load(join(REFERENCE, 'models', 'llama-tied'), cache);
    await expect(refused({}, context(llama))).rejects.toThrow(/made with .*weights.*not with .*nothing in another/);
    await llama.close();
    await expect(refused({ path: 'L0.H1' })).rejects.toThrow(/no such feature. It has .* at L2.H1@.* \(jacobian/);
    await expect(refused({ observable: { a: 1, b: -2 } })).rejects.toThrow('no such feature');
    await expect(refused({ point: 'boundary' })).rejects.toThrow('no such feature');
    const weights = { path: join(REFERENCE, 'models', 'gpt2', 'model.safetensors'), hash: '' };
    await expect(refused({}, { ...context(), file: () => weights })).rejects.toThrow('no file of feature vectors');
    writeFileSync(join(place.folder, 'text.safetensors'), 'not a tensor');
    await expect(refused({ file: 'text.safetensors' })).rejects.toThrow('cannot be read as safetensors');
    const [, none] = (await run([MAKE, steer(', file: none.safetensors')])).steps;
    expect([none.state, none.message]).toEqual(['failed', expect.stringContaining('none.safetensors cannot be read')]);
    await run([
      '  - { run: feature, with: { features: [{ observable: ab, path: emb }, { observable: ab, path: emb, norm: frozen }] } }',
    ]);
    await expect(refused({})).rejects.toThrow(/several such features: .*scaled.*frozen.*Write norm and point/);
    await expect(refused({ norm: 'frozen' })).resolves.toMatchObject({ norm: 'frozen' });
    await run(['  - { run: feature, with: { observables: [ab], paths: [L1.H0@first, L1.H0@2], row: r1 } }']);
    const vectors = await Promise.all(
      ['r0', 'r1'].flatMap((row) =>
        ['first', '2'].map(async (role) => (await made({ path: `L1.H0@${role}`, file: FILE }, row)).vector),
      ),
    );
    expect(vectors[2]).toEqual(vectors[0]);
    expect(vectors[3]).toEqual(vectors[1]);
    expect(distance(vectors[0], vectors[1])).toBeGreaterThan(1e-6);
    await expect(made({ path: 'L1.H0', file: FILE }, 'r0')).rejects.toThrow(/several such .*@.*; .*@.*the path as/);
  });
});
