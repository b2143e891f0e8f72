import type { TableModel, TableValue } from './DataTable.tsx';

function field(value: TableValue): string {
  if (value === null) return '';
  const text = String(value);
  // A text that begins like a formula is made harmless; numbers (which may begin with −) are left alone.
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The table as CSV (RFC 4180, CRLF, full precision), with the sum as its last line. Columns of bars are left out. */
export function tableToCsv(table: TableModel): string {
  const keep = table.columns.flatMap(({ kind }, i) => (kind === 'bar' ? [] : [i]));
  const line = (row: readonly TableValue[]): string => keep.map((i) => field(row[i])).join(',');
  const head = keep.map((i) => field(table.columns[i].id)).join(',');
  return `${[head, ...table.rows.map(line), ...(table.sum ? [line(table.sum)] : [])].join('\r\n')}\r\n`;
}
