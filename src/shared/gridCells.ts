import type { GridCell, GridDocument, HeadRef } from './gridDocument.ts';

type Numbers = readonly (readonly (number | null)[])[];

/** Rows × columns of a grid. */
export function cellCount({ axes }: GridDocument): number {
  return axes.rows.labels.length * axes.columns.labels.length;
}

/** How many cells have been run; NaN counts as run. */
export function doneCount({ values }: GridDocument): number {
  return values.reduce((sum, row) => sum + row.filter((value) => value !== null).length, 0);
}

/** The metric of one cell after the intervention, by item; a view into the document. Empty where it was not run. */
export function cellItems({ axes, byItem, items, values }: GridDocument, row: number, column: number): Float32Array {
  if ((values[row]?.[column] ?? null) === null) return new Float32Array();
  const from = (row * axes.columns.labels.length + column) * items.length;
  return byItem.data.subarray(from, from + items.length);
}

function meanOf(values: Float32Array): number {
  let mean = 0;
  values.forEach((value, i) => {
    mean += (value - mean) / (i + 1);
  });
  return mean;
}

/** True when a cell lies in the grid and has a number for each item. */
function fits({ axes, items }: GridDocument, { row, column, byItem }: GridCell): boolean {
  const inside = row >= 0 && row < axes.rows.labels.length && column >= 0 && column < axes.columns.labels.length;
  return inside && byItem.length === items.length;
}

/**
 * The document with these cells: their items, their mean over items (NaN where one item is NaN), and `complete` once none
 * is missing. Cells that do not belong to the grid are left out.
 */
export function withCells(document: GridDocument, cells: readonly GridCell[]): GridDocument {
  const own = cells.filter((cell) => fits(document, cell));
  if (own.length === 0) return document;
  const columns = document.axes.columns.labels.length;
  const n = document.items.length;
  const values = document.values.map((row) => [...row]);
  const exact = document.exact.map((row) => [...row]);
  const data = document.byItem.data.slice();
  for (const { row, column, byItem, exact: isExact } of own) {
    // Of what is stored, so that a document read again has the same means.
    values[row][column] = meanOf(Float32Array.from(byItem));
    exact[row][column] = isExact;
    data.set(byItem, (row * columns + column) * n);
  }
  const complete = values.every((row) => row.every((value) => value !== null));
  return { ...document, values, exact, byItem: { ...document.byItem, data }, complete };
}

/** Every cell that was run, as the engine sends them. */
export function cellsOf(document: GridDocument): GridCell[] {
  return document.values.flatMap((row, r) =>
    row.flatMap((value, c) =>
      value === null
        ? []
        : [{ row: r, column: c, byItem: [...cellItems(document, r, c)], exact: document.exact[r]?.[c] ?? true }],
    ),
  );
}

/** What an effect is measured from: denoising starts at the corrupted run, everything else at the clean one. */
export function baseline(document: GridDocument): 'clean' | 'corrupted' {
  const { request } = document;
  if (request.analysis === 'ablate' || document.corrupted === null) return 'clean';
  return (request.direction ?? 'denoising') === 'denoising' ? 'corrupted' : 'clean';
}

/** The run that effects are measured from. */
export function baseRun(document: GridDocument): GridDocument['clean'] {
  return baseline(document) === 'corrupted' ? (document.corrupted ?? document.clean) : document.clean;
}

/** `[row][column]`: metric after the intervention minus the run it started from; null where not run. */
export function gridEffects(document: GridDocument): (number | null)[][] {
  const { mean } = baseRun(document);
  return document.values.map((row) => row.map((value) => (value === null ? null : value - mean)));
}

/** By item: metric after the intervention minus the run it started from. Empty where not run. */
export function itemEffects(document: GridDocument, row: number, column: number): number[] {
  const base = baseRun(document).byItem;
  return [...cellItems(document, row, column)].map((value, i) => value - base[i]);
}

/** clean − corrupted of the metric's means: what a whole effect is. Null without a corrupted run, or when it is 0. */
export function wholeEffect({ clean, corrupted }: GridDocument): number | null {
  if (corrupted === null) return null;
  const span = clean.mean - corrupted.mean;
  return Number.isFinite(span) && Math.abs(span) > 1e-9 ? span : null;
}

const sameLabels = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((label, i) => label === b[i]);

function unlikeAxis(a: GridDocument, b: GridDocument): string | null {
  for (const side of ['rows', 'columns'] as const) {
    const [x, y] = [a.axes[side], b.axes[side]];
    if (x.name !== y.name) return `its ${side} are ${y.name}s, not ${x.name}s`;
    if (!sameLabels(x.labels, y.labels)) {
      if (x.labels.length !== y.labels.length) {
        return `it has ${y.labels.length} ${y.name}s, not ${x.labels.length}`;
      }
      const at = x.labels.findIndex((label, i) => label !== y.labels[i]);
      return `its ${x.name} ${at + 1} is ${y.labels[at]}, not ${x.labels[at]}`;
    }
  }
  return a.metric.unit === b.metric.unit ? null : `it counts ${b.metric.unit}, not ${a.metric.unit}`;
}

/** This effect minus that one, cell by cell; or why the two cannot be compared, in a clause. */
export type GridDifference =
  | { readonly kind: 'difference'; readonly values: Numbers }
  | { readonly kind: 'refused'; readonly why: string };

/** Effect of `a` minus effect of `b` in each cell that both have run. Refuses unlike axes and unlike units. */
export function gridDifference(a: GridDocument, b: GridDocument): GridDifference {
  const why = unlikeAxis(a, b);
  if (why !== null) return { kind: 'refused', why };
  const [x, y] = [gridEffects(a), gridEffects(b)];
  const minus = (left: number | null, right: number | null): number | null =>
    left === null || right === null ? null : left - right;
  return { kind: 'difference', values: x.map((row, r) => row.map((value, c) => minus(value, y[r][c]))) };
}

/** The attention head that a cell changes, where it changes one whose pattern can be read: no key-value head. */
export function headOfCell({ axes }: GridDocument, row: number, column: number): HeadRef | null {
  if (axes.rows.name === 'layer' && axes.columns.name === 'head') return { layer: row, head: column };
  const match = axes.rows.name === 'head' ? /^L(\d+)\.H(\d+)$/.exec(axes.rows.labels[row] ?? '') : null;
  return match && { layer: Number(match[1]), head: Number(match[2]) };
}
