import { describe, expect, it } from 'vitest';
import { CoMoments } from '../../../src/core/observables/coMoments.ts';
import { cosine, coupling, couplingEntries, dot, fittedLine } from '../../../src/core/observables/coupling.ts';
import { couplingsDiffer } from '../../../src/shared/couplingPicture.ts';
import { mean, type Random, seededRandom, standardDeviation, standardError } from '../../../src/shared/statistics.ts';

const D = 64;
const gaussian = (random: Random, d = D) => Float64Array.from({ length: d }, () => random.normal());
const scaled = (y: Float64Array, factor: number) => y.map((value) => value * factor);

/** A second vector at a given cosine to the first. */
function atCosine(first: Float64Array, cos: number, random: Random): Float64Array {
  const other = gaussian(random, first.length);
  const along = dot(other, first) / dot(first, first);
  const across = other.map((value, i) => value - along * first[i]);
  const ratio = Math.sqrt((1 - cos ** 2) / dot(across, across));
  const unit = Math.sqrt(dot(first, first));
  return first.map((value, i) => 1.7 * ((cos * value) / unit + ratio * across[i]));
}

/** Rows of data times some vectors, `[rows, vectors]`. */
function scores(data: readonly Float64Array[], vectors: readonly Float64Array[]): Float64Array {
  return Float64Array.from(data.flatMap((x) => vectors.map((y) => dot(x, y))));
}

function momentsOf(data: readonly Float64Array[], vectors: readonly Float64Array[]): CoMoments {
  const moments = new CoMoments(vectors.length, vectors.length);
  const all = scores(data, vectors);
  moments.add(all, all, data.length);
  return moments;
}

describe('identities of coupling coefficients', () => {
  const random = seededRandom(1);
  const [first, second] = [gaussian(random), gaussian(random)];

  it('is 1 with itself, scales with the second, and both ways give the square of the cosine', () => {
    expect(coupling(first, first)).toBe(1);
    expect(coupling(first, scaled(second, -2.5))).toBeCloseTo(-2.5 * coupling(first, second), 12);
    const cos = cosine(first, second);
    expect(coupling(first, second) * coupling(second, first)).toBeCloseTo(cos ** 2, 12);
    expect(Math.abs(coupling(first, second) * coupling(second, first) - cos)).toBeGreaterThan(0.01);
    const unit = (y: Float64Array) => scaled(y, 1 / Math.sqrt(dot(y, y)));
    expect(coupling(unit(first), unit(second))).toBeCloseTo(cos, 12);
  });

  it('is unmoved when both are scaled alike, and changes sign with one of them', () => {
    expect(coupling(scaled(first, 3), scaled(second, 3))).toBeCloseTo(coupling(first, second), 12);
    expect(coupling(scaled(first, -1), second)).toBeCloseTo(-coupling(first, second), 12);
    expect(cosine(scaled(first, 7), second)).toBeCloseTo(cosine(first, second), 12);
  });

  it('refuses vectors of unlike models', () => {
    expect(() => coupling(first, gaussian(random, 32))).toThrow(/64 numbers and one of 32/);
  });

  it('has C_S as the least-squares slope on data with any covariance and mean', () => {
    const mixing = Array.from({ length: D }, () => gaussian(random));
    const offset = scaled(gaussian(random), 50);
    const data = Array.from({ length: 500 }, () => {
      const z = gaussian(random);
      return offset.map((value, i) => value + dot(mixing[i], z));
    });
    const centre = offset.map((_, i) => mean(data.map((x) => x[i])));
    // C_S from the covariance itself, as its definition has it.
    const covariance = (a: Float64Array, b: Float64Array) =>
      data.reduce(
        (sum, x) =>
          sum +
          dot(
            a,
            x.map((v, i) => v - centre[i]),
          ) *
            dot(
              b,
              x.map((v, i) => v - centre[i]),
            ),
        0,
      );
    const expected = covariance(first, second) / covariance(first, first);
    const moments = momentsOf(data, [first, second]);
    expect(fittedLine(moments, 0, 1)).toMatchObject({ slope: expect.closeTo(expected, 10), n: 500 });
    const [[, entry]] = couplingEntries([{ vector: first }, { vector: second }]);
    expect(entry).toEqual({ coupling: coupling(first, second), cosine: cosine(first, second) });
  });

  it('flags a pair whose C and C_S are more than a fifth apart', () => {
    expect([
      couplingsDiffer(1, 0.81),
      couplingsDiffer(1, 0.79),
      couplingsDiffer(0.79, 1),
      couplingsDiffer(-1, 1),
      couplingsDiffer(0, 0),
    ]).toEqual([...[false, true, true, true, false]]);
  });
});

describe('moments of a stream', () => {
  const random = seededRandom(2);
  const data = Array.from({ length: 90 }, () => gaussian(random, 3).map((value) => 1e6 + value));
  const flat = (rows: readonly Float64Array[]) => rows.flatMap((row) => [...row]);

  it('are those of the whole, however it was cut, through JSON, with large means', () => {
    const whole = new CoMoments(3, 3);
    whole.add(flat(data), flat(data), 90);
    const parts = [data.slice(0, 1), data.slice(1, 40), [], data.slice(40)].map((rows) => {
      const part = new CoMoments(3, 3);
      for (const row of rows) part.add(row, row, 1);
      return JSON.parse(JSON.stringify(part.toJson())) as ReturnType<CoMoments['toJson']>;
    });
    const joined = CoMoments.joined(3, 3, parts);
    expect(joined.count).toBe(90);
    const x = data.map((row) => row[0]);
    expect(joined.squaresOfRow(0) / 89).toBeCloseTo((standardDeviation(x) ?? 0) ** 2, 6);
    for (const [row, column] of [
      [0, 1],
      [2, 0],
    ]) {
      expect(joined.product(row, column)).toBeCloseTo(whole.product(row, column), 6);
    }
    expect(fittedLine(joined, 0, 1)?.slope).toBeCloseTo(fittedLine(whole, 0, 1)?.slope ?? 0, 9);
  });

  it('gives the textbook line: slope, standard error, r²', () => {
    const moments = new CoMoments(1, 1);
    moments.add([1, 2, 3, 4, 5], [2.1, 3.9, 6.2, 7.8, 10.1], 5);
    const line = fittedLine(moments, 0, 0);
    // By hand: Sxx = 10, Sxy = 19.9, Syy = 39.708.
    expect(line?.slope).toBeCloseTo(1.99, 10);
    expect(line?.slopeError).toBeCloseTo(Math.sqrt((39.708 - 1.99 * 19.9) / 3 / 10), 10);
    expect(line?.rSquared).toBeCloseTo(19.9 ** 2 / (10 * 39.708), 10);
    expect(fittedLine(CoMoments.joined(1, 1, []), 0, 0)).toBeNull();
  });
});

/**
 * Theorem 2 of the paper: the score x·y₂ for x uniform on {|x| = length, x·y₁ = score} has the mean C(y₁, y₂) · score; the variance
 * |y₂|² sin²φ (length² − score²/|y₁|²) / (d − 1) is derived here: the rest of x is uniform on a sphere of d − 1 dimensions. The extremes
 * are reached in the plane of the two.
 */
function conditionalScore(first: Float64Array, second: Float64Array, score: number, length: number) {
  const rest = length ** 2 - score ** 2 / dot(first, first);
  const along = coupling(first, second);
  // |y₂|² sin²φ, by the part of y₂ across y₁: no cancellation where they are nearly parallel.
  const across = second.map((value, i) => value - along * first[i]);
  const square = dot(across, across);
  const [mean, reach] = [along * score, Math.sqrt(square * rest)];
  return { mean, low: mean - reach, high: mean + reach, variance: square * (rest / (first.length - 1)) };
}

describe('Theorem 2, features that are known to have cosines .3, .6 and .9', () => {
  it.each([0.3, 0.6, 0.9])('holds its mean, variance and extremes at cosine %f', (cos) => {
    const random = seededRandom(Math.round(cos * 10));
    const first = scaled(gaussian(random), 0.8);
    const second = atCosine(first, cos, random);
    expect(cosine(first, second)).toBeCloseTo(cos, 12);
    const [score, length] = [13, 30];
    const square = dot(first, first);
    const radius = Math.sqrt(length ** 2 - score ** 2 / square);
    const draws = Array.from({ length: 40_000 }, () => {
      const z = gaussian(random);
      const along = dot(z, first) / square;
      const across = z.map((value, i) => value - along * first[i]);
      const factor = radius / Math.sqrt(dot(across, across));
      return dot(
        second,
        across.map((value, i) => (score / square) * first[i] + factor * value),
      );
    });
    const claim = conditionalScore(first, second, score, length);
    expect(claim.mean).toBeCloseTo(coupling(first, second) * score, 12);
    expect(Math.abs(mean(draws) - claim.mean)).toBeLessThan(3 * (standardError(draws) ?? 0));
    expect(Math.abs((standardDeviation(draws) ?? 0) ** 2 / claim.variance - 1)).toBeLessThan(0.02);
    expect(draws.every((value) => value > claim.low && value < claim.high)).toBe(true);
    // The extremes are reached in the plane of the two.
    const along = dot(second, first) / square;
    const across = second.map((value, i) => value - along * first[i]);
    for (const [sign, extreme] of [
      [1, claim.high],
      [-1, claim.low],
    ]) {
      const factor = (sign * radius) / Math.sqrt(dot(across, across));
      const x = across.map((value, i) => (score / square) * first[i] + factor * value);
      expect(Math.abs(dot(x, x) / length ** 2 - 1)).toBeLessThan(1e-12);
      expect(Math.abs(dot(x, second) - extreme)).toBeLessThan(1e-12 * Math.abs(claim.high));
    }
  });
});

describe('isotropic Gaussian inputs', () => {
  it('have C as slope, cos² as r², and |y|² as mean squared score', () => {
    const random = seededRandom(11);
    const first = gaussian(random);
    const vectors = [first, atCosine(first, 0.6, random)];
    const data = Array.from({ length: 20_000 }, () => gaussian(random));
    const line = fittedLine(momentsOf(data, vectors), 0, 1);
    expect(Math.abs((line?.slope ?? 0) - coupling(vectors[0], vectors[1]))).toBeLessThan(3 * (line?.slopeError ?? 0));
    // Standard error of r² in large samples: 2 r (1 − r²) / √n.
    expect(Math.abs((line?.rSquared ?? 0) - 0.36)).toBeLessThan((3 * 2 * 0.6 * 0.64) / Math.sqrt(20_000));
    const squares = data.map((x) => dot(x, first) ** 2);
    expect(Math.abs(mean(squares) - dot(first, first))).toBeLessThan(3 * (standardError(squares) ?? 0));
  });
});
