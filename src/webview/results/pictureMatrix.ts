import type { FiguresDocument, MatrixPicture, Picture } from '../../shared/figures.ts';
import { niceMax } from '../../shared/format.ts';
import { scaleMax } from '../../shared/scale.ts';
import type { MatrixColumn, MatrixModel, MatrixRow } from '../figures/matrixModel.ts';
import { numberWidth } from '../figures/text.ts';

const finiteOf = ({ values }: MatrixPicture): number[] =>
  values.flat().filter((value): value is number => value !== null && Number.isFinite(value));

/** End of a picture's scale; matrices of one unit in a result share it, so that their colours can be compared. */
export function scaleOf(pictures: readonly Picture[], picture: MatrixPicture): number {
  const linked = pictures.filter(
    (other): other is MatrixPicture =>
      other.type === 'matrix' && other.unit === picture.unit && other.scale === picture.scale,
  );
  const values = linked.flatMap(finiteOf);
  if (picture.scale === 'diverging') return scaleMax(values);
  return niceMax(Math.max(0, ...values));
}

/** How wide cells are, and where numbers fit. */
export interface MatrixSize {
  readonly cellWidth: number;
  readonly rowHeight: number;
  readonly labelWidth: number;
  /** Every how many columns and rows are labelled. */
  readonly columnEvery: number;
  readonly rowEvery: number;
}

const layerRows = ({ rows }: MatrixPicture): boolean => rows.name === 'layer';

/** `compact`: a small one beside other figures. Cells of 12 to 56 px that fill `width`; more columns than fit scroll inside the figure. */
export function sizeMatrix(picture: MatrixPicture, width: number, compact = false): MatrixSize {
  const { rows, columns } = picture;
  const longest = Math.max(0, ...rows.labels.map((label) => numberWidth(label, 11)));
  const labelWidth = Math.min(150, Math.ceil(longest) + 12);
  const room = (width - labelWidth - 6) / Math.max(1, columns.labels.length);
  const cellWidth = Math.floor(Math.min(compact ? 14 : 56, Math.max(compact ? 8 : 12, room)));
  const rowHeight = compact ? 11 : rows.labels.length > 40 ? 12 : rows.labels.length > 24 ? 16 : 20;
  const widest = Math.max(8, ...columns.labels.map((label) => numberWidth(label, 11)));
  return {
    cellWidth,
    rowHeight,
    labelWidth,
    columnEvery: Math.max(1, Math.ceil((widest + 4) / cellWidth)),
    rowEvery: rowHeight < 14 ? (compact ? 5 : 4) : 1,
  };
}

/** `layer 3, position C2`: names of a cell's row and column in words. */
function nameOf(picture: MatrixPicture, row: number, column: number): string {
  const part = (name: string, label: string): string => {
    if (name === 'layer') return label;
    return name === '' || label.includes(name) ? label : `${name} ${label}`;
  };
  const [down, across] = [picture.rows, picture.columns];
  if (down.name === 'layer' && across.name === 'head') return `${down.labels[row]}.${across.labels[column]}`;
  return `${part(down.name, down.labels[row])}, ${part(across.name, across.labels[column])}`;
}

/** The picture as the matrix that figures draw: layers upward, colour is the value. */
export function pictureMatrix(picture: MatrixPicture, size: MatrixSize, max: number): MatrixModel {
  const { rows, columns } = picture;
  const order = rows.labels.map((_, row) => row);
  if (layerRows(picture)) order.reverse();
  const drawnColumns = columns.labels.map(
    (label, c): MatrixColumn => ({
      label: c % size.columnEvery === 0 ? label : '',
      kind: 'cell',
      width: size.cellWidth,
      gap: 0,
    }),
  );
  const drawnRows = order.map(
    (row, r): MatrixRow => ({
      id: `r${row}`,
      label: r === 0 || row % size.rowEvery === 0 ? rows.labels[row] : '',
      gap: 0,
      cells: columns.labels.map((_, column) => ({
        id: `${row}.${column}`,
        value: picture.values[row]?.[column] ?? null,
        name: nameOf(picture, row, column),
        spoken: `${rows.name} ${rows.labels[row]}, ${columns.name} ${columns.labels[column]}`,
      })),
    }),
  );
  return {
    id: `picture-${picture.id.replace(/\W+/g, '-')}`,
    title: picture.title,
    unit: picture.unit,
    scale: picture.scale,
    max: max > 0 ? max : 1,
    columns: drawnColumns,
    rows: drawnRows,
    rowHeight: size.rowHeight,
    headHeight: 20,
    labelWidth: size.labelWidth,
  };
}

/** The first cell that was run and is not a number, as a sentence; null when there is none. */
export function brokenCell(document: Pick<FiguresDocument, 'pictures'>): string | null {
  for (const picture of document.pictures) {
    if (picture.type !== 'matrix') continue;
    for (const [row, cells] of picture.values.entries()) {
      const column = cells.findIndex((value) => value !== null && !Number.isFinite(value));
      if (column >= 0) return `Not a number at ${nameOf(picture, row, column)} of “${picture.title}”.`;
    }
  }
  return null;
}

/**
 * Paths that go one node down from a selected head: with each token that it may read, and with the token left to each prompt. None
 * from the lowest layer, under which there is no head.
 */
export function descents({ rows, columns, descend }: MatrixPicture, selected: string | null): readonly string[] {
  const [, row, column] = /^(\d+)\.(\d+)$/.exec(selected ?? '') ?? [];
  if (descend === undefined || row === undefined || Number(row) === 0) return [];
  const head = `${rows.labels[Number(row)]}.${columns.labels[Number(column)]}`;
  const path = descend.under === null ? head : `${descend.under} <= ${head}`;
  return [...descend.tokens.map((token) => `${path}@${token}`), path];
}
