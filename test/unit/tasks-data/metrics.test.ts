import { describe, expect, it } from 'vitest';
import {
  columnReader,
  differenceTerms,
  isDifferentiable,
  type LogitsRow,
  logSumExp,
  metricGradient,
  metricOfColumns,
  metricOfItem,
  metricOfRow,
  neededColumns,
  needsReference,
  needsWholeRow,
  normalized,
  rowReader,
} from '../../../src/core/tasks/metrics.ts';
import { type AnswerTarget, type MetricSpec, metricKinds } from '../../../src/shared/metric.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';

const row = [2, -1, 0.5, 0.5, 3.25, -4];
const reference = [1, 0, 0.25, -0.5, 2, -1];
const target: AnswerTarget = { name: 'answer', position: 3, answer: 2, foils: [0, 1, 5] };
const oneFoil: AnswerTarget = { ...target, foils: [1] };
const all: readonly MetricSpec[] = [
  { kind: 'logit-difference', foil: 'mean' },
  { kind: 'logit-difference', foil: 'max' },
  { kind: 'log-prob' },
  { kind: 'prob' },
  { kind: 'prob-sum-difference' },
  { kind: 'kl' },
  { kind: 'cross-entropy' },
  { kind: 'rank' },
];

function randomRow(seed: number, size = 40): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: size }, () => 3 * random.normal());
}

describe('metricOfRow', () => {
  it('covers every kind', () => {
    expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(metricKinds));
  });

  it('gives the hand-computed logit differences', () => {
    expect(metricOfRow({ kind: 'logit-difference', foil: 'one' }, row, oneFoil)).toBe(1.5);
    expect(metricOfRow({ kind: 'logit-difference', foil: 'mean' }, row, target)).toBeCloseTo(0.5 + 1, 14);
    expect(metricOfRow({ kind: 'logit-difference', foil: 'max' }, row, target)).toBe(-1.5);
  });

  // PyTorch, float64: log_softmax and kl_div of the two rows above.
  it('gives PyTorch’s probabilities and divergence', () => {
    expect(metricOfRow({ kind: 'log-prob' }, row, target)).toBeCloseTo(-3.1072092504715836, 13);
    expect(metricOfRow({ kind: 'cross-entropy' }, row, target)).toBeCloseTo(3.1072092504715836, 13);
    expect(metricOfRow({ kind: 'prob' }, row, target)).toBeCloseTo(Math.exp(-3.1072092504715836), 14);
    expect(metricOfRow({ kind: 'kl' }, row, target, reference)).toBeCloseTo(0.20808652345242942, 13);
  });

  // Hanna, Liu and Variengien 2023, greater-than: the right years' probabilities minus the others'. PyTorch, float64.
  it('sums the probabilities of all right answers and takes the foils’ off', () => {
    const sum = metricOfRow({ kind: 'prob-sum-difference' }, row, { ...target, also: [4] });
    const prob = (answer: number) => metricOfRow({ kind: 'prob' }, row, { ...target, answer });
    expect(sum).toBeCloseTo(0.5334289684952541, 14);
    expect(sum).toBeCloseTo(prob(2) + prob(4) - prob(0) - prob(1) - prob(5), 14);
    const everything = { ...target, foils: [0, 1], also: [3, 4, 5] };
    expect(metricOfRow({ kind: 'prob-sum-difference' }, row, everything)).toBeCloseTo(1 - 2 * (prob(0) + prob(1)), 14);
  });

  it('counts only the entries above the answer as its rank', () => {
    expect(metricOfRow({ kind: 'rank' }, row, { ...target, answer: 4 })).toBe(0);
    expect(metricOfRow({ kind: 'rank' }, row, { ...target, answer: 2 })).toBe(2);
    expect(metricOfRow({ kind: 'rank' }, row, { ...target, answer: 3 })).toBe(2);
    expect(metricOfRow({ kind: 'rank' }, row, { ...target, answer: 5 })).toBe(5);
  });

  it('is not moved by a constant on all logits', () => {
    const shifted = row.map((x) => x + 300);
    for (const metric of all) {
      const plain = metricOfRow(metric, row, target, reference);
      expect(metricOfRow(metric, shifted, target, reference)).toBeCloseTo(plain, 10);
    }
  });

  it('has probabilities that sum to 1, and stays finite at huge logits', () => {
    const total = row.reduce((sum, _, answer) => sum + metricOfRow({ kind: 'prob' }, row, { ...target, answer }), 0);
    expect(total).toBeCloseTo(1, 14);
    expect(logSumExp([10_000, 10_000])).toBe(10_000 + Math.log(2));
    expect(metricOfRow({ kind: 'log-prob' }, [0, 5000], { ...target, answer: 0 })).toBe(-5000);
  });

  it('has a divergence that is 0 from itself and positive otherwise', () => {
    for (let seed = 0; seed < 30; seed++) {
      const a = randomRow(seed);
      expect(metricOfRow({ kind: 'kl' }, a, target, a)).toBe(0);
      expect(metricOfRow({ kind: 'kl' }, a, target, randomRow(seed + 1000))).toBeGreaterThan(0.01);
    }
  });

  it('orders the foil forms: max ≤ mean, and all equal with one foil', () => {
    for (let seed = 0; seed < 30; seed++) {
      const logits = randomRow(seed);
      const many = { ...target, foils: [3, 8, 9, 20] };
      const score = (foil: 'one' | 'mean' | 'max', at: AnswerTarget) =>
        metricOfRow({ kind: 'logit-difference', foil }, logits, at);
      expect(score('max', many)).toBeLessThan(score('mean', many));
      const single = { ...target, foils: [8] };
      expect(score('one', single)).toBe(score('mean', single));
      expect(score('one', single)).toBe(score('max', single));
      // The difference of two tokens is the difference of their log-probs.
      const logProb = (answer: number) => metricOfRow({ kind: 'log-prob' }, logits, { ...target, answer });
      expect(score('one', single)).toBeCloseTo(logProb(2) - logProb(8), 10);
    }
  });

  it('refuses NaN, ids outside the vocabulary, missing foils and a missing reference', () => {
    const bad = [1, Number.NaN, 2, 0, 0, 0];
    for (const metric of all) expect(() => metricOfRow(metric, bad, target, reference)).toThrow(/NaN/);
    const outside = { ...target, answer: 6 };
    expect(() => metricOfRow({ kind: 'log-prob' }, row, outside)).toThrow(/no vocabulary entry 6: the model has 6/);
    const none = { ...target, foils: [] };
    expect(() => metricOfRow({ kind: 'logit-difference', foil: 'mean' }, row, none)).toThrow(/needs a foil/);
    expect(() => metricOfRow({ kind: 'logit-difference', foil: 'one' }, row, target)).toThrow(
      /3 foils: choose mean or max/,
    );
    expect(() => metricOfRow({ kind: 'kl' }, row, target)).toThrow(/reference/);
    expect(() => metricOfRow({ kind: 'kl' }, row, target, [1, 2])).toThrow(/Rows of 2 and 6/);
  });
});

describe('needed columns', () => {
  it('are the answers and foils of all positions, each once, for logit differences only', () => {
    const targets = [target, { ...target, answer: 7, foils: [5, 0] }];
    expect(neededColumns({ kind: 'logit-difference', foil: 'max' }, targets)).toEqual([0, 1, 2, 5, 7]);
    for (const metric of all.slice(2)) {
      expect(needsWholeRow(metric)).toBe(true);
      expect(neededColumns(metric, targets)).toBeNull();
    }
  });

  it('give the same value as the whole rows', () => {
    const targets: AnswerTarget[] = [
      { name: 'L1', position: 1, answer: 30, foils: [4, 5, 6] },
      { name: 'L2', position: 2, answer: 31, foils: [7] },
    ];
    for (const foil of ['mean', 'max'] as const) {
      const metric: MetricSpec = { kind: 'logit-difference', foil };
      const rows: Record<number, LogitsRow> = { 1: randomRow(1), 2: randomRow(2) };
      const ids = neededColumns(metric, targets) ?? [];
      const columns = (position: number) =>
        columnReader(
          ids,
          ids.map((id) => rowReader(rows[position])(id)),
        );
      expect(metricOfColumns(metric, columns, targets)).toEqual(metricOfItem(metric, (p) => rows[p], targets));
    }
    expect(() => metricOfColumns({ kind: 'prob' }, () => () => 0, targets)).toThrow(/whole vocabulary/);
    expect(() => columnReader([1, 2], [0, 0])(3)).toThrow(/3 was not computed/);
  });
});

describe('differenceTerms', () => {
  it('write a logit difference as a weighted sum that adds up to it', () => {
    for (const foil of ['mean', 'max'] as const) {
      const logits = randomRow(4);
      const terms = differenceTerms(rowReader(logits), target, foil);
      const sum = terms.reduce((total, { id, weight }) => total + weight * logits[id], 0);
      expect(sum).toBeCloseTo(metricOfRow({ kind: 'logit-difference', foil }, logits, target), 12);
      expect(terms.reduce((total, { weight }) => total + weight, 0)).toBeCloseTo(0, 14);
      expect(terms).toHaveLength(foil === 'mean' ? 4 : 2);
    }
  });

  it('keep the first of equal largest foils', () => {
    expect(differenceTerms(rowReader([0, 5, 5]), { ...target, answer: 0, foils: [2, 1] }, 'max')[1]).toEqual({
      id: 2,
      weight: -1,
    });
  });
});

describe('what a metric asks for', () => {
  it('is a reference for kl only, and a derivative for all but rank', () => {
    expect(all.filter(needsReference).map(({ kind }) => kind)).toEqual(['kl']);
    expect(all.filter((metric) => !isDifferentiable(metric)).map(({ kind }) => kind)).toEqual(['rank']);
  });
});

describe('metricOfItem', () => {
  it('takes the mean over answers, each at its own position', () => {
    const rows: Record<number, LogitsRow> = { 0: row, 4: reference };
    const targets = [
      { name: 'a', position: 0, answer: 0, foils: [1] },
      { name: 'b', position: 4, answer: 4, foils: [3] },
    ];
    const found = metricOfItem({ kind: 'logit-difference', foil: 'one' }, (position) => rows[position], targets);
    expect(found).toEqual({ byAnswer: [3, 2.5], value: 2.75 });
    expect(() => metricOfItem({ kind: 'prob' }, () => row, [])).toThrow(/needs an answer/);
  });
});

describe('metricGradient', () => {
  it('is what finite differences give', () => {
    for (const metric of all.filter(({ kind }) => kind !== 'rank')) {
      const logits = randomRow(5, 12);
      const other = randomRow(6, 12);
      const gradient = metricGradient(metric, logits, target, other);
      logits.forEach((_, id) => {
        const at = (step: number) =>
          metricOfRow(
            metric,
            logits.map((x, i) => (i === id ? x + step : x)),
            target,
            other,
          );
        expect(gradient[id]).toBeCloseTo((at(1e-5) - at(-1e-5)) / 2e-5, 7);
      });
      // A constant on all logits changes nothing.
      expect(gradient.reduce((sum, x) => sum + x, 0)).toBeCloseTo(0, 12);
    }
  });

  it('does not exist for the rank', () => {
    expect(() => metricGradient({ kind: 'rank' }, row, target)).toThrow(/no gradient/);
  });
});

describe('normalized', () => {
  it('puts the corrupted run at 0 and the clean one at 1 when denoising, at −1 and 0 when noising', () => {
    expect(normalized(-5, 3, -5, 'denoising')).toBe(0);
    expect(normalized(3, 3, -5, 'denoising')).toBe(1);
    expect(normalized(1, 3, -5, 'denoising')).toBe(0.75);
    expect(normalized(3, 3, -5, 'noising')).toBe(0);
    expect(normalized(-5, 3, -5, 'noising')).toBe(-1);
    expect(normalized(1, 3, -5, 'noising')).toBe(-0.25);
  });

  it('does not care about an affine change of the metric, and its forms differ by 1', () => {
    for (let seed = 0; seed < 20; seed++) {
      const [x, clean, corrupted] = randomRow(seed, 3);
      const share = normalized(x, clean, corrupted, 'denoising');
      expect(normalized(7 - 2 * x, 7 - 2 * clean, 7 - 2 * corrupted, 'denoising')).toBeCloseTo(share, 8);
      expect(share - normalized(x, clean, corrupted, 'noising')).toBeCloseTo(1, 10);
    }
  });

  it('refuses runs that score the same', () => {
    expect(() => normalized(1, 2, 2, 'denoising')).toThrow(/score the same/);
    expect(() => normalized(1, 1e9, 1e9 + 1, 'noising')).toThrow(/score the same/);
    expect(() => normalized(1, Number.NaN, 2, 'noising')).toThrow(/score the same/);
  });
});
