import type { TreeLine, TreePicture } from '../../shared/treePicture.ts';
import { monoWidth } from '../figures/text.ts';

/** A line with its place among the others. */
export interface TreeRow {
  readonly line: TreeLine;
  /** Among all lines of the picture. */
  readonly index: number;
  /** Index of the line that it stands under; null for the root. */
  readonly parent: number | null;
  readonly hasChildren: boolean;
  /** From 1, among `siblings`. */
  readonly place: number;
  readonly siblings: number;
}

/** All lines of a picture, in their order. */
export function treeRows(lines: readonly TreeLine[]): readonly TreeRow[] {
  const above: number[] = [];
  const parents = lines.map(({ depth }, i) => {
    above.length = Math.min(above.length, depth);
    const parent = above.at(-1) ?? null;
    above.push(i);
    return parent;
  });
  const under = (parent: number | null) => parents.flatMap((own, i) => (own === parent ? [i] : []));
  return lines.map((line, i) => {
    const siblings = under(parents[i]);
    const place = siblings.indexOf(i) + 1;
    return { line, index: i, parent: parents[i], place, siblings: siblings.length, hasChildren: parents.includes(i) };
  });
}

/** Rows of which no row above is closed. */
export function visibleRows(rows: readonly TreeRow[], closed: ReadonlySet<string>): readonly TreeRow[] {
  const hidden = (parent: number | null): boolean =>
    parent !== null && (closed.has(rows[parent].line.id) || hidden(rows[parent].parent));
  return rows.filter(({ parent }) => !hidden(parent));
}

export type TreeAction =
  | { readonly type: 'move'; readonly to: TreeRow }
  | { readonly type: 'open' | 'close'; readonly row: TreeRow }
  | { readonly type: 'select' | 'copy' | 'table' | 'keys' | 'leave' };

const plain: Readonly<Record<string, TreeAction['type'] & ('select' | 'copy' | 'table' | 'keys' | 'leave')>> = {
  Enter: 'select',
  ' ': 'select',
  c: 'copy',
  t: 'table',
  '?': 'keys',
  Escape: 'leave',
};

/** Shown by `?`. */
export const treeKeys: readonly (readonly [keys: string, what: string])[] = [
  ['↑ ↓', 'next line'],
  ['→', 'open, then the first line under it'],
  ['←', 'close, then the line above it'],
  ['Home, End', 'first and last line'],
  ['Enter', 'select'],
  ['t', 'table'],
  ['c', 'copy the value'],
  ['Escape', 'hide, leave'],
  ['?', 'this list'],
];

/** What a key does at a visible row, as trees have it (ARIA Authoring Practices). */
export function treeKey(
  visible: readonly TreeRow[],
  at: TreeRow,
  closed: ReadonlySet<string>,
  press: { readonly key: string; readonly ctrl: boolean; readonly alt: boolean },
): TreeAction | null {
  if (press.alt || press.ctrl) return null;
  const i = visible.indexOf(at);
  // Above it, the nearest line that is set in less.
  const parent = visible.slice(0, i).findLast(({ line }) => line.depth < at.line.depth);
  const move = (to: TreeRow | undefined): TreeAction => ({ type: 'move', to: to ?? at });
  const isOpen = at.hasChildren && !closed.has(at.line.id);
  switch (press.key) {
    case 'ArrowUp':
      return move(visible[i - 1]);
    case 'ArrowDown':
      return move(visible[i + 1]);
    case 'Home':
      return move(visible[0]);
    case 'End':
      return move(visible.at(-1));
    case 'ArrowRight':
      if (at.hasChildren && !isOpen) return { type: 'open', row: at };
      return move(isOpen ? visible[i + 1] : at);
    case 'ArrowLeft':
      return isOpen ? { type: 'close', row: at } : move(parent);
  }
  const type = plain[press.key];
  return type === undefined ? null : { type };
}

/** Px by which each depth is set in. */
export const indent = 14;
export const rowHeight = 20;

/** Columns of a tree, in px. */
export interface TreeColumns {
  readonly label: number;
  readonly bar: number;
  readonly value: number;
  /** 0 where there is no room, or no interval. */
  readonly interval: number;
}

/** Labels as wide as they need, at most half; bars take the rest. */
export function treeColumns({ lines }: TreePicture, width: number): TreeColumns {
  const widest = Math.max(0, ...lines.map(({ depth, label }) => depth * indent + 22 + monoWidth(label, 12)));
  const interval = width >= 620 && lines.some((line) => line.interval !== null) ? 130 : 0;
  const value = 60;
  const label = Math.min(Math.ceil(widest) + 8, Math.floor(width * 0.5));
  return { label, value, interval, bar: Math.max(40, width - label - value - interval - 8) };
}

/** Where a value's bar lies in `width` px, about a zero that all lines share. */
export function barOf(
  { lines }: TreePicture,
  width: number,
): (value: number) => { x: number; width: number; zero: number } {
  const values = lines.map(({ value }) => value).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const scale = (width - 2) / Math.max(high - low, Number.MIN_VALUE);
  const zero = 1 - low * scale;
  return (value) => {
    const end = zero + (Number.isFinite(value) ? value : 0) * scale;
    return { x: Math.min(zero, end), width: Math.max(1, Math.abs(end - zero)), zero };
  };
}
