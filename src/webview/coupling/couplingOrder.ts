import type { CouplingFeature, CouplingPicture } from '../../shared/couplingPicture.ts';

/** What stands together in the matrix. */
export type CouplingGrouping = 'observable' | 'node';

/** `␣she − ␣he at L21.H4` */
export const featureName = ({ observable, node }: CouplingFeature): string => `${observable} at ${node}`;

/** The name of a feature's group, and what tells it from its neighbours there. */
export function namesIn(
  grouping: CouplingGrouping,
  { observable, node }: CouplingFeature,
): [group: string, own: string] {
  return grouping === 'observable' ? [observable, node] : [node, observable];
}

/** Positions of features in the order they are shown: groups in the order of their first member. */
export function shownOrder({ features }: Pick<CouplingPicture, 'features'>, grouping: CouplingGrouping): number[] {
  const groups = new Map<string, number[]>();
  for (const [i, feature] of features.entries()) {
    const [group] = namesIn(grouping, feature);
    groups.set(group, [...(groups.get(group) ?? []), i]);
  }
  return [...groups.values()].flat();
}

/** A pair of features: row and column by their position in the picture. */
export interface Pair {
  readonly row: number;
  readonly column: number;
}

export const pairId = ({ row, column }: Pair): string => `${row}.${column}`;

/** The pair that a kept id names, or the most telling one: of two observables at one node, with the largest cosine. */
export function chosenPair(picture: CouplingPicture, id: string | undefined): Pair | null {
  const { features, values } = picture;
  const [row, column] = (id ?? '').split('.').map(Number);
  if (id !== undefined && features[row] && features[column]) return { row, column };
  let best: Pair | null = null;
  let bestSize = Number.NEGATIVE_INFINITY;
  for (const [r, a] of features.entries()) {
    for (const [c, b] of features.entries()) {
      if (r === c) continue;
      const cos = values.cos[r]?.[c] ?? Number.NaN;
      const telling = (a.observable === b.observable ? 0 : 2) + (a.node === b.node ? 2 : 0);
      const size = telling + (Number.isFinite(cos) ? Math.abs(cos) : -1);
      if (size <= bestSize) continue;
      best = { row: r, column: c };
      bestSize = size;
    }
  }
  return best ?? (features.length > 0 ? { row: 0, column: 0 } : null);
}
