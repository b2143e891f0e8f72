import type { CouplingPicture } from '../../../shared/couplingPicture.ts';
import { signedFixed } from '../../../shared/format.ts';

interface Found {
  readonly row: number;
  readonly column: number;
  readonly cos: number;
}

/** Sizes of cosines from which directions are the same for the most part, and in part. */
const SHARED = 0.5;
const PARTLY = 0.3;

/** `+.55` */
const cosine = (value: number): string => signedFixed(value).replace(/^([+−]?)0\./, '$1.');

/** A name at the beginning of a sentence. */
const first = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);

function largest({ features, values }: CouplingPicture, wanted: (row: number, column: number) => boolean) {
  let best: Found | null = null;
  for (const row of features.keys()) {
    for (const column of features.keys()) {
      const cos = values.cos[row][column] ?? Number.NaN;
      if (column <= row || !Number.isFinite(cos) || !wanted(row, column)) continue;
      if (best === null || Math.abs(cos) > Math.abs(best.cos)) best = { row, column, cos };
    }
  }
  return best;
}

function relation(cos: number): string {
  if (cos <= -SHARED) return 'point opposite ways';
  if (cos >= SHARED) return 'share a direction';
  return Math.abs(cos) >= PARTLY ? 'partly share a direction' : 'hardly share a direction';
}

/** The finding: the pair of two observables, at one node where there is such a pair, that is most alike. */
export function couplingTitle(picture: CouplingPicture): string {
  const { features } = picture;
  const differ = (row: number, column: number) => features[row].observable !== features[column].observable;
  const sameNode = (row: number, column: number) => features[row].node === features[column].node;
  const best =
    largest(picture, (row, column) => differ(row, column) && sameNode(row, column)) ?? largest(picture, differ);
  if (best !== null) {
    const [from, to] = [features[best.row], features[best.column]];
    const at = from.node === to.node ? from.node : `${from.node} and ${to.node}`;
    return `${first(from.observable)} and ${to.observable} ${relation(best.cos)}: cos ${cosine(best.cos)} at ${at}`;
  }
  const alike = largest(picture, () => true);
  if (alike === null) return `${features[0]?.observable ?? 'Nothing'}: one feature, and none to couple it with`;
  const [from, to] = [features[alike.row], features[alike.column]];
  return `${first(from.observable)} at ${from.node} and ${to.node} ${relation(alike.cos)}: cos ${cosine(alike.cos)}`;
}
