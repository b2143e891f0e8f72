import { niceMax } from './format.ts';

/** How far a value may lie beyond the end of a scale: one outlier must not make all the others pale. */
const slack = 1.3;

/** End of a symmetric scale for `values`: 1, 2 or 5 × 10^k, at least the largest / 1.3. NaN and infinities are ignored. */
export function scaleMax(values: readonly number[]): number {
  let largest = 0;
  for (const value of values) if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value));
  return niceMax(largest / slack);
}

/** At which ends of a scale values are clamped; the key says so (`≤ −2`, `≥ +2`). */
export interface Beyond {
  readonly below: boolean;
  readonly above: boolean;
}

export function beyondScale(values: readonly number[], max: number): Beyond {
  const end = max * (1 + 1e-9);
  return { below: values.some((value) => value < -end), above: values.some((value) => value > end) };
}
