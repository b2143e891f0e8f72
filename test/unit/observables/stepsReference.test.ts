import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { CoMoments } from '../../../src/core/observables/coMoments.ts';
import { fittedLine } from '../../../src/core/observables/coupling.ts';
import { type DebiasMode, debiasLayer, debiasModes } from '../../../src/core/observables/debiasLayer.ts';
import { FeatureScorer } from '../../../src/core/observables/featureScores.ts';
import { runPairs } from '../../../src/core/observables/pairRuns.ts';
import { fitProbes } from '../../../src/core/observables/probes.ts';
import { steerAlong } from '../../../src/core/observables/steerAlong.ts';
import { StreamEditor } from '../../../src/core/observables/streamEdit.ts';
import { stepContext, taskSetOf } from '../../support/steps.ts';
import { load, maxDelta, type Packed, REFERENCE, readFigures, scaleOf, unpack } from '../reference/referenceFigures.ts';

/** `[observable][prompt]` */
type Values = readonly (readonly number[])[];

interface DebiasFigures {
  readonly hook: string;
  readonly clean: readonly (readonly number[])[];
  readonly corrupted: readonly (readonly number[])[];
  readonly controls: readonly (readonly number[])[];
  /** Clean prompts, corrupted prompts. */
  readonly coefficients: readonly (readonly number[])[];
  readonly before: readonly Values[];
  readonly control: number;
  readonly modes: Readonly<
    Record<
      DebiasMode,
      {
        readonly values: readonly Values[];
        readonly kl: readonly (readonly number[])[];
        readonly control: number | null;
      }
    >
  >;
  readonly steered: { readonly amount: number; readonly values: Values; readonly kl: readonly number[] };
}

interface StepFigures {
  readonly models: readonly {
    readonly model: string;
    readonly hooks: readonly string[];
    readonly vectors: readonly (readonly number[])[];
    readonly place: number;
    readonly terms: readonly (readonly { readonly id: number; readonly weight: number }[])[];
    readonly corpus: {
      readonly windows: readonly (readonly number[])[];
      readonly pairs: readonly Readonly<
        Record<'row' | 'column' | 'slope' | 'slopeError' | 'rSquared' | 'covariance', number>
      >[];
      readonly scores: Packed;
    };
    readonly debias: readonly DebiasFigures[];
  }[];
  readonly probes: readonly {
    readonly x: readonly (readonly number[])[];
    readonly y: readonly number[];
    readonly linear: readonly number[];
    readonly logistic: readonly number[];
    readonly mean: readonly number[];
  }[];
}

const figures = readFigures<StepFigures>('observable-steps.json');

describe.each(figures.models)('steps of observables as PyTorch has them, $model', ({ model, ...made }) => {
  let folder: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-steps-reference-'));
    engine = await load(join(REFERENCE, 'models', model), folder);
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const observables = made.terms.map((terms, i) => ({
    label: `${i}`,
    terms: terms.map((term) => ({ ...term, text: '' })),
  }));
  const features = made.hooks.map((hook, i) => ({ hook, vector: made.vectors[i] }));

  it('scores texts, and fits one score to another', async () => {
    const { windows, pairs, scores } = made.corpus;
    const scorer = new FeatureScorer(engine.runner, features);
    const { own, at } = await scorer.score(windows, { everywhere: true });
    const length = windows[0].length;
    // The first token of a window is not read.
    const read = (values: Float64Array) =>
      windows.flatMap((_, w) => [
        ...values.subarray((w * length + 1) * features.length, (w + 1) * length * features.length),
      ]);
    const wanted = unpack(scores);
    expect(maxDelta(read(own), wanted)).toBeLessThan(1e-5 * scaleOf(wanted));
    const count = windows.length * (length - 1);
    const moments = new CoMoments(features.length, features.length);
    moments.add(read(own), read(own), count);
    for (const { row, column, ...expected } of pairs) {
      const line = fittedLine(moments, row, column);
      expect(line?.slope).toBeCloseTo(expected.slope, 4);
      expect(line?.slopeError).toBeCloseTo(expected.slopeError, 4);
      expect(line?.rSquared).toBeCloseTo(expected.rSquared, 4);
      const here = new CoMoments(features.length, features.length);
      const values = read(at.get(features[row].hook) ?? new Float64Array());
      here.add(values, values, count);
      expect(fittedLine(here, row, column)?.slope).toBeCloseTo(expected.covariance, 4);
    }
  });

  it.each(made.debias)('edits the stream at $hook', async ({ hook, clean, corrupted, ...expected }) => {
    const vector = made.vectors[made.hooks.indexOf(hook)];
    const editor = new StreamEditor(engine.runner, hook, vector);
    const side = (row: number, ids: readonly number[]) => ({ row, ids, at: made.place, answer: ids.length - 1 });
    const pairs = clean.map((ids, row) => ({ clean: side(row, ids), corrupted: side(row, corrupted[row]) }));
    const item = { id: '0', text: '', ids: clean[0], tokens: [], roles: {}, answers: [], tags: [], corrupted: {} };
    const context = stepContext(engine, taskSetOf([item], []));
    const controls = [
      { tokens: expected.controls, first: 1, positions: expected.controls[0].map((_, i) => i).slice(1) },
    ];
    const [bias, other] = observables;
    const request = { pairs, modes: debiasModes, bias, protected: other, controls };
    const found = await debiasLayer(context, editor, request, 'test');
    const close = (actual: readonly number[], wanted: readonly number[]) =>
      expect(maxDelta(actual, wanted)).toBeLessThan(1e-4);
    const sides = (own: typeof found.coefficients) => [own.clean, own.corrupted];
    for (const s of [0, 1]) {
      close(sides(found.coefficients)[s], expected.coefficients[s]);
      close(sides(found.before.bias)[s], expected.before[s][0]);
    }
    expect((found.control?.sum ?? 0) / (found.control?.n ?? 1)).toBeCloseTo(expected.control, 4);
    for (const mode of debiasModes) {
      const own = found.modes[mode];
      const wanted = expected.modes[mode];
      if (own === undefined) throw new Error(mode);
      // A clean prompt of pair-patch keeps what it has: setting it to its own part changes nothing.
      for (const s of [0, 1]) {
        close(sides(own.bias)[s], wanted.values[s][0]);
        close(sides(own.protected)[s], wanted.values[s][1]);
        close(sides(own.kl)[s], wanted.kl[s]);
      }
      if (wanted.control === null) expect(own.control).toBeNull();
      else expect((own.control?.sum ?? 0) / (own.control?.n ?? 1)).toBeCloseTo(wanted.control, 4);
    }
    const others = pairs.map((pair) => pair.corrupted);
    const runs = await runPairs(context, editor, others, () => undefined);
    const steered = await steerAlong(context, editor, others, runs, observables, expected.steered.amount);
    for (const o of [0, 1]) close(steered.values[o], expected.steered.values[o]);
    close(steered.kl, expected.steered.kl);
  });
});

it.each(figures.probes)('probes are those of LAPACK and L-BFGS, $n rows of $d numbers', ({ x, y, ...expected }) => {
  const rows = x.map((row) => Float64Array.from(row));
  const found = fitProbes({ x: rows, y, positive: rows.map((_, i) => i % 2 === 0) });
  expect(maxDelta(found['linear regression'], expected.linear)).toBeLessThan(1e-9);
  expect(maxDelta(found['logistic regression'], expected.logistic)).toBeLessThan(1e-6);
  expect(maxDelta(found['mean difference'], expected.mean)).toBeLessThan(1e-12);
});
