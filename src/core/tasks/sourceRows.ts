import type { Random } from '../../shared/statistics.ts';

/**
 * A random permutation of the rows 0 … n − 1 in which as few rows as possible are given a value that collides with their
 * own: first any permutation (Fisher and Yates), then each row that collides changes places with one drawn at random among
 * those with which neither collides afterwards; then 10 n exchanges drawn at random are made unless more rows would collide,
 * so that no such permutation is much likelier than another. When values collide that are equal, and none is in more than half of the
 * rows, no row keeps its value; else those that must: 2m − n for a value in m rows.
 *
 * @param values value of each row; rows of one value collide with the same rows
 * @returns for each row, the one whose value it is given
 */
export function sourceRows(
  values: readonly number[],
  collides: (row: number, source: number) => boolean,
  random: Random,
): number[] {
  const n = values.length;
  const source = random.permutation(n);
  // Pairs (own value, given value) for which there was no partner: there is none for the next such row either.
  const hopeless = new Set<string>();
  for (let row = 0; row < n; row++) {
    if (!collides(row, source[row])) continue;
    const pair = `${values[row]} ${values[source[row]]}`;
    if (hopeless.has(pair)) continue;
    const start = random.below(n);
    let partner = -1;
    for (let i = 0; i < n && partner < 0; i++) {
      const other = (start + i) % n;
      if (other !== row && !collides(row, source[other]) && !collides(other, source[row])) partner = other;
    }
    if (partner < 0) hopeless.add(pair);
    else [source[row], source[partner]] = [source[partner], source[row]];
  }
  const count = (i: number, j: number) => Number(collides(i, source[i])) + Number(collides(j, source[j]));
  for (let k = 0; k < 10 * n; k++) {
    const i = random.below(n);
    const j = random.below(n);
    const before = count(i, j);
    [source[i], source[j]] = [source[j], source[i]];
    if (count(i, j) > before) [source[i], source[j]] = [source[j], source[i]];
  }
  return source;
}
