import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridCompared, GridPanelState, GridPlace } from '../../shared/gridPanelProtocol.ts';
import { scaleMax } from '../../shared/scale.ts';
import type { TableSort } from '../figures/DataTable.tsx';
import { drawnNumbers, largestCells, type Shown, type Side, shownChoices } from './gridNumbers.ts';

/** What a person has set; kept by VS Code over reload and theme change. */
export interface GridView {
  readonly place: GridPlace | null;
  /** Item whose tokens label positions and whose attention is shown. */
  readonly item: number;
  readonly shown: Shown;
  readonly side: Side;
  readonly order: 'layer' | 'size';
  /** Share of the scale below which cells are not drawn: 0 to 1. */
  readonly threshold: number;
  /** Null: on when cells are wide enough. */
  readonly numbers: boolean | null;
  readonly table: boolean;
  readonly sorts: Readonly<Record<string, TableSort>>;
  readonly scroll: number;
  /** End of the scale so far, for one result and one switch: it grows, and never falls while results arrive. */
  readonly scale: { readonly key: string; readonly max: number } | null;
}

export const initialView: GridView = {
  place: null,
  item: 0,
  shown: 'effect',
  side: 'this',
  order: 'layer',
  threshold: 0,
  numbers: null,
  table: false,
  sorts: {},
  scroll: 0,
  scale: null,
};

const isIndex = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;

function placeFrom(value: unknown): GridPlace | null {
  if (typeof value !== 'object' || value === null) return null;
  const { row, column } = value as Partial<Record<keyof GridPlace, unknown>>;
  return isIndex(row) && isIndex(column) ? { row, column } : null;
}

/** Reads a view that an earlier page (perhaps an older version) has kept; anything odd falls back. */
export function restoreView(kept: unknown): GridView {
  if (typeof kept !== 'object' || kept === null) return initialView;
  const view = kept as Partial<Record<keyof GridView, unknown>>;
  const oneOf = <T extends string>(value: unknown, all: readonly T[]): T => all.find((one) => one === value) ?? all[0];
  const share = typeof view.threshold === 'number' ? Math.min(1, Math.max(0, view.threshold)) : 0;
  return {
    ...initialView,
    place: placeFrom(view.place),
    item: isIndex(view.item) ? view.item : 0,
    shown: oneOf(view.shown, ['effect', 'value', 'normalised']),
    side: oneOf(view.side, ['this', 'other', 'difference']),
    order: oneOf(view.order, ['layer', 'size']),
    threshold: Number.isFinite(share) ? share : 0,
    numbers: typeof view.numbers === 'boolean' ? view.numbers : null,
    table: view.table === true,
    sorts: typeof view.sorts === 'object' && view.sorts !== null ? (view.sorts as GridView['sorts']) : {},
    scroll: typeof view.scroll === 'number' && Number.isFinite(view.scroll) ? view.scroll : 0,
  };
}

const inGrid = ({ axes }: GridDocument, { row, column }: GridPlace): boolean =>
  row < axes.rows.labels.length && column < axes.columns.labels.length;

/** What is shown of a document: the person's choices as far as this document has them. */
export interface Chosen {
  readonly place: GridPlace | null;
  readonly item: number;
  readonly shown: Shown;
  readonly side: Side;
}

/** The person's choice where the document has it, else what was asked for, else the largest cell. */
export function chosenIn(
  document: GridDocument,
  view: GridView,
  state: Pick<GridPanelState, 'marked' | 'compared'>,
): Chosen {
  const asked = state.marked.find((place) => inGrid(document, place));
  const own = view.place !== null && inGrid(document, view.place) ? view.place : null;
  const [first] = own === null && asked === undefined ? largestCells(document) : [];
  const largest = first ? { row: first.row, column: first.column } : null;
  return {
    place: own ?? asked ?? largest,
    item: view.item < document.items.length ? view.item : 0,
    shown: shownChoices(document).includes(view.shown) ? view.shown : 'effect',
    side: state.compared === null ? 'this' : view.side,
  };
}

const finiteOf = (values: readonly (readonly (number | null)[])[]): number[] =>
  values.flat().filter((value): value is number => value !== null && Number.isFinite(value));

/** What one scale is kept for: a result that grows has one hash, and each switch has its own numbers. */
function scaleKey(document: GridDocument, chosen: Chosen, compared: GridCompared | null): string {
  const drawn = chosen.shown === 'normalised' ? 'share' : 'unit';
  const linked = compared === null ? '' : compared.document.provenance.hash;
  return [document.provenance.hash, drawn, linked].join(' ');
}

/**
 * End of the colour scale: 1, 2 or 5 × 10^k. This, the other and the difference share it, so that the switch compares
 * like with like. It only grows while one result fills.
 */
export function scaleFor(
  document: GridDocument,
  view: GridView,
  state: Pick<GridPanelState, 'marked' | 'compared'>,
): { readonly key: string; readonly max: number } {
  const chosen = chosenIn(document, view, state);
  const { compared } = state;
  const sides: readonly Side[] = compared === null ? ['this'] : ['this', 'other', 'difference'];
  const values = sides.flatMap((side) => finiteOf(drawnNumbers(document, chosen.shown, compared, side).values));
  const key = scaleKey(document, chosen, compared);
  const before = view.scale?.key === key ? view.scale.max : 0;
  return { key, max: values.some((value) => value !== 0) ? Math.max(before, scaleMax(values)) : before };
}

/** Takes over a new state: the selection and the scroll stay where they are, the scale grows if it must. */
export function adoptState(view: GridView, before: GridPanelState | null, after: GridPanelState): GridView {
  const { document } = after;
  if (document === null) return view;
  const told = after.marked[0];
  const was = before?.marked[0];
  const asked = told !== undefined && (told.row !== was?.row || told.column !== was?.column);
  const side = after.compared !== null && before?.compared === null ? 'difference' : view.side;
  const next = { ...view, side, ...(asked ? { place: told } : {}) };
  return { ...next, scale: scaleFor(document, next, after) };
}
