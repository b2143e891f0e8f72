/** One cell of a CSV file and where it stands: 0-based, UTF-16 code units; `length` of its first line with quotes. */
export interface CsvCell {
  readonly value: string;
  readonly line: number;
  readonly column: number;
  readonly length: number;
}

export interface CsvFile {
  readonly records: readonly (readonly CsvCell[])[];
  /** Where a quote is opened and never closed. */
  readonly unclosed: CsvCell | null;
}

const plain = /[^,\r\n]*/y;
const quoted = /"([^"]*(?:""[^"]*)*)"/y;

/**
 * Reads CSV as RFC 4180 has it: commas, quotes doubled inside quotes, line breaks inside quotes; `\n`, `\r\n` or `\r` ends
 * a record. Empty lines are passed over. Never throws.
 */
export function parseCsv(source: string): CsvFile {
  const records: CsvCell[][] = [];
  let record: CsvCell[] = [];
  let line = 0;
  let lineStart = source.startsWith('\uFEFF') ? 1 : 0;
  let at = lineStart;
  while (at <= source.length) {
    const start = at;
    const place = { line, column: start - lineStart };
    quoted.lastIndex = at;
    const match = source[at] === '"' ? quoted.exec(source) : null;
    if (match !== null) {
      at += match[0].length;
      for (let nl = source.indexOf('\n', start); nl >= 0 && nl < at; nl = source.indexOf('\n', nl + 1)) {
        line++;
        lineStart = nl + 1;
      }
    } else if (source[at] === '"') {
      return { records, unclosed: { ...place, value: '', length: 1 } };
    }
    // Text after a closing quote is kept, as spreadsheets do.
    plain.lastIndex = at;
    const rest = plain.exec(source)?.[0] ?? '';
    at += rest.length;
    const value = (match?.[1].replaceAll('""', '"') ?? '') + rest;
    const firstLine = source.slice(start, at).split('\n', 1)[0];
    record.push({ ...place, value, length: Math.max(1, firstLine.length) });
    if (source[at] === ',') {
      at++;
      continue;
    }
    if (record.length > 1 || record[0]?.value !== '' || match !== null) records.push(record);
    record = [];
    if (at >= source.length) break;
    at += source.startsWith('\r\n', at) ? 2 : 1;
    line++;
    lineStart = at;
  }
  return { records, unclosed: null };
}

/** A value as a cell, quoted where it must be. */
export function csvCell(value: string | number): string {
  const text = String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
