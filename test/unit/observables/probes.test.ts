import { describe, expect, it } from 'vitest';
import { cosine, dot } from '../../../src/core/observables/coupling.ts';
import { aucOf, rSquaredOf } from '../../../src/core/observables/probeScores.ts';
import { fitProbes, type ProbeSample } from '../../../src/core/observables/probes.ts';
import { type Random, seededRandom } from '../../../src/shared/statistics.ts';

const D = 12;
const gaussian = (random: Random) => Float64Array.from({ length: D }, () => random.normal());

/** Two classes apart along a direction, with an observable that is linear in x up to noise. */
function sampleOf(random: Random, n: number, truth: Float64Array, noise: number): ProbeSample {
  const positive = Array.from({ length: n }, (_, i) => i % 2 === 0);
  const x = positive.map((own) => gaussian(random).map((value, i) => 3 + value + (own ? 0.4 : -0.4) * truth[i]));
  const y = x.map((row) => 2 + dot(row, truth) + noise * random.normal());
  return { x, y, positive };
}

describe('probes', () => {
  const random = seededRandom(4);
  const truth = gaussian(random);

  it('find the very direction where the observable is linear and there are rows enough', () => {
    const { 'linear regression': found } = fitProbes(sampleOf(random, 40, truth, 0));
    for (let i = 0; i < D; i += 1) expect(found[i]).toBeCloseTo(truth[i], 8);
  });

  it('give the shortest of all exact solutions with fewer rows than dimensions', () => {
    const sample = sampleOf(random, 6, truth, 0);
    const { 'linear regression': found } = fitProbes(sample);
    const offset = sample.y[0] - dot(sample.x[0], found);
    sample.x.forEach((row, i) => {
      expect(dot(row, found) + offset).toBeCloseTo(sample.y[i], 8);
    });
    // In the span of differences of rows: whatever is across all of them is not in it.
    const differences = sample.x.slice(1).map((row) => row.map((value, i) => value - sample.x[0][i]));
    let across = gaussian(random);
    for (let pass = 0; pass < 400; pass += 1) {
      for (const row of differences) {
        const along = dot(across, row) / dot(row, row);
        across = across.map((value, i) => value - along * row[i]);
      }
    }
    expect(Math.abs(cosine(found, across))).toBeLessThan(1e-6);
  });

  it('meet the condition of the logistic optimum: the gradient is 0', () => {
    for (const n of [2, 8, 60]) {
      const sample = sampleOf(random, n, truth, 0.5);
      const w = fitProbes(sample)['logistic regression'];
      const mean = w.map((_, i) => sample.x.reduce((sum, row) => sum + row[i], 0) / n);
      const centred = sample.x.map((row) => row.map((value, i) => value - mean[i]));
      const square = centred.reduce((sum, row) => sum + dot(row, row), 0) / n;
      const scale = Math.sqrt(D / square);
      // The direction in the unit of the scaled rows, and the intercept that goes with it.
      const v = w.map((value) => value / scale);
      const z = centred.map((row) => row.map((value) => value * scale));
      const residual = (b: number) =>
        z.map((row, i) => 1 / (1 + Math.exp(-dot(row, v) - b)) - (sample.positive[i] ? 1 : 0));
      let [low, high] = [-50, 50];
      for (let i = 0; i < 100; i += 1) {
        const middle = (low + high) / 2;
        if (residual(middle).reduce((sum, value) => sum + value, 0) > 0) high = middle;
        else low = middle;
      }
      const errors = residual(low);
      const gradient = v.map((value, i) => value + z.reduce((sum, row, r) => sum + errors[r] * row[i], 0));
      expect(Math.sqrt(dot(gradient, gradient))).toBeLessThan(1e-5);
    }
  });

  it('are one direction for one prompt of each side', () => {
    const {
      'linear regression': a,
      'logistic regression': b,
      'mean difference': c,
    } = fitProbes(sampleOf(random, 2, truth, 0));
    expect(Math.abs(cosine(a, c))).toBeCloseTo(1, 10);
    expect(cosine(b, c)).toBeCloseTo(1, 10);
  });

  it('are told apart by squared correlation and by the area under the curve', () => {
    expect(rSquaredOf([1, 2, 3], [-2, -4, -6])).toBeCloseTo(1, 12);
    expect(rSquaredOf([1, 1, 1], [1, 2, 3])).toBe(0);
    expect(aucOf([1, 2, 3, 4], [false, false, true, true])).toBe(1);
    expect(aucOf([4, 3, 2, 1], [false, false, true, true])).toBe(0);
    expect(aucOf([1, 1, 1, 1], [false, true, false, true])).toBe(0.5);
    expect(aucOf([0.1, 0.4, 0.35, 0.8], [false, false, true, true])).toBe(0.75);
    expect(aucOf([1, 2], [true, true])).toBeNaN();
  });
});
