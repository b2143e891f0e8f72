import type { DatasetEntry, DatasetProblem, DatasetRow } from '../../shared/dataset.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import { firstJsonError } from './datasetJson.ts';
import { readRow, reporter } from './datasetRow.ts';

/** A line longer than this is no row; it is passed over without being kept. UTF-16 code units. */
const longestLine = 4 * 1024 * 1024;
/** More problems than this are counted, not listed. */
const mostProblems = 100;

/** A dataset, read whole. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  readonly problems: readonly DatasetProblem[];
}

/**
 * Reads one line (without its line break). The id of a row that has none is its line number from 1. A line that is wrong
 * gives problems at the value; never throws. An empty line has neither row nor problems.
 */
export function parseDatasetLine(text: string, line: number): DatasetEntry {
  const problems: DatasetProblem[] = [];
  if (text.trim() === '') return { line, text, row: null, problems };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const column = Math.min(firstJsonError(text) ?? 0, Math.max(0, text.length - 1));
    const message =
      firstJsonError(text) === text.length
        ? 'This line ends in the middle of a row. A row is one JSON object on one line.'
        : 'This is not JSON. A row is one JSON object on one line, as {"clean": "…", "answers": […]}.';
    problems.push({ line, column, length: 1, severity: 'error', code: 'not-json', message });
    return { line, text, row: null, problems };
  }
  return { line, text, row: readRow(value, String(line + 1), reporter(text, line, problems)), problems };
}

/** Cuts a stream of text into lines; `\r` before `\n` and a byte order mark are dropped, overlong lines come as null. */
async function* linesOf(chunks: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string | null> {
  let rest = '';
  let skipping = false;
  let first = true;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
      const line = rest + chunk.slice(from, end);
      yield skipping || line.length > longestLine ? null : tidy(line, first);
      rest = '';
      skipping = false;
      first = false;
      from = end + 1;
    }
    if (!skipping) rest += chunk.slice(from);
    if (rest.length > longestLine) {
      skipping = true;
      rest = '';
    }
  }
  if (skipping) yield null;
  else if (rest !== '') yield tidy(rest, first);
}

function tidy(line: string, isFirst: boolean): string {
  const text = isFirst && line.startsWith('\uFEFF') ? line.slice(1) : line;
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

const tooLong: Omit<DatasetProblem, 'line'> = {
  column: 0,
  length: 1,
  severity: 'error',
  code: 'line-too-long',
  message: 'This line is longer than 4 MB. Is this a dataset with one row on each line?',
};

/** Notes ids that came before: results are kept by id, so two rows of one id could not be told apart. */
function checkIds(): (entry: DatasetEntry) => DatasetEntry {
  const lineOf = new Map<string, number>();
  return (entry) => {
    if (entry.row === null) return entry;
    const { id } = entry.row;
    const before = lineOf.get(id);
    if (before === undefined) {
      lineOf.set(id, entry.line);
      return entry;
    }
    const problems = [...entry.problems];
    const message = `The id "${id}" is also that of line ${before + 1}. Give each row its own.`;
    reporter(entry.text, entry.line, problems)(['id'], 'duplicate-id', message);
    return { ...entry, row: null, problems };
  };
}

/**
 * Reads a dataset line by line, in memory for one line (and the ids): any number of rows. Empty lines are left out.
 * @param chunks text as it comes, cut anywhere: `createReadStream(path, 'utf8')`
 * @throws MechanistError `cancelled` when `signal` fires; what the stream itself throws; never because of the text
 */
export async function* readDataset(
  chunks: AsyncIterable<string> | Iterable<string>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<DatasetEntry> {
  const check = checkIds();
  let line = 0;
  for await (const text of linesOf(chunks)) {
    throwIfCancelled(options.signal);
    const entry =
      text === null
        ? { line, text: '', row: null, problems: [{ line, ...tooLong }] }
        : check(parseDatasetLine(text, line));
    line++;
    if (entry.row !== null || entry.problems.length > 0) yield entry;
  }
}

/** The first hundred problems, and how many more there are. */
export function cappedProblems(problems: readonly DatasetProblem[]): readonly DatasetProblem[] {
  const last = problems[mostProblems - 1];
  if (problems.length <= mostProblems || last === undefined) return problems;
  const message = `${problems.length - mostProblems} more problems are not listed.`;
  return [...problems.slice(0, mostProblems), { ...last, severity: 'warning', code: 'more-problems', message }];
}

/** Reads a whole dataset from its text, for editors. Rows with an error are left out; never throws. */
export function parseDataset(source: string): Dataset {
  const check = checkIds();
  const rows: DatasetRow[] = [];
  const problems: DatasetProblem[] = [];
  source.split('\n').forEach((text, line) => {
    const entry = check(parseDatasetLine(tidy(text, line === 0), line));
    if (entry.row !== null) rows.push(entry.row);
    problems.push(...entry.problems);
  });
  return { rows, problems: cappedProblems(problems) };
}

/** One row as a line of JSON with its line break; `parseDatasetLine` reads it back equal. */
export function datasetLine(row: DatasetRow): string {
  const { id, clean, corrupted, answers, tags } = row;
  const roles = Object.fromEntries(Object.entries(row.roles).map(([name, at]) => [name, at.length === 1 ? at[0] : at]));
  return `${JSON.stringify({ id, clean, ...(corrupted !== undefined && { corrupted }), roles, answers, tags })}\n`;
}
