import { signed } from '../../../shared/format.ts';
import type { TaskSet } from '../../../shared/taskSet.ts';
import type { OfSides } from '../debiasLayer.ts';

/** Pairs whose partner does not flip the sign of an observable, with the numbers of the first. @param rows row of each pair */
export function flipWarnings(
  { items }: TaskSet,
  rows: readonly number[],
  { clean, corrupted }: OfSides,
  label: string,
): readonly string[] {
  const same = rows.flatMap((_, i) => (clean[i] * corrupted[i] > 0 ? [i] : []));
  if (same.length === 0) return [];
  const [first] = same;
  const example = `row ${items[rows[first]].id} has ${signed(clean[first])} and ${signed(corrupted[first])}`;
  return [`In ${same.length} of ${rows.length} pairs the partner does not flip the sign of ${label}: ${example}.`];
}
