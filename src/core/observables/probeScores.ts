import { pearson } from '../experiments/steps/estimate.ts';
import { ranks } from './rankCorrelation.ts';

/** Squared Pearson correlation; 0 where one of the two does not vary. */
export function rSquaredOf(x: readonly number[], y: readonly number[]): number {
  return (pearson(x.map((value, i) => ({ x: value, y: y[i] }))) ?? 0) ** 2;
}

/** Share of pairs of a positive and a negative whose positive scores higher, ties half (Mann and Whitney). NaN without both. */
export function aucOf(scores: readonly number[], positive: readonly boolean[]): number {
  const own = ranks(scores).filter((_, i) => positive[i]);
  const sum = own.reduce((total, rank) => total + rank, 0);
  const [count, others] = [own.length, scores.length - own.length];
  return (sum - (count * (count + 1)) / 2) / (count * others);
}
