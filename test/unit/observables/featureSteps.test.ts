import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { StepKind } from '../../../src/core/experiments/stepKind.ts';
import { featureVector } from '../../../src/core/observables/featureVector.ts';
import { feature } from '../../../src/core/observables/steps/feature.ts';
import { headNormsStep } from '../../../src/core/observables/steps/headNorms.ts';
import { length } from '../../../src/core/observables/vectors.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { resolveObservable } from '../../../src/core/tasks/observable.ts';
import { distance } from '../../support/gradients.ts';
import { randomTask } from '../../support/randomTask.ts';
import { rawTensors } from '../../support/smallModels.ts';
import { matrixOf, runStep, stepContext } from '../../support/steps.ts';
import { ResultsPlace } from '../experiments/experimentRuns.ts';
import { load, REFERENCE } from '../reference/referenceFigures.ts';

describe('the steps feature and head-norms', () => {
  const kinds = [feature, headNormsStep] as unknown as StepKind[];
  const place = new ResultsPlace(kinds);
  let engine: AnalysisEngine;
  let cache: string;
  const task = randomTask({ dVocab: 272 }, [7, 9]);

  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), 'mechanist-features-'));
    engine = await load(join(REFERENCE, 'models', 'gpt2'), cache);
  });
  afterAll(async () => {
    await engine.close();
    place.remove();
    rmSync(cache, { recursive: true, force: true });
  });

  const observable = { a: 1, b: -1 };
  const head = ['model: m', 'data: d', 'observables: { ab: { a: 1, b: -1 } }', 'steps:', '  - run: feature'];
  const context = () => stepContext(engine, task);

  it('write vectors with all they come from beside the result', async () => {
    const text = [
      ...head,
      '    with: { observables: [ab], paths: [L2.H1@first <= MLP 1, emb], norm: jacobian, point: mean, row: r1 }',
    ].join('\n');
    const file = new ExperimentParser(kinds).parse(text);
    expect(file.problems).toEqual([]);
    const options = { file, path: join(place.folder, 'x.experiment.yaml'), folder: place.folder, model: 'm' };
    await engine.experiment({ ...options, results: place.results(), kinds }, { task, memoryBytes: 1 << 28 });
    const path = join(place.results(), 'feature.safetensors');
    const tensors = rawTensors(path);
    expect(tensors.map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ['ab:L2.H1@first<=MLP1', [32], 'F32'],
      ['ab:emb', [32], 'F32'],
    ]);
    const { ids, corrupted } = task.items[1];
    const wanted = await featureVector(
      engine,
      {
        observable: resolveObservable(observable, engine.model.tokenizer),
        ...{ path: 'L2.H1@1 <= MLP 1', norm: 'jacobian', point: 'mean' },
      },
      { ids, partner: corrupted.other, position: 7 },
    );
    const stored = new Float32Array(tensors[0].bytes.slice().buffer);
    expect(distance(stored, wanted.vector)).toBeLessThan(1e-6);
    const bytes = readFileSync(path);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0)))).__metadata__;
    const about = JSON.parse(header['vector ab:L2.H1@first<=MLP1']);
    expect(about).toMatchObject({
      norm: 'jacobian',
      point: 'mean',
      hook: wanted.hook,
      ids,
      partner: corrupted.other,
      position: 7,
    });
    expect(about.path).toEqual(wanted.path);
    expect(about.offset).toBeCloseTo(wanted.offset, 9);
    expect(JSON.parse(header.provenance).modelHash).toBe(engine.model.info.hash);
    expect(JSON.parse(header.request)).toMatchObject({ step: 'feature', dataHash: task.hash });
  });

  it('take the norm and point of the step where a feature names none, as its file is read', async () => {
    const text = [
      ...head,
      '    with:',
      '      features: [{ observable: ab, path: emb }, { observable: ab, path: emb, norm: ignore, point: prompt }]',
      '      norm: jacobian',
      '      point: mean',
    ].join('\n');
    const [step] = new ExperimentParser(kinds).parse(text).steps;
    const observables = { ...context(), observable: () => resolveObservable(observable, engine.model.tokenizer) };
    const { pictures } = await runStep(feature, observables, step.params as Parameters<typeof feature.run>[1]);
    const rows = pictures[0].type === 'table' ? pictures[0].rows : [];
    expect(rows.map((row) => [row[3], row[4]])).toEqual([
      ['jacobian', 'mean'],
      ['ignore', 'prompt'],
    ]);
  });

  it('name lengths, offsets, ρ and angles, and warn with the number', async () => {
    const features = [
      { observable, path: 'L2.H1' },
      { observable, path: 'L2.H1' },
      { observable: { c: 2 }, path: 'emb', norm: 'frozen' },
    ] as const;
    const { values, warnings, vectors, pictures } = await runStep(feature, context(), { features });
    expect(Object.keys(values).filter((name) => name.endsWith('.length'))).toEqual([
      'observable:L2.H1.length',
      'observable:L2.H1#2.length',
      'observable:emb.length',
    ]);
    expect(values['observable:emb.length']).toBeCloseTo(length(vectors?.[2].values ?? []), 9);
    for (const [name, rho] of Object.entries(values).filter(([key]) => key.includes('.rho.'))) {
      const angle = values[name.replace('.rho.', '.angle.')];
      expect(Math.abs(Math.sin((angle * Math.PI) / 180) - Math.abs(rho)), name).toBeLessThan(1e-3);
      const [key, norm] = name.split('.rho.');
      expect(warnings.some((text) => text.startsWith(`${key}: At ${norm} ρ`))).toBe(Math.abs(rho) > 0.3);
    }
    expect(pictures.map(({ id }) => id)).toEqual(['features', 'norms']);
  });

  it.each([
    [{}, 'Name features:'],
    [{ observables: [observable] }, 'Name features:'],
    [{ observables: [observable], paths: ['L7.H0'] }, 'layers are 0 to 2'],
    [{ observables: [observable], paths: ['L1.H0@frist'] }, 'Did you mean first?'],
    [{ observables: [observable], paths: ['emb'], row: 'r9' }, 'no row "r9"'],
  ])('refuse %j before they run', (params, message) => {
    expect(() => feature.cells(context(), params as never)).toThrow(message);
  });

  it('rank all heads by norm, as each feature vector by itself has it', async () => {
    const observables = [observable, { c: 1 }];
    const { values, pictures, cells } = await runStep(headNormsStep, context(), { observables, gains: false, top: 3 });
    const { values: layers } = matrixOf(pictures, 'norms observable 1');
    expect([layers.length, layers[0].length]).toEqual([3, 4]);
    const own = resolveObservable(observable, engine.model.tokenizer);
    const made = await featureVector(
      engine,
      { observable: own, path: 'L1.H2', norm: 'ignore' },
      { ids: task.items[0].ids },
    );
    expect(layers[1][2] ?? 0).toBeCloseTo(length(made.vector), 3);
    expect(values['observable 1.L1.H2']).toBe(layers[1][2]);
    const ranks = Object.entries(values).filter(([name]) => name.startsWith('observable 1.rank'));
    expect(ranks.map(([, rank]) => rank).sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    const table = pictures.find(({ id }) => id === 'ranking');
    expect(table?.type === 'table' && table.rows).toHaveLength(6);
    expect(cells.get('weights')?.forwardPasses).toBe(0);
  });

  it('with gains scale each entry by the gains of the two norms it goes through', async () => {
    const { values } = await runStep(headNormsStep, context(), { observables: [observable] });
    const own = resolveObservable(observable, engine.model.tokenizer);
    const ids = task.items[0].ids;
    const made = await featureVector(engine, { observable: own, path: 'L2.H0@1', norm: 'scaled' }, { ids });
    const other = await featureVector(engine, { observable: own, path: 'L2.H3@1', norm: 'scaled' }, { ids });
    const ratio = length(made.vector) / length(other.vector);
    expect(values['observable 1.L2.H0'] / values['observable 1.L2.H3'] / ratio).toBeCloseTo(1, 3);
  });
});
