import type { VNode } from 'preact';
import type { Box } from '../figures/matrixModel.ts';

/** One thing in a chart that can be read: a bar, a point, a line's value. */
export interface ChartMark {
  readonly id: string;
  /** Marks of one series are walked by ← →; ↑ ↓ go to the next series. */
  readonly series: number;
  /** Centre, px. */
  readonly x: number;
  readonly y: number;
  /** What is outlined; a small ring where absent. */
  readonly box?: Box;
  readonly name: string;
  /** Without the value; the name where absent. */
  readonly spoken?: string;
  /** Null: not run. */
  readonly value: number | null;
  /** The value in words: `+0.41 logits`. */
  readonly said: string;
  readonly note?: string;
}

/** A chart as a picture, and what can be read in it. Drawing needs no page, so an export is the same picture. */
export interface ChartDrawing {
  readonly width: number;
  readonly height: number;
  readonly content: VNode;
  readonly marks: readonly ChartMark[];
}

/** Px within which a mark is taken for the pointed one. */
const reach = 14;

/** The mark under a point, or the nearest one close by. */
export function nearestMark(marks: readonly ChartMark[], x: number, y: number): ChartMark | null {
  let best: ChartMark | null = null;
  let bestDistance = reach;
  for (const mark of marks) {
    const { box } = mark;
    const dx = box ? Math.max(box.x - x, 0, x - box.x - box.width) : mark.x - x;
    const dy = box ? Math.max(box.y - y, 0, y - box.y - box.height) : mark.y - y;
    const distance = Math.hypot(dx, dy);
    if (distance < bestDistance) {
      best = mark;
      bestDistance = distance;
    }
  }
  return best;
}

/** Shown by `?`. */
export const chartKeys: readonly (readonly [keys: string, what: string])[] = [
  ['← →', 'next mark'],
  ['↑ ↓', 'next series'],
  ['Home, End', 'first and last mark'],
  ['n, p', 'next, previous by size'],
  ['Enter', 'select'],
  ['t', 'table'],
  ['c', 'copy the value'],
  ['Escape', 'hide, leave'],
  ['?', 'this list'],
];

export type ChartAction =
  | { readonly type: 'move'; readonly to: ChartMark }
  | { readonly type: 'open' | 'table' | 'copy' | 'keys' | 'dismiss' };

const plain: Readonly<Record<string, Exclude<ChartAction['type'], 'move'>>> = {
  Enter: 'open',
  ' ': 'open',
  t: 'table',
  c: 'copy',
  '?': 'keys',
  Escape: 'dismiss',
};

const sizeOf = ({ value }: ChartMark): number => (value !== null && Number.isFinite(value) ? Math.abs(value) : -1);

/** The mark that is read out until somebody looks at another one. */
export function largestMark(marks: readonly ChartMark[]): ChartMark | undefined {
  const named = marks.filter((mark) => mark.series === 0);
  return [...named].sort((a, b) => sizeOf(b) - sizeOf(a))[0];
}

function otherSeries(marks: readonly ChartMark[], at: ChartMark, step: 1 | -1): ChartMark {
  const all = [...new Set(marks.map(({ series }) => series))].sort((a, b) => a - b);
  const next = all[all.indexOf(at.series) + step];
  if (next === undefined) return at;
  const row = marks.filter(({ series }) => series === next);
  return row.reduce((best, mark) => (Math.abs(mark.x - at.x) < Math.abs(best.x - at.x) ? mark : best), row[0]);
}

/** The keyboard of every chart. Null: the key is not ours and goes on to the page. */
export function chartKey(
  marks: readonly ChartMark[],
  at: ChartMark,
  press: { readonly key: string; readonly ctrl: boolean; readonly alt: boolean },
): ChartAction | null {
  const { key } = press;
  if (press.alt || press.ctrl) return null;
  const move = (to: ChartMark | undefined): ChartAction => ({ type: 'move', to: to ?? at });
  const row = marks.filter(({ series }) => series === at.series);
  const i = row.indexOf(at);
  if (key === 'ArrowLeft') return move(row[i - 1]);
  if (key === 'ArrowRight') return move(row[i + 1]);
  if (key === 'ArrowUp') return move(otherSeries(marks, at, -1));
  if (key === 'ArrowDown') return move(otherSeries(marks, at, 1));
  if (key === 'Home') return move(row[0]);
  if (key === 'End') return move(row.at(-1));
  if (key === 'n' || key === 'p') {
    const order = [...marks].sort((a, b) => sizeOf(b) - sizeOf(a));
    return move(order[order.indexOf(at) + (key === 'n' ? 1 : -1)]);
  }
  const type = plain[key];
  return type === undefined ? null : { type };
}

/** One sentence for a screen reader: how many, the largest, how many are missing. */
export function describeMarks(marks: readonly ChartMark[], what: string): string {
  const [largest] = [...marks].sort((a, b) => sizeOf(b) - sizeOf(a));
  const missing = marks.filter(({ value }) => value === null).length;
  const broken = marks.filter(({ value }) => value !== null && !Number.isFinite(value)).length;
  const parts = [`${marks.length} ${what}`];
  if (missing > 0) parts.push(`${missing} not run yet`);
  if (broken > 0) parts.push(`${broken} not a number`);
  if (largest && sizeOf(largest) >= 0) parts.push(`largest: ${largest.spoken ?? largest.name}, ${largest.said}`);
  return `${parts.join('; ')}. Arrow keys read them; question mark lists the keys.`;
}
