import { signed, signedFixed, signedShort, visibleToken } from '../../shared/format.ts';
import { baseline, baseRun } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridCompared } from '../../shared/gridPanelProtocol.ts';
import { headLine } from '../figures/MatrixHeads.tsx';
import type { HeadToken, MatrixCell, MatrixColumn, MatrixModel, MatrixRow } from '../figures/matrixModel.ts';
import {
  columnKind,
  columnLabel,
  itemToken,
  placeId,
  placeName,
  rowLabel,
  rowsAreHeads,
  spokenPlace,
} from './gridNames.ts';
import { drawnNumbers } from './gridNumbers.ts';
import { afterWord, cellNote, figureTitle, spokenCellNote } from './gridText.ts';
import type { Chosen, GridView } from './gridView.ts';

/** Sizes of the grid in px. Pure: the panel, the exports and the tests agree. */
export interface GridLayout {
  readonly inner: number;
  /** True: detail beside the grid; false: below it. */
  readonly beside: boolean;
  readonly figureWidth: number;
  readonly cellWidth: number;
  readonly rowHeight: number;
  readonly labelWidth: number;
  readonly numbers: boolean;
  readonly labelEvery: number;
  /** Columns in one line: a single row of very many columns is folded. */
  readonly fold: number | null;
}

export interface GridLayoutInput {
  readonly document: GridDocument;
  readonly view: Pick<GridView, 'numbers'>;
  readonly width: number;
  readonly contrast: boolean;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Cells this wide show their number. */
const numberCell = 36;
const foldAt = 64;
const foldInto = 32;

/** Lays out the grid for a panel of `width` px. */
export function layoutGrid({ document, view, width, contrast }: GridLayoutInput): GridLayout {
  const padding = width < 600 ? 12 : 18;
  const inner = Math.max(240, width - 2 * padding);
  const beside = width >= 1000;
  const { rows, columns } = document.axes;
  const kind = columnKind(document);
  const fold = rows.labels.length === 1 && columns.labels.length > foldAt ? foldInto : null;
  const nColumns = Math.max(1, fold ?? columns.labels.length);
  const nRows = fold === null ? rows.labels.length : Math.ceil(columns.labels.length / fold);
  const labelWidth = kind === 'position' && document.corrupted !== null ? 66 : fold !== null ? 44 : 34;
  const figureWidth = beside ? Math.floor(inner * 0.5) : inner;
  const wanted = contrast || view.numbers === true ? numberCell + 4 : 12;
  const widest = kind === 'none' ? 120 : kind === 'position' ? 64 : 46;
  const cellWidth = clamp(
    Math.floor((figureWidth - labelWidth - 4) / nColumns),
    Math.max(wanted, kind === 'position' ? 26 : 12),
    widest,
  );
  return {
    inner,
    beside,
    figureWidth,
    cellWidth,
    rowHeight: clamp(Math.round(560 / Math.max(1, nRows)), contrast ? 18 : 15, 24),
    labelWidth,
    numbers: view.numbers ?? (cellWidth >= numberCell && width >= 600),
    labelEvery: width < 600 && nRows > 16 && !rowsAreHeads(document) ? 5 : 1,
    fold,
  };
}

/** Tokens over a position: the clean prompt's, and the corrupted one's under it where there is one. */
function headsAt(document: GridDocument, item: number, position: number): HeadToken[] {
  const clean = itemToken(document, item, position);
  const corrupted = document.items[item]?.corruptedTokens?.[position]?.text;
  if (corrupted === undefined) return [{ text: clean, differs: false }];
  const differs = clean !== corrupted;
  return [
    { text: clean, differs },
    { text: corrupted, differs },
  ];
}

function columnsOf(document: GridDocument, layout: GridLayout, item: number): MatrixColumn[] {
  const kind = columnKind(document);
  const n = layout.fold ?? document.axes.columns.labels.length;
  const every = layout.cellWidth < 22 ? 4 : 1;
  return Array.from({ length: n }, (_, column) => {
    const base = { kind: 'cell', width: layout.cellWidth, gap: 0 } as const;
    if (kind === 'position' && layout.fold === null) {
      return {
        ...base,
        label: itemToken(document, item, column),
        isToken: true,
        heads: headsAt(document, item, column),
      };
    }
    const label = layout.fold === null ? columnLabel(document, column) : `+${column}`;
    return { ...base, label: column % every === 0 ? label : '' };
  });
}

interface Drawn {
  readonly document: GridDocument;
  readonly values: readonly (readonly (number | null)[])[];
  readonly chosen: Chosen;
  readonly view: GridView;
  readonly layout: GridLayout;
  readonly max: number;
  /** Whose values are printed with the switch *Value*. */
  readonly printed: GridDocument;
}

function cellOf(drawn: Drawn, row: number, column: number): MatrixCell {
  const { document, values, chosen, view, layout, max, printed } = drawn;
  const place = { row, column };
  const value = values[row]?.[column] ?? null;
  const after = printed.values[row]?.[column] ?? null;
  const text =
    chosen.shown === 'value' && after !== null
      ? layout.cellWidth < 40
        ? signedShort(after)
        : signedFixed(after)
      : undefined;
  return {
    id: placeId(place),
    value,
    name: placeName(document, place, chosen.item),
    spoken: spokenPlace(document, place, chosen.item),
    muted: value !== null && Math.abs(value) < view.threshold * max,
    dotted: document.method === 'screened' && document.exact[row]?.[column] === true,
    ...(text === undefined ? {} : { text }),
    // Read when a cell is looked at: an interval takes a bootstrap.
    get note() {
      return chosen.side === 'difference' ? 'this − other' : cellNote(printed, place);
    },
    get spokenNote() {
      return chosen.side === 'difference' ? 'this minus other' : spokenCellNote(printed, place);
    },
  };
}

/** Largest |value| of a row; −1 where there is none, so that it comes last. */
function rowSize(values: readonly (number | null)[]): number {
  return Math.max(-1, ...values.map((value) => (value !== null && Number.isFinite(value) ? Math.abs(value) : -1)));
}

/** Rows from the top: the last layer first, heads as they were named, or the row with the largest cell first. */
function rowOrder({ values, document }: Drawn, order: GridView['order']): number[] {
  const rows = values.map((_, row) => row);
  if (!rowsAreHeads(document)) rows.reverse();
  return order === 'layer' ? rows : rows.sort((a, b) => rowSize(values[b]) - rowSize(values[a]));
}

function foldedRows(drawn: Drawn, fold: number): MatrixRow[] {
  const n = drawn.document.axes.columns.labels.length;
  return Array.from({ length: Math.ceil(n / fold) }, (_, line) => ({
    id: `fold${line}`,
    label: columnLabel(drawn.document, line * fold),
    gap: 0,
    cells: Array.from({ length: fold }, (_, i) =>
      line * fold + i < n ? cellOf(drawn, 0, line * fold + i) : undefined,
    ),
  }));
}

function layerRows(drawn: Drawn): MatrixRow[] {
  const { document, values, view, layout } = drawn;
  const last = values.length - 1;
  return rowOrder(drawn, view.order).map((row) => ({
    id: `r${row}`,
    label: view.order === 'size' || row === last || row % layout.labelEvery === 0 ? rowLabel(document, row) : '',
    gap: 0,
    cells: document.axes.columns.labels.map((_, column) => cellOf(drawn, row, column)),
  }));
}

/** The grid as a matrix: colour is the change, layers upward, tokens over positions. */
export function gridMatrix(
  document: GridDocument,
  compared: GridCompared | null,
  view: GridView,
  chosen: Chosen,
  layout: GridLayout,
  max: number,
): MatrixModel {
  const { values, unit } = drawnNumbers(document, chosen.shown, compared, chosen.side);
  const printed = chosen.side === 'other' && compared ? compared.document : document;
  const scale = max > 0 ? max : 1;
  const drawn: Drawn = { document, values, chosen, view, layout, max: scale, printed };
  const tokens = columnKind(document) === 'position' && layout.fold === null;
  const lines = tokens && document.corrupted !== null ? 2 : 1;
  return {
    id: 'grid',
    title: figureTitle(document),
    unit,
    scale: 'diverging',
    max: scale,
    columns: columnsOf(document, layout, chosen.item),
    rows: layout.fold === null ? layerRows(drawn) : foldedRows(drawn, layout.fold),
    rowHeight: layout.rowHeight,
    headHeight: 20 + (lines - 1) * headLine,
    ...(lines === 2 ? { headLabels: ['clean', 'corrupted'] } : {}),
    labelWidth: layout.labelWidth,
  };
}

/** What the colours and the printed numbers are. */
export function captionOf(document: GridDocument, chosen: Chosen): string {
  const from = `${baseline(document)} ${signed(baseRun(document).mean)}`;
  if (chosen.side === 'difference') return 'colour: change of this result − change of the other';
  if (chosen.shown === 'normalised') return `colour: share of clean − corrupted, from ${baseline(document)}`;
  const printed = chosen.shown === 'value' ? `number: metric, ${afterWord(document)} · ` : '';
  const tokens =
    columnKind(document) === 'position' && document.items.length > 1
      ? ` · columns: tokens of prompt ${chosen.item + 1} of ${document.items.length}`
      : '';
  return `${printed}colour: ${afterWord(document)} − ${from}${tokens}`;
}

/** Tokens of both prompts of an item, side by side, for grids whose columns are not positions. */
export function alignedTokens(
  document: GridDocument,
  item: number,
): { clean: string; corrupted: string; differs: boolean }[] {
  const found = document.items[item];
  if (!found?.corruptedTokens) return [];
  const { tokens, corruptedTokens } = found;
  return tokens.map(({ text }, i) => {
    const other = corruptedTokens[i]?.text ?? '';
    return { clean: visibleToken(text), corrupted: visibleToken(other), differs: text !== other };
  });
}
