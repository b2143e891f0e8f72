/** One vocabulary entry: its text, exactly (` Mary` with its space), or its id. Ids belong to one tokenizer. */
export type TokenRef = string | number;

/** A named set of tokens: `@caps` of the header, and `@others` for foils. */
export type SetRef = `@${string}`;

/**
 * The tokens an answer is compared with: a list; a set of the header without the answer itself; or `@others`, the answers of
 * this name in all other rows (the whole vocabulary is what the metrics `prob`, `log-prob` and `rank` compare with).
 */
export type FoilsRef = readonly TokenRef[] | SetRef;

/**
 * Where a role stands: a position (as `DatasetAnswer.pos`), or the token that stands there: a text that is one token and
 * occurs once, or the `nth` (from 1) of several.
 */
export type RolePlace = number | string | { readonly token: string; readonly nth: number };

/**
 * What a permutation does about rows that keep their value, the tokens at the permuted roles. `allow`: nothing, a row may
 * even be given its own tokens, as in the acronym paper. `avoid`: as few rows as possible keep it. `exclude`: at each
 * role that varies over the rows, each row has another token than before; rows for which there is none are left out.
 */
export type Collisions = 'allow' | 'avoid' | 'exclude';

/** A change of token ids. Roles: names; in `permute` also `<C3`, all positions before C3, and `*`, all. */
export type CorruptionStep =
  /** The row's own text, of as many tokens as the clean one. */
  | { readonly text: string }
  /** Tokens of these roles from another row, all from the same one. */
  | { readonly permute: readonly string[]; readonly collisions?: Collisions }
  /** Random tokens of a set other than the clean one; `distinct`: also other than each other and all clean ones here. */
  | {
      readonly replace: readonly string[];
      readonly from: readonly TokenRef[] | SetRef;
      readonly distinct?: boolean;
    }
  /** Role → the role of the same row whose tokens it is given: `{"S2": "IO"}`. */
  | { readonly copy: Readonly<Record<string, string>> };

/** Steps done one after another, each with random numbers of its own. */
export type Corruption = readonly CorruptionStep[];

/** The first line of a dataset file, `{"dataset": {…}}`. A file without it has no sets and no operators. */
export interface DatasetHeader {
  /** 0-based. */
  readonly line: number;
  readonly name?: string;
  /** The model whose tokenizer the rows were made for. */
  readonly model?: string;
  /** Of the corruptions, when a run names no other. */
  readonly seed?: number;
  readonly sets: Readonly<Record<string, readonly TokenRef[]>>;
  /** Role → set that each of its tokens must belong to. */
  readonly roles: Readonly<Record<string, SetRef>>;
  /** Of every row that does not say otherwise. */
  readonly corruptions: Readonly<Record<string, Corruption>>;
  /** How the file came about: generator, version, counts. */
  readonly made?: Readonly<Record<string, unknown>>;
}

/** A token that the model should predict, and the ones it should not. */
export interface DatasetAnswer {
  /** `answer`, `L1` … Unique in its row. */
  readonly name: string;
  /** 0-based index of the token after which the answer comes (BOS included, if the tokenizer adds one); −1: the last. */
  readonly pos: number;
  readonly token: TokenRef;
  readonly foils: FoilsRef;
  /** Other right answers, for the metric `prob-sum-difference`. */
  readonly also?: readonly TokenRef[];
}

/** One line of a dataset file. */
export interface DatasetRow {
  readonly id: string;
  readonly clean: string;
  /** The corruption named `corrupted`. */
  readonly corrupted?: string;
  /** Corruptions of this row, by name: before those of the header. */
  readonly corrupt?: Readonly<Record<string, Corruption>>;
  /** Name of a role (`S1`, `IO`, `END`) → its places; negative positions count from the end. */
  readonly roles: Readonly<Record<string, readonly RolePlace[]>>;
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
  | 'no-foils'
  | 'no-answer'
  | 'unlike-answers'
  | 'unknown-set'
  | 'unknown-role'
  | 'role-mismatch'
  | 'header-not-first'
  | 'no-corruption'
  | 'not-corrupted'
  | 'prompt-empty'
  | 'prompt-too-long'
  | 'other-model'
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
  /** Also null on the header's own line. */
  readonly row: DatasetRow | null;
  /** The file's header. */
  readonly header: DatasetHeader | null;
  readonly problems: readonly DatasetProblem[];
}

/** `7:12: message`, 1-based as editors and compilers write it. */
export function describeDatasetProblem({ line, column, message }: DatasetProblem): string {
  return `${line + 1}:${column + 1}: ${message}`;
}
