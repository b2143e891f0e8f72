import { type CellAt, cellAt, cellsBySize, type MatrixModel } from './matrixModel.ts';

/** What a key does in a matrix. */
export type MatrixAction =
  | { readonly type: 'move'; readonly to: CellAt }
  | { readonly type: 'open' | 'pin' | 'table' | 'copy' | 'keys' | 'dismiss' };

export interface KeyPress {
  readonly key: string;
  readonly ctrl: boolean;
  readonly alt: boolean;
}

/** Shown by `?`. */
export const matrixKeys: readonly (readonly [keys: string, what: string])[] = [
  ['← → ↑ ↓', 'next cell'],
  ['Home, End', 'ends of the row'],
  ['Ctrl+Home, Ctrl+End', 'first and last cell'],
  ['Page Up, Page Down', 'five layers up, down'],
  ['n, p', 'next, previous by size'],
  ['Enter', 'select'],
  ['Space', 'pin the read-out'],
  ['t', 'table'],
  ['c', 'copy the value'],
  ['Escape', 'hide the hover, unpin, leave'],
  ['?', 'this list'],
];

const plainKeys: Readonly<Record<string, Exclude<MatrixAction['type'], 'move'>>> = {
  Enter: 'open',
  ' ': 'pin',
  t: 'table',
  c: 'copy',
  '?': 'keys',
  Escape: 'dismiss',
};

const steps: Readonly<Record<string, readonly [rows: number, cols: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-5, 0],
  PageDown: [5, 0],
};

const clamp = (value: number, last: number): number => Math.min(last, Math.max(0, value));

/** The column that holds `col` in this row: itself, or the span over it, or the nearest one that is filled. */
function settle(model: MatrixModel, row: number, col: number): CellAt | null {
  const cells = model.rows[row]?.cells ?? [];
  let best: number | null = null;
  cells.forEach((cell, c) => {
    if (cell === undefined) return;
    const distance = col < c ? c - col : Math.max(0, col - c - (cell.span ?? 1) + 1);
    const bestCell = best === null ? undefined : cells[best];
    const bestDistance =
      best === null
        ? Number.POSITIVE_INFINITY
        : col < best
          ? best - col
          : Math.max(0, col - best - (bestCell?.span ?? 1) + 1);
    if (distance < bestDistance) best = c;
  });
  return best === null ? null : { row, col: best };
}

function step(model: MatrixModel, at: CellAt, [rows, cols]: readonly [number, number]): CellAt {
  if (cols !== 0) {
    for (let col = at.col + cols; col >= 0 && col < model.columns.length; col += cols)
      if (cellAt(model, { row: at.row, col })) return { row: at.row, col };
    return at;
  }
  const last = model.rows.length - 1;
  return settle(model, clamp(at.row + rows, last), at.col) ?? at;
}

function rowEnd(model: MatrixModel, row: number, first: boolean): CellAt | null {
  return settle(model, row, first ? 0 : model.columns.length - 1);
}

function bySize(model: MatrixModel, at: CellAt, direction: 1 | -1): CellAt {
  const order = cellsBySize(model);
  const rank = order.findIndex(({ row, col }) => row === at.row && col === at.col);
  return order[clamp(rank + direction, order.length - 1)] ?? at;
}

/** The keyboard of every matrix. Null: the key is not ours and goes on to the page. */
export function matrixKey(model: MatrixModel, at: CellAt, { key, ctrl, alt }: KeyPress): MatrixAction | null {
  if (alt) return null;
  const move = (to: CellAt | null): MatrixAction | null => (to === null ? null : { type: 'move', to });
  if (key === 'Home' || key === 'End') {
    const row = ctrl ? (key === 'Home' ? 0 : model.rows.length - 1) : at.row;
    return move(rowEnd(model, row, key === 'Home'));
  }
  if (ctrl) return null;
  if (key in steps) return move(step(model, at, steps[key]));
  if (key === 'n' || key === 'p') return move(bySize(model, at, key === 'n' ? 1 : -1));
  const type = plainKeys[key];
  return type === undefined ? null : { type };
}
