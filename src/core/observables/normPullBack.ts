import type { NormMode } from '../../shared/features.ts';
import type { FinalNorm } from '../engine/finalNorm.ts';
import { midpoints } from './segment.ts';
import { between, dot, length, plus } from './vectors.ts';

/** A direction behind a norm, taken back to its input: n · N(x) ≈ vector · x + offset. */
export interface PulledBack {
  /** `[d_model]` */
  readonly vector: Float64Array;
  /** In the unit of n · N(x): logits. */
  readonly offset: number;
}

/** n · N(x). */
export function normAlong(norm: FinalNorm, n: Float64Array, x: Float64Array): number {
  return dot(n, norm.normed(x));
}

/** An observable as a function of the stream before the final norm. */
export interface StreamObservable {
  /** W_U^T n `[d_model]` */
  readonly direction: Float64Array;
  /** n · b_U */
  readonly bias: number;
}

/** The observable in logits, where the stream before the final norm is x. */
export function streamValue(norm: FinalNorm, { direction, bias }: StreamObservable, x: Float64Array): number {
  return normAlong(norm, direction, x) + bias;
}

/** n · β; 0 for RMSNorm. */
function biasAlong({ bias }: FinalNorm, n: Float64Array): number {
  return bias === null ? 0 : dot(n, bias);
}

/** P(γ ⊙ n), its part along u = Px / |Px|, and κ = |Px|² / (|Px|² + d eps). */
function parts(norm: FinalNorm, n: Float64Array, x: Float64Array) {
  const w = norm.pullBack(n, 1);
  const centred = norm.centred(x);
  const size = length(centred);
  const u = size === 0 ? centred : centred.map((value) => value / size);
  const scale = norm.scale(x);
  return { w, u, along: dot(u, w), kappa: size ** 2 / (x.length * scale ** 2), scale, size };
}

/**
 * ∇ n · N(x) = (1/s) [Pw − κ u (u · w)], w = γ ⊙ n. Draft of Dunefsky and Cohan, there without gain and eps.
 * `[d_model]`
 */
function gradient(norm: FinalNorm, n: Float64Array, x: Float64Array): Float64Array {
  const { w, u, along, kappa, scale } = parts(norm, n, x);
  return plus(w, u, -kappa * along).map((value) => value / scale);
}

/** A direction n taken back through a norm at the point x. See `NormMode`. */
export function pullBackNorm(norm: FinalNorm, n: Float64Array, mode: NormMode, x: Float64Array): PulledBack {
  switch (mode) {
    case 'ignore':
      return { vector: n.slice(), offset: 0 };
    case 'scaled': {
      // |Px|, as the paper has it; its code takes |x|.
      const size = length(norm.centred(x));
      const factor = size === 0 ? 1 / norm.scale(x) : Math.sqrt(x.length) / size;
      return { vector: n.map((value, i) => factor * value * norm.gain[i]), offset: biasAlong(norm, n) };
    }
    case 'frozen':
      return { vector: norm.pullBack(n, norm.scale(x)), offset: biasAlong(norm, n) };
    case 'jacobian': {
      const vector = gradient(norm, n, x);
      return { vector, offset: normAlong(norm, n, x) - dot(vector, x) };
    }
    case 'secant': {
      const factor = normAlong(norm, n, x) / dot(n, x);
      return { vector: n.map((value) => factor * value), offset: 0 };
    }
  }
}

/**
 * The mean of a mode's vectors on the segment between two inputs; `secant`: the one of the two ends. With `jacobian` and
 * `secant` vector · (to − from) is the difference of n · N exactly, as far as the midpoints are dense enough. The offset is such
 * that the mean of the two ends is right.
 */
export function meanPullBack(
  norm: FinalNorm,
  n: Float64Array,
  mode: NormMode,
  from: Float64Array,
  to: Float64Array,
): PulledBack {
  if (mode === 'ignore') return { vector: n.slice(), offset: 0 };
  const ends = [from, to].map((x) => normAlong(norm, n, x));
  const step = plus(to, from, -1);
  let vector: Float64Array = new Float64Array(n.length);
  if (length(step) === 0) vector = pullBackNorm(norm, n, mode, to).vector.slice();
  else if (mode === 'secant') vector = n.map((value) => (value * (ends[1] - ends[0])) / dot(n, step));
  else {
    const points = midpoints();
    for (const t of points) {
      vector = plus(vector, pullBackNorm(norm, n, mode, between(from, to, t)).vector, 1 / points.length);
    }
  }
  return { vector, offset: (ends[0] + ends[1] - dot(vector, from) - dot(vector, to)) / 2 };
}

/** How far the norm's own scale turns a direction. */
export interface NormAngle {
  /** cos(P(γ ⊙ n), Px): 0 where the norm's scale does not matter to first order. */
  readonly rho: number;
  /** Angle between P(γ ⊙ n) and the gradient, in radians; cos = √(1 − ρ²) but for eps. */
  readonly angle: number;
}

/** ρ and the angle at the point x. */
export function normAngle(norm: FinalNorm, n: Float64Array, x: Float64Array): NormAngle {
  const { w, u, along, kappa } = parts(norm, n, x);
  const size = length(w);
  if (size === 0) return { rho: 0, angle: 0 };
  const across = length(plus(w, u, -along));
  const left = (1 - kappa) * along;
  return { rho: along / size, angle: Math.atan2(Math.abs(across * (along - left)), across ** 2 + along * left) };
}
