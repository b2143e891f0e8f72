import { baseRun, cellItems, gridDifference, gridEffects, itemEffects, wholeEffect } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridCompared, GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { SampleSummary } from '../../shared/metric.ts';
import { summarize } from '../../shared/statistics.ts';

/** What a cell's number is: the change, the metric itself, or the share of the whole change. */
export type Shown = 'effect' | 'value' | 'normalised';
/** Whose numbers are drawn when a second result is there. */
export type Side = 'this' | 'other' | 'difference';

export interface GridCellNumbers extends GridPlace {
  readonly effect: number;
}

/** Draws of a bootstrap that may be made for one grid: more, and the page would stall. */
const mostDraws = 6e7;

/** Resamples of a cell's interval: 2000 unless the grid is so large that it would stall the page. */
function resamplesFor({ items, axes }: GridDocument): number {
  const cells = axes.rows.labels.length * axes.columns.labels.length;
  return Math.min(2000, Math.max(200, Math.floor(mostDraws / Math.max(1, cells * items.length))));
}

/** True when every cell's interval can be drawn at once. */
export function hasIntervals({ items, axes }: GridDocument): boolean {
  return items.length > 1 && axes.rows.labels.length * axes.columns.labels.length * items.length <= 1e6;
}

const remembered = new Map<string, SampleSummary | null>();

function remember(key: string, make: () => SampleSummary | null): SampleSummary | null {
  const known = remembered.get(key);
  if (known !== undefined) return known;
  if (remembered.size > 20_000) remembered.clear();
  const made = make();
  remembered.set(key, made);
  return made;
}

const finite = (values: ArrayLike<number>): boolean => values.length > 0 && Array.from(values).every(Number.isFinite);

/** The change at one cell over the items, paired: mean and interval. Null where it was not run or is not a number. */
export function effectSummary(document: GridDocument, { row, column }: GridPlace): SampleSummary | null {
  const { hash } = document.provenance;
  const key = `${hash} ${row}.${column} ${document.values[row]?.[column]} ${document.items.length}`;
  return remember(key, () => {
    const effects = itemEffects(document, row, column);
    return finite(effects) ? summarize(effects, { seed: 0, resamples: resamplesFor(document) }) : null;
  });
}

/** The metric after the intervention at one cell over the items. */
export function valueSummary(document: GridDocument, { row, column }: GridPlace): SampleSummary | null {
  const key = `${document.provenance.hash} value ${row}.${column} ${document.values[row]?.[column]}`;
  return remember(key, () => {
    const values = cellItems(document, row, column);
    return finite(values) ? summarize(values, { seed: 0 }) : null;
  });
}

/** Share of the items whose metric fell; null where it was not run. */
export function shareLowered(document: GridDocument, { row, column }: GridPlace): number | null {
  const effects = itemEffects(document, row, column);
  return effects.length === 0 ? null : effects.filter((effect) => effect < 0).length / effects.length;
}

/** Every cell that has a number, largest |effect| first; what is not finite is left out. */
export function largestCells(document: GridDocument): GridCellNumbers[] {
  const all = gridEffects(document).flatMap((row, r) =>
    row.flatMap((effect, column) => (effect === null || !Number.isFinite(effect) ? [] : [{ row: r, column, effect }])),
  );
  return all.sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
}

/** The first cell, in order of layers, that is run and not a number. */
export function firstBroken({ values }: GridDocument): GridPlace | null {
  for (let row = 0; row < values.length; row++) {
    const column = values[row].findIndex((value) => value !== null && !Number.isFinite(value));
    if (column >= 0) return { row, column };
  }
  return null;
}

/** `[row][column]` as drawn, and the unit they are in. */
export interface DrawnNumbers {
  readonly values: readonly (readonly (number | null)[])[];
  readonly unit: string;
}

/** What the cells are coloured by. `normalised` needs a corrupted run that differs; without, effects are drawn. */
export function drawnNumbers(
  document: GridDocument,
  shown: Shown,
  compared: GridCompared | null,
  side: Side,
): DrawnNumbers {
  const { unit } = document.metric;
  if (compared !== null && side === 'difference') {
    const difference = gridDifference(document, compared.document);
    if (difference.kind === 'difference') return { values: difference.values, unit };
  }
  const of = compared !== null && side === 'other' ? compared.document : document;
  const whole = wholeEffect(of);
  const effects = gridEffects(of);
  if (shown !== 'normalised' || whole === null) return { values: effects, unit };
  return {
    values: effects.map((row) => row.map((e) => (e === null ? null : e / whole))),
    unit: 'of clean − corrupted',
  };
}

/** Switches that make sense: no share of a whole where there is none or the metric is one already. */
export function shownChoices(document: GridDocument): readonly Shown[] {
  const normalised = wholeEffect(document) !== null && document.metric.spec.normalize === undefined;
  return normalised ? ['effect', 'value', 'normalised'] : ['effect', 'value'];
}

/** Items by how much a cell changes them, largest first. */
export function mostChanged(
  document: GridDocument,
  place: GridPlace,
): { item: number; before: number; after: number }[] {
  const base = baseRun(document).byItem;
  const after = cellItems(document, place.row, place.column);
  return [...after]
    .map((value, item) => ({ item, before: base[item], after: value }))
    .sort((a, b) => size(b) - size(a));
}

function size({ before, after }: { before: number; after: number }): number {
  const change = Math.abs(after - before);
  return Number.isFinite(change) ? change : -1;
}
