import type { VNode } from 'preact';
import { count, percent, signed } from '../../shared/format.ts';
import type { Theme } from './theme.ts';

/** A column of a table. Numbers keep full precision in the data; a `size` has no sign. */
export interface TableColumn {
  readonly id: string;
  readonly label: string;
  readonly kind: 'text' | 'token' | 'number' | 'size' | 'count' | 'share' | 'percent' | 'bar';
  /** 0 or none: always shown. 1: dropped under 420 px, 2: under 600 px, 3: in exports only. */
  readonly drop?: number;
}

export type TableValue = string | number | null;

/** A table as data: what is shown, what is sorted, and what CSV exports. */
export interface TableModel {
  readonly id: string;
  readonly caption: string;
  readonly columns: readonly TableColumn[];
  readonly rows: readonly (readonly TableValue[])[];
  /** Under a rule; undefined where a sum has no meaning. */
  readonly sum?: readonly TableValue[];
}

export interface TableSort {
  readonly column: string;
  readonly direction: 'ascending' | 'descending';
}

/** Rows in the asked order, stable; text by code point, numbers by value, missing and NaN last. */
export function sortRows(table: TableModel, sort: TableSort | null): TableModel['rows'] {
  const at = table.columns.findIndex(({ id }) => id === sort?.column);
  if (sort === null || at < 0) return table.rows;
  const sign = sort.direction === 'ascending' ? 1 : -1;
  const isMissing = (value: TableValue): boolean =>
    value === null || (typeof value === 'number' && Number.isNaN(value));
  return [...table.rows].sort((a, b) => {
    const [x, y] = [a[at], b[at]];
    if (isMissing(x) || isMissing(y)) return Number(isMissing(x)) - Number(isMissing(y));
    if (typeof x === 'number' && typeof y === 'number') return sign * (x - y);
    return sign * (String(x) < String(y) ? -1 : String(x) > String(y) ? 1 : 0);
  });
}

/** Next state of a column's sort button: numbers start with the largest. */
export function nextSort(column: TableColumn, sort: TableSort | null): TableSort {
  const first = column.kind === 'text' || column.kind === 'token' ? 'ascending' : 'descending';
  if (sort?.column !== column.id) return { column: column.id, direction: first };
  return { column: column.id, direction: sort.direction === 'ascending' ? 'descending' : 'ascending' };
}

function shareText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value > 0 && value < 0.005) return '.00';
  return value.toFixed(2).replace(/^0\./, '.');
}

/** A value as it is written in a table. */
function showValue(column: TableColumn, value: TableValue): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (column.kind === 'share') return shareText(value);
  if (column.kind === 'percent') return percent(value);
  if (column.kind === 'count') return count(value);
  if (column.kind === 'size') return signed(value).replace('+', '');
  return column.kind === 'text' ? String(value) : signed(value);
}

function TableBar({ theme, value, low, high }: { theme: Theme; value: number; low: number; high: number }): VNode {
  const { palette } = theme;
  const width = 84;
  const zero = 2 + (-low / (high - low)) * (width - 4);
  const length = (Math.abs(value) / (high - low)) * (width - 4);
  return (
    <svg width={width} height={12} aria-hidden="true">
      <rect
        x={value < 0 ? zero - length : zero}
        y={2}
        width={length}
        height={8}
        fill={value < 0 ? palette.negative : palette.positive}
      />
      <line x1={zero} x2={zero} y1={0} y2={12} stroke={palette.secondary} />
    </svg>
  );
}

interface DataTableProps {
  readonly theme: Theme;
  readonly table: TableModel;
  readonly sort: TableSort | null;
  /** Undefined: header cells are plain text (exports). */
  readonly onSort?: (sort: TableSort) => void;
  /** Index into `table.rows` of the selected row. */
  readonly selected?: number | null;
  readonly onSelect?: (row: number) => void;
  /** Seen by screen readers only: the figure's heading already says it. */
  readonly hideCaption?: boolean;
}

function HeadCell({ column, sort, onSort }: { column: TableColumn } & Pick<DataTableProps, 'sort' | 'onSort'>): VNode {
  const sorted = sort?.column === column.id ? sort.direction : undefined;
  if (column.kind === 'bar') return <td class="m-drop-1" />;
  return (
    <th scope="col" class={`m-${column.kind} m-drop-${column.drop ?? 0}`} aria-sort={sorted}>
      {onSort ? (
        <button type="button" onClick={() => onSort(nextSort(column, sort))}>
          {column.label}
          {sorted ? (
            <span class={`codicon codicon-arrow-small-${sorted === 'ascending' ? 'up' : 'down'}`} aria-hidden="true" />
          ) : null}
        </button>
      ) : (
        column.label
      )}
    </th>
  );
}

/** Longer texts, as sentences and contexts of tokens, are broken into lines. In characters. */
export const LONG_TEXT = 48;

/** A real table: header cells sort by mouse and keyboard, the sum stands under a rule. */
export function DataTable(props: DataTableProps): VNode {
  const { theme, table, sort, onSort, selected, onSelect } = props;
  const barColumn = table.columns.findIndex(({ kind }) => kind === 'bar');
  const values = barColumn < 0 ? [] : table.rows.map((row) => Number(row[barColumn])).filter(Number.isFinite);
  const low = Math.min(0, ...values);
  const high = Math.max(low === 0 ? 1e-12 : 0, ...values);
  const body = (column: TableColumn, value: TableValue): VNode | string => {
    if (column.kind !== 'bar') return showValue(column, value);
    return typeof value === 'number' && Number.isFinite(value) ? (
      <TableBar theme={theme} value={value} low={low} high={high} />
    ) : (
      ''
    );
  };
  const cells = (row: readonly TableValue[]): VNode[] =>
    table.columns.map((column, c) => {
      const long = typeof row[c] === 'string' && row[c].length > LONG_TEXT ? ' m-long' : '';
      const name = `m-${column.kind} m-drop-${column.drop ?? 0}${long}`;
      return c === 0 ? (
        <th key={column.id} scope="row" class={name}>
          {body(column, row[c])}
        </th>
      ) : (
        <td key={column.id} class={name}>
          {body(column, row[c])}
        </td>
      );
    });
  return (
    <table class="m-table">
      <caption class={props.hideCaption ? 'm-hidden' : ''}>{table.caption}</caption>
      <thead>
        <tr>
          {table.columns.map((column) => (
            <HeadCell key={column.id} column={column} sort={sort} onSort={onSort} />
          ))}
        </tr>
      </thead>
      <tbody>
        {sortRows(table, sort).map((row) => {
          const at = table.rows.indexOf(row);
          return (
            <tr
              key={at}
              class={at === selected ? 'm-selected' : ''}
              onClick={onSelect ? () => onSelect(at) : undefined}
            >
              {cells(row)}
            </tr>
          );
        })}
      </tbody>
      {table.sum ? (
        <tfoot>
          <tr>{cells(table.sum)}</tr>
        </tfoot>
      ) : null}
    </table>
  );
}
