import type { DatasetEntry, DatasetHeader, DatasetRow } from '../../shared/dataset.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { ProblemList, readDataset } from './dataset.ts';
import { type Report, reporter } from './datasetReport.ts';
import { type DatasetItem, DatasetResolver } from './datasetResolve.ts';

/** A dataset file. */
export interface TaskSource {
  readonly name: string;
  /** Lines with their line breaks, or text cut anywhere: `createReadStream(path, 'utf8')`. */
  readonly lines: Iterable<string> | AsyncIterable<string>;
}

export interface TaskSetOptions {
  /** The first so many good rows; absent: all. The file is read no further. */
  readonly rows?: number;
  /** Of the corruptions; absent: the header's, else 0. */
  readonly seed?: number;
  /** Corruptions that are wanted, with `{answer}` for the name of each answer; absent: those that every row has. */
  readonly corruptions?: readonly string[];
  readonly signal?: AbortSignal;
}

/** A row that was read, before it is corrupted. */
export interface TaskRow {
  readonly entry: DatasetEntry;
  readonly row: DatasetRow;
  readonly item: DatasetItem;
}

/** A dataset on its way to a task set. */
export class TaskRows {
  readonly problems = new ProblemList();
  refused = 0;
  rows: TaskRow[] = [];
  header: DatasetHeader | null = null;

  reporterOf({ entry }: TaskRow) {
    return reporter(entry.text, entry.line, this.problems);
  }

  /** Keeps the rows that `good` says, which reports why not the others. */
  keep(good: (row: TaskRow, index: number) => boolean): void {
    const kept = this.rows.filter(good);
    this.refused += this.rows.length - kept.length;
    this.rows = kept;
  }
}

export async function readTaskRows(source: TaskSource, tokenizer: Tokenizer, nCtx: number, options: TaskSetOptions) {
  const task = new TaskRows();
  const resolver = new DatasetResolver(tokenizer, nCtx);
  const { rows: most = Number.POSITIVE_INFINITY, signal } = options;
  if (!(most >= 1)) throw new MechanistError('bad-input', `At least 1 row must be run, not ${most}.`);
  const answers = new AnswerNames();
  for await (const entry of readDataset(source.lines, { signal })) {
    const { item, problems } = resolver.resolve(entry);
    task.problems.push(...problems);
    task.header = entry.header;
    if (entry.row === null || item === null) {
      if (problems.some(({ severity }) => severity === 'error')) task.refused++;
      continue;
    }
    const row = { entry, row: entry.row, item };
    if (!answers.fit(item, task.reporterOf(row))) task.refused++;
    else if (task.rows.push(row) >= most) break;
  }
  return task;
}

/** Holds every row to the answers of the first: a figure has one column for each. */
export class AnswerNames {
  private names: readonly string[] | null = null;

  /** Whether a row has answers, and those of the rows before it; reports why not. */
  fit({ answers }: DatasetItem, report: Report): boolean {
    const own = answers.map(({ name }) => name);
    if (own.length === 0) {
      const message = 'This row has no answer: the token that should come next, {"answers": [{"token": " Mary"}]}.';
      report([], 'no-answer', message);
      return false;
    }
    this.names ??= own;
    const { names } = this;
    if (own.length === names.length && own.every((name) => names.includes(name))) return true;
    const message = `The answers of this row are ${own.join(', ')}; those of the first row are ${names.join(', ')}. Give all rows answers of the same names.`;
    report(['answers'], 'unlike-answers', message);
    return false;
  }
}

/** Fills in foils that are the answers of the other rows. */
export function withOthersAsFoils(task: TaskRows): void {
  const answersOf = new Map<string, Set<number>>();
  for (const { item } of task.rows) {
    for (const { name, answer } of item.answers) {
      answersOf.set(name, (answersOf.get(name) ?? new Set()).add(answer));
    }
  }
  const foilsOf = new Map<string, readonly number[]>();
  const others = (name: string, answer: number) => {
    const key = `${answer} ${name}`;
    const known = foilsOf.get(key) ?? [...(answersOf.get(name) ?? [])].filter((id) => id !== answer);
    foilsOf.set(key, known);
    return known;
  };
  task.rows = task.rows.map((row) => {
    const open = row.item.othersAsFoils;
    if (open.length === 0) return row;
    const answers = row.item.answers.map((target) =>
      open.includes(target.name) ? { ...target, foils: others(target.name, target.answer) } : target,
    );
    return { ...row, item: { ...row.item, answers } };
  });
  task.keep((row) => {
    const empty = row.item.answers.findIndex(
      (target) => row.item.othersAsFoils.includes(target.name) && target.foils.length === 0,
    );
    if (empty < 0) return true;
    const message = 'All rows have the same answer: there are no others to be its foils.';
    task.reporterOf(row)(['answers', empty, 'foils'], 'no-foils', message);
    return false;
  });
}
