/** Σ a b, in float64. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}

/** A row of `[rows, width]`. */
export function rowAt(rows: Float32Array, index: number, width: number): Float64Array {
  return Float64Array.from(rows.subarray(index * width, (index + 1) * width));
}

/** |a| */
export function length(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a));
}

/** a + factor b */
export function plus(a: Float64Array, b: ArrayLike<number>, factor = 1): Float64Array {
  return a.map((value, i) => value + factor * b[i]);
}

/** The point from + t (to − from). */
export function between(from: Float64Array, to: Float64Array, t: number): Float64Array {
  return from.map((value, i) => value + t * (to[i] - value));
}
