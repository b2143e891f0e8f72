/** One vocabulary entry: its text, exactly (` Mary` with its space), or its id. Ids belong to one tokenizer. */
export type TokenRef = string | number;

/** A token that the model should predict, and the ones it should not. */
export interface DatasetAnswer {
  /** `answer`, `L1` … Unique in its row. */
  readonly name: string;
  /** 0-based index of the token after which the answer comes (BOS included, if the tokenizer adds one); −1: the last. */
  readonly pos: number;
  readonly token: TokenRef;
  readonly foils: readonly TokenRef[];
}

/** One line of a dataset file. */
export interface DatasetRow {
  readonly id: string;
  readonly clean: string;
  readonly corrupted?: string;
  /** Name of a role (`S1`, `IO`, `END`) → token positions, as `DatasetAnswer.pos`; negative ones count from the end. */
  readonly roles: Readonly<Record<string, readonly number[]>>;
  readonly answers: readonly DatasetAnswer[];
  readonly tags: readonly string[];
}

/** Why something in a dataset is wrong, as a word a program can switch on. */
export type DatasetProblemCode =
  | 'not-json'
  | 'not-csv'
  | 'line-too-long'
  | 'wrong-type'
  | 'missing-key'
  | 'unknown-key'
  | 'duplicate-id'
  | 'duplicate-name'
  | 'token-splits'
  | 'unknown-token'
  | 'unlike-length'
  | 'same-tokens'
  | 'position-outside'
  | 'answer-is-foil'
  | 'prompt-empty'
  | 'prompt-too-long'
  | 'not-imported'
  | 'more-problems';

/** What is wrong with a stretch of a dataset file. `error`: the row is left out. `warning`: something is ignored. */
export interface DatasetProblem {
  /** 0-based. */
  readonly line: number;
  /** 0-based, UTF-16 code units into the line. */
  readonly column: number;
  /** UTF-16 code units to underline; at least 1. */
  readonly length: number;
  readonly severity: 'error' | 'warning';
  readonly code: DatasetProblemCode;
  /** Says what is wrong and what to write instead. */
  readonly message: string;
}

/** One line as read: `row` is null when it has an error. */
export interface DatasetEntry {
  /** 0-based. */
  readonly line: number;
  /** The line without its line break: problems found later point into it. */
  readonly text: string;
  readonly row: DatasetRow | null;
  readonly problems: readonly DatasetProblem[];
}

/** `7:12: message`, 1-based as editors and compilers write it. */
export function describeDatasetProblem({ line, column, message }: DatasetProblem): string {
  return `${line + 1}:${column + 1}: ${message}`;
}
