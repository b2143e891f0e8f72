import type {
  CheckedNumber,
  Estimate,
  GraphPicture,
  MatrixPicture,
  Picture,
  SimplePicture,
  TablePicture,
} from '../../shared/figures.ts';
import { signed } from '../../shared/format.ts';
import type { TreePicture } from '../../shared/treePicture.ts';
import { isShare } from '../charts/chartText.ts';
import { couplingTables } from '../coupling/couplingTables.ts';
import type { TableColumn, TableModel, TableValue } from '../figures/DataTable.tsx';

const kindOf = (unit: string): 'share' | 'number' => (isShare(unit) ? 'share' : 'number');
const text = (id: string, label = id): TableColumn => ({ id, label, kind: 'text' });

/** Columns of an estimate with its spread. */
function estimateColumns(unit: string): TableColumn[] {
  const kind = kindOf(unit);
  return [
    { id: 'mean', label: unit === '' ? 'mean' : `mean, ${unit}`, kind },
    { id: 'sd', label: 'sd', kind, drop: 2 },
    { id: 'low', label: '95 % low', kind, drop: 1 },
    { id: 'high', label: '95 % high', kind, drop: 1 },
    { id: 'n', label: 'n', kind: 'text', drop: 2 },
  ];
}

function estimateCells(point: Estimate | null): TableValue[] {
  if (point === null) return [null, null, null, null, null];
  return [point.mean, point.sd, point.interval?.[0] ?? null, point.interval?.[1] ?? null, point.n];
}

function matrixTable(picture: MatrixPicture): Pick<TableModel, 'columns' | 'rows'> {
  const { rows, columns, unit, scale } = picture;
  const rowLabel = rows.name || 'row';
  const columnLabel = columns.name === rowLabel ? `${columns.name} 2` : columns.name || 'column';
  return {
    columns: [
      text(rowLabel),
      text(columnLabel),
      { id: 'value', label: unit || 'value', kind: scale === 'sequential' ? 'share' : 'number' },
      ...(scale === 'diverging' ? [{ id: 'bar', label: '', kind: 'bar', drop: 1 } as const] : []),
    ],
    rows: rows.labels.flatMap((row, r) =>
      columns.labels.map((column, c): TableValue[] => {
        const value = picture.values[r]?.[c] ?? null;
        return [row, column, value, ...(scale === 'diverging' ? [value] : [])];
      }),
    ),
  };
}

function partsOf(picture: SimplePicture): Pick<TableModel, 'columns' | 'rows'> {
  switch (picture.type) {
    case 'matrix':
      return matrixTable(picture);
    case 'bars':
      return {
        columns: [text('group'), text('bar'), ...estimateColumns(picture.unit)],
        rows: picture.groups.flatMap(({ label, bars }) => bars.map((bar) => [label, bar.label, ...estimateCells(bar)])),
      };
    case 'curve':
      return {
        columns: [
          text('line'),
          text('step', picture.x.name || 'step'),
          ...estimateColumns(picture.unit),
          { id: 'reference', label: 'dashes', kind: kindOf(picture.unit), drop: 2 },
        ],
        rows: [
          ...picture.series.flatMap(({ name, points, reference }) =>
            points.map((point, i): TableValue[] => [
              name,
              picture.x.labels[i] ?? i,
              ...estimateCells(point),
              reference ?? null,
            ]),
          ),
          ...picture.bands.flatMap(({ name, low, high }) =>
            low.map((value, i): TableValue[] => [
              name,
              picture.x.labels[i] ?? i,
              null,
              null,
              value,
              high[i] ?? null,
              null,
              null,
            ]),
          ),
        ],
      };
    case 'scatter':
      return {
        columns: [
          text('group'),
          text('point'),
          { id: 'x', label: picture.x.name, kind: kindOf(picture.x.unit || picture.x.name) },
          { id: 'y', label: picture.y.name, kind: kindOf(picture.y.unit || picture.y.name) },
        ],
        rows: picture.points.map(({ x, y, group, label }) => [picture.groups[group] ?? '', label, x, y]),
      };
    case 'histogram':
      return {
        columns: [text('what'), { id: 'value', label: picture.unit || 'value', kind: kindOf(picture.unit) }],
        rows: [
          ...picture.markers.map(({ label, value }): TableValue[] => [label, value]),
          ...picture.values.map((value, i): TableValue[] => [`draw ${i + 1}`, value]),
        ],
      };
    case 'table':
      return tableParts(picture);
    case 'graph':
      return graphParts(picture);
    case 'tree':
      return treeParts(picture);
  }
}

/** Its nodes, and its edges. */
function treeParts({ lines, unit, n }: TreePicture): Pick<TableModel, 'columns' | 'rows'> {
  return {
    columns: [text('depth'), text('line'), text('path'), ...estimateColumns(unit).filter(({ id }) => id !== 'sd')],
    rows: lines.map(({ depth, label, id, kind, value, interval }) => {
      const path = kind === 'node' ? id : '';
      return [depth, label, path, value, interval?.[0] ?? null, interval?.[1] ?? null, n];
    }),
  };
}

function graphParts({ nodes, edges, unit }: GraphPicture): Pick<TableModel, 'columns' | 'rows'> {
  const effectLabel = unit === '' ? 'effect' : `effect, ${unit}`;
  return {
    columns: [text('from'), text('to'), text('by'), { id: 'effect', label: effectLabel, kind: 'number' }],
    rows: [
      ...nodes.map(({ node, effect }): TableValue[] => [node, '', '', effect ?? null]),
      ...edges.map(({ from, to, channel, effect }): TableValue[] => [from, to, channel, effect ?? null]),
    ],
  };
}

/** A column is of numbers when all its cells are, as far as they are there. */
function tableParts({ columns, rows }: TablePicture): Pick<TableModel, 'columns' | 'rows'> {
  return {
    columns: columns.map(({ name, unit = '' }, c): TableColumn => {
      const cells = rows.map((row) => row[c]).filter((cell) => cell !== null);
      const numbers = cells.length > 0 && cells.every((cell) => typeof cell === 'number');
      const whole = numbers && unit === '' && cells.every((cell) => Number.isInteger(cell));
      return {
        id: name,
        label: unit === '' ? name : `${name}, ${unit}`,
        kind: !numbers || whole ? 'text' : kindOf(unit),
      };
    }),
    rows: rows.map((row) => row.map((cell) => (typeof cell === 'boolean' ? (cell ? 'yes' : 'no') : cell))),
  };
}

/** The same numbers as the picture, and what CSV exports. */
export function pictureTable(picture: SimplePicture): TableModel {
  const caption = picture.subtitle === '' ? picture.title : `${picture.title} · ${picture.subtitle}`;
  return { id: picture.id, caption, ...partsOf(picture) };
}

/** The tables of any picture; the first one has its id. */
export function tablesOf(picture: Picture): readonly TableModel[] {
  return picture.type === 'coupling' ? couplingTables(picture) : [pictureTable(picture)];
}

/** `+0.24 to +0.40`; open where one end is. */
function rangeText({ low, high }: CheckedNumber): string {
  if (low === null && high === null) return '';
  if (low === null) return `≤ ${signed(high ?? 0)}`;
  if (high === null) return `≥ ${signed(low)}`;
  return low === high ? signed(low) : `${signed(low)} to ${signed(high)}`;
}

/** How a check came out, in words: what does not count is a remark. */
function outcome({ passed, value, note }: CheckedNumber): string {
  if (passed) return 'pass';
  if (note !== undefined) return 'differs';
  return value === null ? 'not there' : 'fail';
}

/** Every number that was expected beside what came. */
export function checksTable(checks: readonly CheckedNumber[]): TableModel {
  return {
    id: 'checks',
    caption: 'Checks',
    columns: [
      text('number'),
      { id: 'ours', label: 'ours', kind: 'number' },
      text('expected'),
      text('result'),
      { id: 'source', label: 'source', kind: 'text', drop: 1 },
      { id: 'note', label: 'remark', kind: 'text', drop: 2 },
    ],
    rows: checks.map((check) => [
      check.name,
      check.value,
      rangeText(check),
      outcome(check),
      check.source,
      check.note ?? '',
    ]),
  };
}

/** `11 of 12 numbers as expected, 1 differs with a remark`. */
export function checksTitle(checks: readonly CheckedNumber[]): string {
  const passed = checks.filter((check) => check.passed).length;
  const remarks = checks.filter((check) => !check.passed && check.note !== undefined).length;
  const end = remarks === 0 ? '' : `, ${remarks} ${remarks === 1 ? 'differs' : 'differ'} with a remark`;
  return `${passed} of ${checks.length} numbers as expected${end}`;
}
