import { meanOf } from './estimate.ts';
import type { SetToken } from './tokenSets.ts';

/** How much of a matrix between sets of tokens lies on its diagonal. */
export interface DiagonalStatistics {
  /** Mean of the entries between tokens of one stem; null where no two belong together. */
  readonly diagonal: number | null;
  /** Mean of all other entries. */
  readonly 'off-diagonal': number | null;
  /** Rows with a partner whose largest entry is the partner's. */
  readonly argmax: number;
  /** Rows with a partner. */
  readonly rows: number;
  /** Share of them with the partner among the `top` largest entries. */
  readonly top: number | null;
}

/** Statistics of `[input][output]`. Of equal entries the first counts as the largest. */
export function diagonalStatistics(
  values: readonly (readonly number[])[],
  inputs: readonly SetToken[],
  outputs: readonly SetToken[],
  top: number,
): DiagonalStatistics {
  const on: number[] = [];
  const off: number[] = [];
  let [argmax, rows, among] = [0, 0, 0];
  values.forEach((row, i) => {
    const partner = (column: number) => outputs[column].stem === inputs[i].stem;
    row.forEach((value, column) => {
      (partner(column) ? on : off).push(value);
    });
    if (!outputs.some((_, column) => partner(column))) return;
    const order = row.map((_, column) => column).sort((a, b) => row[b] - row[a] || a - b);
    rows += 1;
    if (partner(order[0])) argmax += 1;
    if (order.slice(0, top).some(partner)) among += 1;
  });
  return { diagonal: meanOf(on), 'off-diagonal': meanOf(off), argmax, rows, top: rows === 0 ? null : among / rows };
}
