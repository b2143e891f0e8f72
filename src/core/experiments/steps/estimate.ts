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

/** Pearson correlation of points; null for fewer than two, or where one coordinate does not vary. */
export function pearson(points: readonly { readonly x: number; readonly y: number }[]): number | null {
  const [mx, my] = [meanOf(points.map(({ x }) => x)), meanOf(points.map(({ y }) => y))];
  if (points.length < 2 || mx === null || my === null) return null;
  let [xx, yy, xy] = [0, 0, 0];
  for (const { x, y } of points) {
    xx += (x - mx) ** 2;
    yy += (y - my) ** 2;
    xy += (x - mx) * (y - my);
  }
  return xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy);
}
