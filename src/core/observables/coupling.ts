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

/** How one feature goes with another by geometry alone; `row` normalises. */
export interface CouplingEntry {
  readonly coupling: number;
  readonly cosine: number;
}

/** A least-squares line through points, from their moments. */
export interface FittedLine {
  readonly slope: number;
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
    slopeError: count < 3 ? null : Math.sqrt(rest / (count - 2) / xx),
    rSquared: yy > 0 ? Math.min(1, xy ** 2 / (xx * yy)) : 1,
    n: count,
  };
}

/** Moments of the scores of features over a corpus. */
export interface FeatureMoments {
  /** Each feature at its own hook: `[feature][feature]`. */
  readonly own: CoMoments;
  /**
   * C_S = y₁ᵀ S y₂ / y₁ᵀ S y₁ of a column for a row, S the centred covariance of the activations at the *row* feature's hook, on which
   * both vectors are read: what C becomes where inputs are not isotropic. Null where the row's score does not vary.
   */
  readonly covariance: (row: number, column: number) => number | null;
}

/**
 * All pairs `[row][column]` of features.
 * @throws MechanistError `bad-input` for features of unlike models
 */
export function couplingEntries(
  features: readonly { readonly vector: Vector }[],
): readonly (readonly CouplingEntry[])[] {
  return features.map(({ vector: first }) =>
    features.map(({ vector: second }) => ({ coupling: coupling(first, second), cosine: cosine(first, second) })),
  );
}
