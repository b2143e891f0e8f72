import type { CheckedNumber } from './figures.ts';
import { signed } from './format.ts';

/** Folder of an experiment's results: `acronyms.experiment.yaml` → `acronyms.results`. */
export function resultsFolder(path: string): string {
  return `${path.replace(/\.experiment\.ya?ml$/i, '').replace(/\.ya?ml$/i, '')}.results`;
}

/** Name of a step's figures in the results folder. */
export function stepResultName(step: string): string {
  return `${step}.mechanist.json`;
}

/** Name of what a step found about a circuit, in the results folder. */
export function stepEvaluationName(step: string): string {
  return `${step}.evaluation.mechanist.json`;
}

/** Names that the experiment of a results folder may have: `acronyms.results` → `acronyms.experiment.yaml`; empty for others. */
export function experimentNames(folder: string): readonly string[] {
  const stem = /^(.+)\.results$/.exec(folder)?.[1];
  return stem === undefined ? [] : ['yaml', 'yml'].map((ending) => `${stem}.experiment.${ending}`);
}

/** The step whose figures a file has; null for another file. */
export function stepOfResult(name: string): string | null {
  const ending = stepResultName('');
  return name.endsWith(ending) && name.length > ending.length ? name.slice(0, -ending.length) : null;
}

/** Name of the vectors that a step leaves, in the results folder. */
export function stepVectorsName(step: string): string {
  return `${step}.safetensors`;
}

/** The i-th of n shares of every step's cells, from 1. */
export interface CellShare {
  readonly index: number;
  readonly of: number;
}

/** How far a step is. */
export interface StepProgress {
  readonly step: string;
  readonly cells: { readonly done: number; readonly total: number };
  /** What is being done now, in words: the cell. */
  readonly label: string;
  /** Null before it can be told. */
  readonly secondsLeft: number | null;
}

/** What became of a step. */
export interface StepOutcome {
  readonly step: string;
  readonly analysis: string;
  /** `failed` and `waiting` (for a circuit of a step that is not complete) say why in `message`. */
  readonly state: 'complete' | 'partial' | 'failed' | 'waiting';
  readonly message: string | null;
  readonly cells: { readonly done: number; readonly total: number };
  /** Cells that were there before this run. */
  readonly reused: number;
  /** Absolute path of its figures; null where none were written. */
  readonly file: string | null;
  readonly warnings: readonly string[];
  readonly checks: readonly CheckedNumber[];
  readonly values: Readonly<Record<string, number>>;
  readonly cost: { readonly forwardPasses: number; readonly seconds: number };
}

/** What became of an experiment, step by step. */
export interface ExperimentOutcome {
  readonly experiment: string;
  readonly model: string;
  readonly results: string;
  readonly rows: number;
  /** Rows that were left out. */
  readonly refused: number;
  readonly steps: readonly StepOutcome[];
}

/** One-way messages of the engine while an `experiment.run` request runs; `token` is the one of the request. */
export interface ExperimentNotifications {
  'experiment.progress': { readonly token: string; readonly progress: StepProgress };
  'experiment.step': { readonly token: string; readonly outcome: StepOutcome };
}

/** True for a number that was expected to be otherwise and that counts. */
export function isFailure(check: CheckedNumber): boolean {
  return !check.passed && check.note === undefined;
}

/** `−7.3 … −6.3`, `≥ +2` */
export function expectedRange({ low, high }: Pick<CheckedNumber, 'low' | 'high'>): string {
  if (low !== null && high !== null) return `${signed(low)} … ${signed(high)}`;
  return low === null ? `≤ ${signed(high ?? Number.NaN)}` : `≥ ${signed(low)}`;
}
