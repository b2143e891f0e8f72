import type { FigureBase } from './figures.ts';

/** A line of a tree, before those under it. */
export interface TreeLine {
  /** Short and unique in the picture: a path. */
  readonly id: string;
  /** 0: the root. */
  readonly depth: number;
  /** What is added at this line: `L21.H4@name`. */
  readonly label: string;
  readonly value: number;
  /** 95 % interval; null for one row. */
  readonly interval: readonly [low: number, high: number] | null;
  /** `rest`: what the lines beside it do not account for. */
  readonly kind: 'node' | 'rest';
}

/** An indented tree with a signed bar a line: values of lines under one line sum up to its own. */
export interface TreePicture extends FigureBase {
  readonly type: 'tree';
  /** Depth first. */
  readonly lines: readonly TreeLine[];
  readonly n: number;
  readonly unit: string;
}
