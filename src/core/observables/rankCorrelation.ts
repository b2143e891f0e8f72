import { pearson } from '../experiments/steps/estimate.ts';

/** Ranks from 1; equal values share the mean of theirs. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
  const result = new Array<number>(values.length).fill(0);
  for (let first = 0; first < order.length; ) {
    let end = first + 1;
    while (end < order.length && values[order[end]] === values[order[first]]) end += 1;
    for (let i = first; i < end; i += 1) result[order[i]] = (first + 1 + end) / 2;
    first = end;
  }
  return result;
}

/** Spearman's rank correlation; null for fewer than two values, or where one side does not vary. */
export function spearman(a: readonly number[], b: readonly number[]): number | null {
  const [x, y] = [ranks(a), ranks(b)];
  return pearson(x.map((value, i) => ({ x: value, y: y[i] })));
}

/** How many of the `count` largest of one list are among those of the other. */
export function topOverlap(a: readonly number[], b: readonly number[], count: number): number {
  const top = (values: readonly number[]) =>
    values
      .map((_, i) => i)
      .sort((i, j) => values[j] - values[i])
      .slice(0, count);
  const other = new Set(top(b));
  return top(a).filter((i) => other.has(i)).length;
}
