import { MechanistError } from '../../shared/errors.ts';

/** What a norm does, as far as the theorem needs it. */
export interface NormShape {
  readonly kind: 'layernorm' | 'rmsnorm';
  readonly eps: number;
}

/**
 * The angle θ between a direction and the gradient it has behind a norm, for a direction of no preference.
 *
 * With eps = 0 and gain 1 the gradient of n · N(x) is, up to a factor, n less its parts along x and (LayerNorm) along 1. For
 * n ~ N(0, I) the share taken away is |part|² / |n|² ~ Beta(k/2, (d − k)/2), with k = 2 for LayerNorm and k = 1 for RMSNorm, whatever
 * x is. LayerNorm: P(θ > t) = cos^(d−2) t. RMSNorm: θ is the latitude of a random point above a hyperplane, with density ∝ cos^(d−2) t.
 *
 * What a model changes: the gain comes first, so all this is about w = γ ⊙ n, and holds for random n only as far as the gains are
 * alike. eps > 0 takes less of the part along x away, so angles get smaller.
 */
export interface RandomAngle {
  /** E[θ], radians; exact. */
  readonly expected: number;
  /** The theorem's bound of E[θ], radians; null for widths below 8 (LayerNorm) or 7 (RMSNorm), where its proof does not hold. */
  readonly bound: number | null;
  /** Density of θ at `angle` radians. */
  readonly density: (angle: number) => number;
  /** θ below which the share `q` lies, 0 < q < 1. */
  readonly quantile: (q: number) => number;
}

/** ∫₀^{π/2} cosⁿ t dt, n ≥ 0. */
function cosineIntegral(n: number): number {
  let value = n % 2 === 0 ? Math.PI / 2 : 1;
  for (let k = n % 2 === 0 ? 2 : 3; k <= n; k += 2) value *= (k - 1) / k;
  return value;
}

/** ∫₀^{π/2} t cosⁿ t dt, n ≥ 0: by parts, J(n) = (n − 1)/n · J(n − 2) − 1/n². */
function angleIntegral(n: number): number {
  let value = n % 2 === 0 ? Math.PI ** 2 / 8 : Math.PI / 2 - 1;
  for (let k = n % 2 === 0 ? 2 : 3; k <= n; k += 2) value = ((k - 1) / k) * value - 1 / k ** 2;
  return value;
}

/** Simpson's rule. */
function integral(f: (t: number) => number, to: number, steps = 400): number {
  const h = to / steps;
  let sum = f(0) + f(to);
  for (let i = 1; i < steps; i += 1) sum += f(i * h) * (i % 2 === 0 ? 2 : 4);
  return (sum * h) / 3;
}

/** Where an increasing function of an angle takes a value. */
function solve(f: (t: number) => number, value: number): number {
  let [low, high] = [0, Math.PI / 2];
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (f(middle) < value) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * LayerNorm: E[θ] = (√π/2) Γ((d−1)/2) / Γ(d/2), sharper than the theorem's 2 arccos √(1 − 1/(d−1))
 * (Dunefsky and Cohan 2024, Theorem 1). For PQ takes a plane away, so that cos²θ ~ Beta((d−2)/2, 1).
 */
function layerNormAngle(d: number): RandomAngle {
  return {
    expected: cosineIntegral(d - 2),
    bound: d < 8 ? null : 2 * Math.asin(1 / Math.sqrt(d - 1)),
    density: (t) => (d - 2) * Math.cos(t) ** (d - 3) * Math.sin(t),
    quantile: (q) => Math.acos((1 - q) ** (1 / (d - 2))),
  };
}

/**
 * RMSNorm: one direction is taken away, cos²θ ~ Beta((d−1)/2, 1/2). The theorem's argument then needs no triangle inequality:
 * arcsin √t lies below its tangent at E[sin²θ] = 1/d, as long as 1/d < 0.1554, so that E[θ] < arcsin(1/√d). Derived here.
 */
function rmsNormAngle(d: number): RandomAngle {
  const all = cosineIntegral(d - 2);
  const density = (t: number) => Math.cos(t) ** (d - 2) / all;
  return {
    expected: angleIntegral(d - 2) / all,
    bound: d < 7 ? null : Math.asin(1 / Math.sqrt(d)),
    density,
    quantile: (q) => solve((t) => integral(density, t), q),
  };
}

/**
 * The distribution of the angle for a random direction in a stream of `width` dimensions.
 * @throws MechanistError `bad-input` for fewer than 3 dimensions
 */
export function randomAngle(kind: NormShape['kind'], width: number): RandomAngle {
  if (!Number.isSafeInteger(width) || width < 3) {
    throw new MechanistError('bad-input', `The angle at a norm needs a stream of at least 3 dimensions, not ${width}.`);
  }
  return kind === 'layernorm' ? layerNormAngle(width) : rmsNormAngle(width);
}

/** An observable's own angle at one input of a norm. */
export interface OwnAngle {
  /** cos(Pw, Px), w = γ ⊙ n: how much of the direction only changes the norm's scale. */
  readonly rho: number;
  /** Between w and the gradient, radians; what the theorem is about. */
  readonly angle: number;
}

/** Radians between two vectors, from their products. */
function angleFrom(product: number, squareA: number, squareB: number): number {
  return Math.acos(Math.min(1, Math.max(-1, product / Math.sqrt(squareA * squareB))));
}

/**
 * Angle and ρ of a direction n at the output of a norm whose input is x. With P the centring (RMSNorm: none), u = Px/|Px| and
 * κ = |Px|² / (|Px|² + d eps), the gradient is (1/s)(Pw − κ u (u·w)); for eps = 0 cos(Pw, gradient) = √(1 − ρ²). At the decision
 * boundary ρ is nearly 0, at prompts of a trained model it is not: there the theorem, which is about random n, says nothing.
 */
export function ownAngle(
  norm: NormShape,
  gain: ArrayLike<number>,
  direction: ArrayLike<number>,
  x: ArrayLike<number>,
): OwnAngle {
  const d = direction.length;
  const centred = norm.kind === 'layernorm';
  const w = Float64Array.from(direction, (value, i) => value * gain[i]);
  const mean = (v: ArrayLike<number>) => (centred ? Array.from(v).reduce((sum, value) => sum + value, 0) / d : 0);
  const [meanW, meanX] = [mean(w), mean(x)];
  let [ww, pp, px, xx] = [0, 0, 0, 0];
  for (let i = 0; i < d; i += 1) {
    const [own, at] = [w[i] - meanW, x[i] - meanX];
    ww += w[i] ** 2;
    pp += own ** 2;
    px += own * at;
    xx += at ** 2;
  }
  const rho = px / Math.sqrt(pp * xx);
  const kappa = xx / (xx + d * norm.eps);
  // w · g = |Pw|² (1 − κρ²), since g lies in the image of P; |g|² = |Pw|² (1 − 2κρ² + κ²ρ²).
  const along = pp * (1 - kappa * rho ** 2);
  const square = pp * (1 - kappa * (2 - kappa) * rho ** 2);
  return { rho, angle: angleFrom(along, ww, square) };
}
