import type { DatasetProblem, DatasetRow, TokenRef } from '../../shared/dataset.ts';
import { MechanistError } from '../../shared/errors.ts';
import { cappedProblems, type Dataset } from './dataset.ts';
import { type CsvCell, csvCell, parseCsv } from './datasetCsv.ts';
import { checkTerms, type PieceTokenizer } from './observable.ts';
import { foilList } from './tokenRefs.ts';

const columnNames = ['id', 'clean', 'corrupted', 'label', 'foil', 'correct_idx', 'incorrect_idx'] as const;
/** What others call them. */
const aliases: Readonly<Record<string, ColumnName>> = { prompt: 'clean', answer: 'label' };
type ColumnName = (typeof columnNames)[number];
type Columns = Partial<Record<ColumnName, number>>;

type Report = (
  cell: CsvCell,
  code: DatasetProblem['code'],
  message: string,
  severity?: DatasetProblem['severity'],
) => void;

/** `12`, `12.0` (as pandas writes a column with gaps) or `[12, 13]`; null when it is none of these. */
function tokenIds(text: string): number[] | null {
  const list = /^\s*\[(.*)\]\s*$/.exec(text)?.[1] ?? text;
  const parts = list.split(',').map((part) => part.trim());
  return parts.every((part) => /^\d+(\.0+)?$/.test(part)) ? parts.map(Number) : null;
}

function readColumns(header: readonly CsvCell[], report: Report): Columns | null {
  const columns: Columns = {};
  const ignored: CsvCell[] = [];
  header.forEach((cell, index) => {
    const written = cell.value.trim().toLowerCase();
    const name = aliases[written] ?? columnNames.find((known) => known === written);
    if (name !== undefined) columns[name] ??= index;
    else if (cell.value.trim() !== '' && !/^Unnamed: \d+$/.test(cell.value)) ignored.push(cell);
  });
  const [first] = ignored;
  if (first !== undefined) {
    const names = ignored.map((cell) => cell.value).join(', ');
    report(first, 'not-imported', `Columns that are not imported: ${names}.`, 'warning');
  }
  const missing = columns.clean === undefined || (columns.label === undefined && columns.correct_idx === undefined);
  if (!missing) return columns;
  const message =
    'The first line names the columns: clean, corrupted, label or clean, corrupted, correct_idx, incorrect_idx; or prompt, answer, foil.';
  report(header[0], 'missing-key', message);
  return null;
}

function readTokens(record: readonly CsvCell[], columns: Columns, report: Report) {
  const { label, foil, correct_idx, incorrect_idx } = columns;
  const ids = (column: number): number[] | null => {
    const cell = record[column];
    const found = tokenIds(cell.value);
    if (found === null)
      report(
        cell,
        'wrong-type',
        `${cell.value === '' ? 'This' : `"${cell.value}"`} is no token id, as 12 or [12, 13].`,
      );
    return found;
  };
  const tokens: TokenRef[] | null = correct_idx !== undefined ? ids(correct_idx) : [record[label ?? 0].value];
  const written = foil === undefined ? '' : record[foil].value;
  const foils: TokenRef[] | null = incorrect_idx !== undefined ? ids(incorrect_idx) : written === '' ? [] : [written];
  if (correct_idx === undefined && tokens?.[0] === '') {
    report(record[label ?? 0], 'missing-key', 'This row has no label: the text of the token that should come next.');
    return null;
  }
  return tokens === null || foils === null ? null : { tokens, foils };
}

function readRecord(record: readonly CsvCell[], width: number, columns: Columns, id: string, report: Report) {
  if (record.length !== width) {
    report(
      record[0],
      'not-csv',
      `This row has ${record.length} cells, the first line ${width}. Put text with commas in quotes.`,
    );
    return null;
  }
  const clean = record[columns.clean ?? 0];
  const corrupted = columns.corrupted === undefined ? '' : record[columns.corrupted].value;
  if (clean.value === '') report(clean, 'prompt-empty', 'The clean prompt is empty.');
  const found = readTokens(record, columns, report);
  if (clean.value === '' || found === null) return null;
  const { tokens, foils } = found;
  const answers = tokens.map((token, i) => ({
    name: tokens.length === 1 ? 'answer' : `answer ${i + 1}`,
    pos: -1,
    token,
    foils,
  }));
  const ownId = columns.id === undefined ? '' : record[columns.id].value;
  return {
    id: ownId === '' ? id : ownId,
    clean: clean.value,
    ...(corrupted !== '' && { corrupted }),
    roles: {},
    answers,
    tags: [],
  };
}

function warnOfYears(rows: readonly DatasetRow[], header: CsvCell | undefined, report: Report): void {
  const years =
    rows.length > 0 && rows.every((row) => row.answers.every(({ token }) => /^\d{1,2}$/.test(String(token))));
  if (header === undefined || !years) return;
  const message =
    'These labels look like the years of the greater-than task, where every larger year is right. They are read as the text of the right token.';
  report(header, 'not-imported', message, 'warning');
}

/**
 * Reads the CSV of EAP-IG: `clean,corrupted,label` (the text of the right token) or `clean,corrupted,correct_idx,incorrect_idx`
 * (token ids, or lists of them, of the tokenizer the file was made with); and the plainer `prompt,answer`, with `foil` and
 * `corrupted` where there are any. Answers stand at the last position. Never throws.
 */
export function importEapIg(text: string): Dataset {
  const problems: DatasetProblem[] = [];
  const report: Report = ({ line, column, length }, code, message, severity = 'error') =>
    problems.push({ line, column, length, severity, code, message });
  const { records, unclosed } = parseCsv(text);
  if (unclosed !== null) report(unclosed, 'not-csv', 'This quote is never closed; nothing from here on is read.');
  const [header, ...body] = records;
  if (header === undefined) {
    if (unclosed === null) report({ line: 0, column: 0, length: 1, value: '' }, 'not-csv', 'This file has no rows.');
    return { rows: [], problems };
  }
  const columns = readColumns(header, report);
  if (columns === null) return { rows: [], problems };
  const rows: DatasetRow[] = [];
  const ids = new Set<string>();
  body.forEach((record, index) => {
    const row = readRecord(record, header.length, columns, String(index + 1), report);
    if (row === null) return;
    if (ids.has(row.id))
      report(record[0], 'duplicate-id', `The id "${row.id}" was used before. Give each row its own.`);
    else rows.push(row);
    ids.add(row.id);
  });
  if (columns.correct_idx === undefined && columns.label !== undefined)
    warnOfYears(rows, header[columns.label], report);
  return { rows, problems: cappedProblems(problems) };
}

function idOf(row: DatasetRow, token: TokenRef, tokenizer: PieceTokenizer): number {
  if (typeof token === 'number') return token;
  const [{ pieces }] = checkTerms([token], tokenizer);
  if (pieces.length !== 1) refuse(row, `"${token}" is ${pieces.length} tokens of this model.`);
  return pieces[0].id;
}

function refuse(row: DatasetRow, why: string): never {
  throw new MechanistError('bad-input', `Row "${row.id}" cannot be written for EAP-IG: ${why}`, { id: row.id });
}

function* csvLines(rows: Iterable<DatasetRow>, tokenizer: PieceTokenizer): Generator<string> {
  const written = (ids: readonly number[]) => csvCell(ids.length === 1 ? ids[0] : `[${ids.join(', ')}]`);
  yield 'id,clean,corrupted,correct_idx,incorrect_idx\n';
  for (const row of rows) {
    const [first] = row.answers;
    if (first === undefined) refuse(row, 'it has no answer.');
    if (row.corrupted === undefined) refuse(row, 'it has no corrupted prompt.');
    if (row.answers.some(({ pos }) => pos !== -1))
      refuse(row, 'EAP-IG reads answers at the last position only (pos -1).');
    if (first.foils.length === 0) refuse(row, 'it has no foil.');
    if (row.answers.some(({ foils }) => JSON.stringify(foils) !== JSON.stringify(first.foils))) {
      refuse(row, 'its answers have unlike foils.');
    }
    const correct = row.answers.map(({ token }) => idOf(row, token, tokenizer));
    const incorrect = foilList(first, null, (why) => refuse(row, why)).map((foil) => idOf(row, foil, tokenizer));
    yield `${[csvCell(row.id), csvCell(row.clean), csvCell(row.corrupted), written(correct), written(incorrect)].join(',')}\n`;
  }
}

/**
 * Rows as EAP-IG's CSV with token ids of this tokenizer, line by line: `id,clean,corrupted,correct_idx,incorrect_idx`.
 * Roles, tags and the answers' names are left out.
 * @throws MechanistError `bad-input` at the first row it has no place for
 */
export function exportEapIg(rows: Iterable<DatasetRow>, tokenizer: PieceTokenizer): Iterable<string> {
  return csvLines(rows, tokenizer);
}
