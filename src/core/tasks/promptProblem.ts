/** Why a stretch of a prompt file is wrong, as a word a program can switch on. */
export type PromptProblemCode =
  | 'yaml'
  | 'front-matter-unclosed'
  | 'front-matter-too-long'
  | 'unknown-key'
  | 'wrong-type'
  | 'not-finite'
  | 'unknown-method'
  | 'unknown-word'
  | 'bad-path'
  | 'position-zero'
  | 'observable-empty'
  | 'zero-weight'
  | 'bad-observable'
  | 'prompt-empty'
  | 'nul-bytes'
  | 'too-many-prompts'
  | 'more-problems';

/** A replacement of `[start, end)` of the document that cures a problem. */
export interface PromptFix {
  readonly title: string;
  readonly start: number;
  readonly end: number;
  readonly newText: string;
}

/** What is wrong with a stretch of a prompt file. Offsets are UTF-16 code units of the document. */
export interface PromptProblem {
  readonly start: number;
  readonly end: number;
  /** `error`: prompts of this file cannot be traced. `warning`: they can, but something is ignored. */
  readonly severity: 'error' | 'warning';
  readonly code: PromptProblemCode;
  /** Says what is wrong and what to write instead. */
  readonly message: string;
  readonly fix?: PromptFix;
}
