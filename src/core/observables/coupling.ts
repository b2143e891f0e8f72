import { couplingsDiffer } from '../../shared/couplingPicture.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { CoMoments } from './coMoments.ts';
import { dot as product } from './vectors.ts';

type Vector = ArrayLike<number>;

/** y₁ · y₂ in float64. @throws MechanistError `bad-input` for vectors of unlike length */
export function dot(a: Vector, b: Vector): number {
  if (a.length === b.length) return product(a, b);
  const message = `A vector of ${a.length} numbers and one of ${b.length} are not features of one model: compute both on the same one.`;
  throw new MechanistError('bad-input', message);
}

/**
 * Coupling coefficient C(y₁, y₂) = y₁·y₂ / |y₁|²: where feature 1 fires with k, feature 2 is expected to fire with C k. Asymmetric:
 * C(y₁, y₂) C(y₂, y₁) = cos². NaN for y₁ = 0. Dunefsky and Cohan 2024, arXiv 2312.16291, §3.
 */
export function coupling(first: Vector, second: Vector): number {
  return dot(first, second) / dot(first, first);
}

/** Cosine of the angle between two features; NaN where one is 0. */
export function cosine(first: Vector, second: Vector): number {
  return dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
}

/** What feature 2 does on inputs of one length on which feature 1 has one score. */
export interface ConditionalScore {
  readonly mean: number;
  /** Extremes, reached in the plane of the two features. */
  readonly low: number;
  readonly high: number;
  readonly variance: number;
}

/**
 * Theorem 2 of the paper: the score x·y₂ for x uniform on {|x| = length, x·y₁ = score}. Its mean is C(y₁, y₂) · score; the variance
 * |y₂|² sin²φ (length² − score²/|y₁|²) / (d − 1) is derived here: the rest of x is uniform on a sphere of d − 1 dimensions.
 * @throws MechanistError `bad-input` where no such x exists: |score| > length · |y₁|
 */
export function conditionalScore(
  first: Vector,
  second: Vector,
  { score, length }: { readonly score: number; readonly length: number },
): ConditionalScore {
  const [a, b] = [dot(first, first), dot(second, second)];
  const rest = length ** 2 - score ** 2 / a;
  if (!(rest >= 0)) {
    const most = (length * Math.sqrt(a)).toPrecision(4);
    const message = `No input of length ${length} has the score ${score}: with this feature the largest is ${most}.`;
    throw new MechanistError('bad-input', message);
  }
  const mean = coupling(first, second) * score;
  // |y₂|² sin²φ, by the part of y₂ across y₁: no cancellation where they are nearly parallel.
  const along = coupling(first, second);
  const across = Math.max(
    0,
    Array.from(second, (value, i) => (value - along * first[i]) ** 2).reduce((sum, v) => sum + v, 0),
  );
  const reach = Math.sqrt(across * rest);
  return { mean, low: mean - reach, high: mean + reach, variance: Math.min(across, b) * (rest / (first.length - 1)) };
}

/** How one feature goes with another; `row` normalises. */
export interface CouplingEntry {
  readonly coupling: number;
  readonly cosine: number;
  /**
   * C_S = y₁ᵀ S y₂ / y₁ᵀ S y₁, S the centred covariance of the activations at the *row* feature's hook, on which both vectors are read:
   * what C becomes where inputs are not isotropic. Null without a corpus.
   */
  readonly covariance: number | null;
  /** Least-squares slope of the column feature's score on the row feature's, each at its own hook, with its standard error. */
  readonly slope: number | null;
  readonly slopeError: number | null;
  readonly rSquared: number | null;
  /** Tokens. */
  readonly n: number;
  /** C and C_S differ by more than 20 % of the larger. */
  readonly flagged: boolean;
}

/** A least-squares line through points, from their moments. */
export interface FittedLine {
  readonly slope: number;
  readonly intercept: number;
  /** Standard error of the slope, residuals taken to be independent (tokens of one text are not quite). Null for n < 3. */
  readonly slopeError: number | null;
  readonly rSquared: number;
  readonly n: number;
}

/** Line of column `y` on row `x`; null where x does not vary, or there are fewer than two points. */
export function fittedLine(moments: CoMoments, x: number, y: number): FittedLine | null {
  const { count } = moments;
  const [xx, yy, xy] = [moments.squaresOfRow(x), moments.squaresOfColumn(y), moments.product(x, y)];
  if (count < 2 || !(xx > 0)) return null;
  const slope = xy / xx;
  const rest = Math.max(0, yy - slope * xy);
  return {
    slope,
    intercept: moments.meanOfColumn(y) - slope * moments.meanOfRow(x),
    slopeError: count < 3 ? null : Math.sqrt(rest / (count - 2) / xx),
    rSquared: yy > 0 ? Math.min(1, xy ** 2 / (xx * yy)) : 1,
    n: count,
  };
}

/** Moments of the scores of features over a corpus. */
export interface FeatureMoments {
  /** Each feature at its own hook: `[feature][feature]`. */
  readonly own: CoMoments;
  /** C_S of a column for a row; null where the row's score does not vary. */
  readonly covariance: (row: number, column: number) => number | null;
}

/**
 * All pairs `[row][column]` of features; without moments only the geometry.
 * @throws MechanistError `bad-input` for features of unlike models
 */
export function couplingEntries(
  features: readonly { readonly vector: Vector }[],
  moments: FeatureMoments | null,
): readonly (readonly CouplingEntry[])[] {
  return features.map(({ vector: first }, row) =>
    features.map(({ vector: second }, column) => {
      const coupled = coupling(first, second);
      const covariance = moments?.covariance(row, column) ?? null;
      const line = moments === null ? null : fittedLine(moments.own, row, column);
      return {
        coupling: coupled,
        cosine: cosine(first, second),
        covariance,
        slope: line?.slope ?? null,
        slopeError: line?.slopeError ?? null,
        rSquared: line?.rSquared ?? null,
        n: moments?.own.count ?? 0,
        flagged: covariance !== null && couplingsDiffer(coupled, covariance),
      };
    }),
  );
}
