import type { Estimate } from '../../../shared/figures.ts';
import { summarize } from '../../../shared/statistics.ts';

/** Mean of a sample with its spread; null for an empty one. @throws MechanistError `bad-input` for NaN or ∞ */
export function estimateOf(values: readonly number[], seed: number): Estimate | null {
  if (values.length === 0) return null;
  const { mean, n, sd, interval } = summarize(values, { seed });
  return { mean, n, sd, interval: interval && [interval.low, interval.high] };
}

/** Arithmetic mean; null for no values. */
export function meanOf(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  let mean = 0;
  values.forEach((value, i) => {
    mean += (value - mean) / (i + 1);
  });
  return mean;
}
