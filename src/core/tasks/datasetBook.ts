import type { DatasetEntry, DatasetHeader, DatasetProblem } from '../../shared/dataset.ts';
import type {
  DatasetRowView,
  DatasetSummary,
  DatasetToken,
  RowsQuestion,
  ShownAnswer,
} from '../../shared/datasetView.ts';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { checkDataset } from './checkDataset.ts';
import { ProblemList, parseDatasetLine, readDataset } from './dataset.ts';
import { type DatasetItem, DatasetResolver } from './datasetResolve.ts';
import { loadTaskSet } from './loadTaskSet.ts';

/** Rows whose corruptions are made to be looked at; a run makes them of its own rows. */
const CORRUPTED_ROWS = 1000;
/** Lines whose problems are kept; of later ones the row alone is asked again. */
const PROBLEM_LINES = 10_000;
/** Rows between two pauses. */
const GRAIN = 256;
const SHOWN_FOILS = 12;

/** Who reads the rows. */
export interface DatasetReader {
  readonly tokenizer: Tokenizer;
  readonly nCtx: number;
}

export interface BookOptions {
  readonly key: string;
  readonly model: string | null;
  readonly reader: DatasetReader | null;
  readonly signal?: AbortSignal;
  /** Awaited now and then, so that whoever else is asked can answer. */
  readonly pause?: () => Promise<void>;
}

interface Checked {
  readonly entry: DatasetEntry;
  readonly good: boolean;
  readonly problems: readonly DatasetProblem[];
}

/** The rows of a text, held against a model where there is one. */
async function* checkedRows(text: string, { reader, signal }: BookOptions): AsyncGenerator<Checked> {
  if (reader === null) {
    for await (const entry of readDataset([text], { signal })) {
      yield { entry, good: entry.row !== null, problems: entry.problems };
    }
    return;
  }
  for await (const { entry, item, problems } of checkDataset([text], reader.tokenizer, reader.nCtx, { signal })) {
    yield { entry, good: item !== null, problems };
  }
}

interface Together {
  /** Null when no row can be run. */
  readonly task: TaskSet | null;
  readonly problems: readonly DatasetProblem[];
}

/** What the rows are together. */
async function takenTogether(text: string, { reader, signal }: BookOptions): Promise<Together> {
  if (reader === null) return { task: null, problems: [] };
  const source = { name: '', lines: [text] };
  try {
    const task = await loadTaskSet(source, reader.tokenizer, reader.nCtx, { rows: CORRUPTED_ROWS, signal });
    return { task, problems: task.problems };
  } catch (error) {
    if (isCancelled(error) || !(error instanceof MechanistError)) throw error;
    const { problems } = error.data;
    return { task: null, problems: Array.isArray(problems) ? problems : [] };
  }
}

/** A dataset that was read once, from which any row can be shown. Holds the text and a few numbers for each row. */
export class DatasetBook {
  private readonly starts: number[] = [0];
  /** Line of each row, good or refused. */
  private readonly lines: number[] = [];
  private readonly refused: number[] = [];
  private readonly problems = new Map<number, readonly DatasetProblem[]>();
  private header: DatasetHeader | null = null;
  private task: TaskSet | null = null;
  private corrupted: ReadonlyMap<string, Readonly<Record<string, readonly number[]>>> = new Map();
  private listed: readonly DatasetProblem[] = [];
  private readonly resolver: DatasetResolver | null;

  private constructor(
    private readonly text: string,
    private readonly options: BookOptions,
  ) {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) this.starts.push(at + 1);
    this.resolver = options.reader && new DatasetResolver(options.reader.tokenizer, options.reader.nCtx);
  }

  /** Reads and checks a text. No forward passes. @throws MechanistError `cancelled` */
  static async read(text: string, options: BookOptions): Promise<DatasetBook> {
    const book = new DatasetBook(text, options);
    await book.check();
    return book;
  }

  private async check(): Promise<void> {
    const { pause = () => Promise.resolve() } = this.options;
    const { task, problems: found } = await takenTogether(this.text, this.options);
    this.task = task;
    const together = new Map<number, DatasetProblem[]>();
    for (const problem of found) {
      if (problem.code === 'more-problems') continue;
      together.set(problem.line, [...(together.get(problem.line) ?? []), problem]);
    }
    const list = new ProblemList();
    let seen = 0;
    for await (const { entry, good, problems } of checkedRows(this.text, this.options)) {
      if (++seen % GRAIN === 0) await pause();
      this.header = entry.header;
      const known = new Set(problems.map(({ column, code }) => `${column} ${code}`));
      const more = (together.get(entry.line) ?? []).filter(({ column, code }) => !known.has(`${column} ${code}`));
      const all = [...problems, ...more];
      list.push(...all);
      if (all.length > 0 && this.problems.size < PROBLEM_LINES) this.problems.set(entry.line, all);
      if (entry.header?.line === entry.line) continue;
      if (!good || more.some(({ severity }) => severity === 'error')) this.refused.push(this.lines.length);
      this.lines.push(entry.line);
    }
    this.listed = list.list();
    this.corrupted = new Map(this.task?.items.map(({ id, corrupted }) => [id, corrupted]));
  }

  get summary(): DatasetSummary {
    const { task, header } = this;
    return {
      key: this.options.key,
      model: this.options.model,
      name: header?.name ?? null,
      seed: task?.seed ?? header?.seed ?? 0,
      good: this.lines.length - this.refused.length,
      refused: this.refused.length,
      problems: this.listed,
      roles: task?.roles ?? [],
      answerNames: task?.answerNames ?? [],
      corruptions: task?.corruptions ?? [],
      corruptedRows: task?.items.length ?? 0,
    };
  }

  /** The rows that are asked for; fewer where the file ends. */
  rows(question: RowsQuestion): DatasetRowView[] {
    if (question.by === 'line') {
      const index = this.lines.indexOf(question.line);
      return index < 0 ? [] : [this.row(index)];
    }
    const end = question.from + question.count;
    if (question.by === 'refused') return this.refused.slice(question.from, end).map((index) => this.row(index));
    const last = Math.min(end, this.lines.length);
    return Array.from({ length: Math.max(0, last - question.from) }, (_, i) => this.row(question.from + i));
  }

  private lineText(line: number): string {
    const end = this.starts[line + 1] ?? this.text.length + 1;
    const text = this.text.slice(this.starts[line], end - 1).replace(/\r$/, '');
    return line === 0 ? text.replace(/^\uFEFF/, '') : text;
  }

  private row(index: number): DatasetRowView {
    const line = this.lines[index];
    const entry = { ...parseDatasetLine(this.lineText(line), line), header: this.header };
    const resolved = this.resolver?.resolve(entry);
    const item = resolved?.item ?? null;
    const refused = this.refused.includes(index);
    const { reader } = this.options;
    const clean = item?.clean ?? (entry.row && reader ? reader.tokenizer.encode(entry.row.clean, reader.nCtx) : []);
    return {
      line,
      index,
      id: entry.row?.id ?? String(line + 1),
      text: entry.row?.clean ?? '',
      tokens: clean.map(({ id, text }) => ({ id, text })),
      roles: item?.roles ?? {},
      answers: item === null || reader === null ? [] : item.answers.map((answer) => this.shown(answer, item, reader)),
      corrupted: refused || item === null ? {} : this.corruptedOf(item.id),
      refused,
      problems: this.problems.get(line) ?? resolved?.problems ?? entry.problems,
    };
  }

  private shown(answer: DatasetItem['answers'][number], item: DatasetItem, { tokenizer }: DatasetReader): ShownAnswer {
    const { name, position } = answer;
    // Foils that are the other rows' answers are known to the rows together only.
    const foils = item.othersAsFoils.includes(name)
      ? (this.task?.items.find(({ id }) => id === item.id)?.answers.find((own) => own.name === name)?.foils ?? [])
      : answer.foils;
    return {
      name,
      position,
      answer: tokenizer.tokenText(answer.answer),
      foils: foils.slice(0, SHOWN_FOILS).map((id) => tokenizer.tokenText(id)),
      foilCount: foils.length,
    };
  }

  private corruptedOf(id: string): Record<string, readonly DatasetToken[]> {
    const { reader } = this.options;
    const own = this.corrupted.get(id);
    if (own === undefined || reader === null) return {};
    return Object.fromEntries(
      Object.entries(own).map(([name, ids]) => [
        name,
        ids.map((token) => ({ id: token, text: reader.tokenizer.tokenText(token) })),
      ]),
    );
  }
}
