import type { DatasetProblem } from './dataset.ts';

/** A dataset file that an editor shows. */
export interface DatasetSource {
  /** Whose tokenizer reads it; null: only the form of its rows is checked. */
  readonly model: string | null;
  /** Absolute; read anew by each check. Null for a text that is in no file. */
  readonly path: string | null;
  /** The text where it differs from the file's. */
  readonly text?: string;
}

/** A whole dataset, checked. */
export interface DatasetSummary {
  /** Names this state of the file for `dataset.rows`. */
  readonly key: string;
  /** Whose tokenizer read it; null: none. */
  readonly model: string | null;
  readonly name: string | null;
  readonly seed: number;
  /** Rows that can be run, and those that cannot. */
  readonly good: number;
  readonly refused: number;
  /** The first hundred, and how many more. */
  readonly problems: readonly DatasetProblem[];
  /** Of the good rows, in order of position. */
  readonly roles: readonly string[];
  readonly answerNames: readonly string[];
  readonly corruptions: readonly string[];
  /** Corrupted tokens are known of so many rows from the first on. */
  readonly corruptedRows: number;
}

export interface DatasetToken {
  readonly id: number;
  readonly text: string;
}

/** An answer in the model's tokens. */
export interface ShownAnswer {
  readonly name: string;
  /** 0-based. */
  readonly position: number;
  readonly answer: string;
  /** The first dozen. */
  readonly foils: readonly string[];
  readonly foilCount: number;
}

/** One row as a model reads it. */
export interface DatasetRowView {
  /** 0-based line of the file. */
  readonly line: number;
  /** Counted from 0 over the rows of the file, good and refused. */
  readonly index: number;
  readonly id: string;
  /** The clean prompt; empty when the row cannot be read. */
  readonly text: string;
  /** Empty when the row cannot be read, or no model reads it. */
  readonly tokens: readonly DatasetToken[];
  /** Role → 0-based positions; empty when the row is refused. */
  readonly roles: Readonly<Record<string, readonly number[]>>;
  readonly answers: readonly ShownAnswer[];
  /** Corruption → tokens; only of good rows among the first `corruptedRows`. */
  readonly corrupted: Readonly<Record<string, readonly DatasetToken[]>>;
  readonly refused: boolean;
  readonly problems: readonly DatasetProblem[];
}

/** Which rows are asked for: from a row on, from a refused one on (counted over the refused), or the one on a line. */
export type RowsQuestion =
  | { readonly by: 'index' | 'refused'; readonly from: number; readonly count: number }
  | { readonly by: 'line'; readonly line: number };
