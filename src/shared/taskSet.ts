import type { DatasetProblem } from './dataset.ts';

/** An answer of a row, resolved to one model's vocabulary. */
export interface TaskAnswer {
  readonly name: string;
  /** 0-based token index where the answer is predicted. */
  readonly position: number;
  /** Vocabulary entries. */
  readonly answer: number;
  readonly foils: readonly number[];
  /** Other right answers, for the metric `prob-sum-difference`: every later year of greater-than. */
  readonly also?: readonly number[];
}

/** A row of a dataset as one model reads it. */
export interface TaskItem {
  readonly id: string;
  readonly text: string;
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
  /** Role → 0-based token positions. */
  readonly roles: Readonly<Record<string, readonly number[]>>;
  readonly answers: readonly TaskAnswer[];
  readonly tags: readonly string[];
  /** Token ids of each corruption, by its name: as many as `ids`. */
  readonly corrupted: Readonly<Record<string, readonly number[]>>;
}

/** A dataset, tokenized and resolved: what experiments and circuits run on. */
export interface TaskSet {
  readonly name: string;
  readonly items: readonly TaskItem[];
  /** In the order of their positions. */
  readonly roles: readonly string[];
  readonly answerNames: readonly string[];
  readonly corruptions: readonly string[];
  readonly seed: number;
  /** sha256 (hexadecimal) of what is run: ids, corrupted ids, answers. */
  readonly hash: string;
  /** Rows that were left out, and why. */
  readonly refused: number;
  readonly problems: readonly DatasetProblem[];
}

/** What a name such as `cur:{answer}` stands for at one answer: `cur:L3`. */
export function corruptionFor(name: string, answer: string): string {
  return name.replaceAll('{answer}', answer);
}
