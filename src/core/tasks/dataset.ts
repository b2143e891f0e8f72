import type { DatasetEntry, DatasetHeader, DatasetProblem, DatasetRow, RolePlace } from '../../shared/dataset.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import { writtenCorruption } from './corruptionSpec.ts';
import { isHeader, readHeader } from './datasetHeader.ts';
import { firstJsonError } from './datasetJson.ts';
import { reporter } from './datasetReport.ts';
import { readRow } from './datasetRow.ts';

/** A line longer than this is no row; it is passed over without being kept. UTF-16 code units. */
const longestLine = 4 * 1024 * 1024;
/** More problems than this are counted, not listed. */
const mostProblems = 100;

/** A dataset, read whole. */
export interface Dataset {
  readonly rows: readonly DatasetRow[];
  readonly problems: readonly DatasetProblem[];
  /** Absent in the shapes of others, which have none. */
  readonly header?: DatasetHeader | null;
}

/**
 * Reads one line (without its line break): a row, or the header. The id of a row that has none is its line number from 1.
 * A line that is wrong gives problems at the value; never throws. An empty line has neither row nor problems.
 */
export function parseDatasetLine(text: string, line: number): DatasetEntry {
  const problems: DatasetProblem[] = [];
  if (text.trim() === '') return { line, text, row: null, header: null, problems };
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
    return { line, text, row: null, header: null, problems };
  }
  const report = reporter(text, line, problems);
  if (isHeader(value)) return { line, text, row: null, header: readHeader(value, line, report), problems };
  return { line, text, row: readRow(value, String(line + 1), report), header: null, problems };
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

/**
 * What only the lines before can tell: the header, and ids that came before, as results are kept by id and two rows of one
 * id could not be told apart.
 */
function inOrder(): (entry: DatasetEntry) => DatasetEntry {
  const lineOf = new Map<string, number>();
  let header: DatasetHeader | null = null;
  return (entry) => {
    if (entry.header !== null) {
      if (header === null && lineOf.size === 0) {
        header = entry.header;
        return entry;
      }
      const problems = [...entry.problems];
      const message = 'The header comes before all rows, once.';
      reporter(entry.text, entry.line, problems)([], 'header-not-first', message);
      return { ...entry, header, problems };
    }
    if (entry.row === null) return { ...entry, header };
    const { id } = entry.row;
    const before = lineOf.get(id);
    if (before === undefined) {
      lineOf.set(id, entry.line);
      return { ...entry, header };
    }
    const problems = [...entry.problems];
    const message = `The id "${id}" is also that of line ${before + 1}. Give each row its own.`;
    reporter(entry.text, entry.line, problems)(['id'], 'duplicate-id', message);
    return { ...entry, row: null, header, problems };
  };
}

/**
 * Reads a dataset line by line, in memory for one line (and the ids): any number of rows. Empty lines are left out; the header's
 * line has no row, and each entry names the header.
 * @param chunks text as it comes, cut anywhere: `createReadStream(path, 'utf8')`
 * @throws MechanistError `cancelled` when `signal` fires; what the stream itself throws; never because of the text
 */
export async function* readDataset(
  chunks: AsyncIterable<string> | Iterable<string>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<DatasetEntry> {
  const check = inOrder();
  let line = 0;
  for await (const text of linesOf(chunks)) {
    throwIfCancelled(options.signal);
    const entry =
      text === null
        ? check({ line, text: '', row: null, header: null, problems: [{ line, ...tooLong }] })
        : check(parseDatasetLine(text, line));
    line++;
    if (entry.row !== null || entry.problems.length > 0 || entry.header?.line === entry.line) yield entry;
  }
}

/** Problems as they come: the first hundred are kept, the others counted. */
export class ProblemList {
  private readonly kept: DatasetProblem[] = [];
  private more = 0;
  private lastMore: DatasetProblem | null = null;

  push(...problems: readonly DatasetProblem[]): void {
    for (const problem of problems) {
      if (this.kept.length < mostProblems) this.kept.push(problem);
      else {
        this.more++;
        this.lastMore ??= problem;
      }
    }
  }

  /** In the order of the lines; what was only counted is said in a last one, at the first of them. */
  list(): readonly DatasetProblem[] {
    const sorted = this.kept.toSorted((a, b) => a.line - b.line);
    if (this.lastMore === null) return sorted;
    const message = `${this.more} more problems are not listed.`;
    return [...sorted, { ...this.lastMore, severity: 'warning', code: 'more-problems', message }];
  }
}

/** The first hundred problems, and how many more there are. */
export function cappedProblems(problems: readonly DatasetProblem[]): readonly DatasetProblem[] {
  const list = new ProblemList();
  list.push(...problems);
  return list.list();
}

/** Reads a whole dataset from its text, for editors. Rows with an error are left out; never throws. */
export function parseDataset(source: string): Dataset {
  const check = inOrder();
  const rows: DatasetRow[] = [];
  let header: DatasetHeader | null = null;
  const problems = new ProblemList();
  source.split('\n').forEach((text, line) => {
    const entry = check(parseDatasetLine(tidy(text, line === 0), line));
    header = entry.header;
    if (entry.row !== null) rows.push(entry.row);
    problems.push(...entry.problems);
  });
  return { rows, problems: problems.list(), header };
}

/** One row as a line of JSON with its line break; `parseDatasetLine` reads it back equal. */
export function datasetLine(row: DatasetRow): string {
  const { id, clean, corrupted, answers, tags } = row;
  const written = (places: readonly RolePlace[]) => (places.length === 1 ? places[0] : places);
  const roles = Object.fromEntries(Object.entries(row.roles).map(([name, places]) => [name, written(places)]));
  const corrupt =
    row.corrupt && Object.fromEntries(Object.entries(row.corrupt).map(([name, one]) => [name, writtenCorruption(one)]));
  return `${JSON.stringify({ id, clean, corrupted, corrupt, roles, answers, tags })}\n`;
}
