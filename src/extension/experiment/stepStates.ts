import { isDeepStrictEqual } from 'node:util';
import { checkNumbers } from '../../core/tasks/experiment/checkNumbers.ts';
import { askedIn, requestOf } from '../../core/tasks/experiment/experimentRequest.ts';
import type { Expectation, ExperimentFile, ExperimentStep } from '../../core/tasks/experiment/experimentTypes.ts';
import type { StepProgress } from '../../shared/experimentRun.ts';
import type { CheckedNumber, FiguresDocument } from '../../shared/figures.ts';

/** What is kept of a step's result file. */
export interface StepResultFile
  extends Pick<FiguresDocument, 'complete' | 'cells' | 'request' | 'values' | 'provenance'> {
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
  /** Whether these files are there too. */
  readonly hasEvaluation: boolean;
  readonly hasCircuit: boolean;
}

/** A run of an experiment that is going on. */
export interface LiveRun {
  /** Steps that were asked for and have not ended. */
  readonly waiting: ReadonlySet<string>;
  /** Of the step that is running. */
  readonly progress: StepProgress | null;
}

/** How a step stands. */
export type StepState =
  | { readonly kind: 'none' }
  | { readonly kind: 'queued' }
  /** `result`: as far as it is, of this run or of one before. */
  | { readonly kind: 'running'; readonly progress: StepProgress; readonly result: StepResultFile | null }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'partial' | 'done'; readonly result: StepResultFile; readonly stale: string | null };

/** Why a result no longer answers what the file asks; null when it does. */
function staleness(
  file: ExperimentFile,
  step: ExperimentStep,
  { request, writtenAt }: StepResultFile,
  dataChangedAt: number | null,
): string | null {
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
  const asked = plain(requestOf(file, step, file.model?.value ?? ''));
  if (!isDeepStrictEqual(asked, plain(askedIn(request)))) return 'file changed';
  return dataChangedAt !== null && dataChangedAt > writtenAt ? 'data changed' : null;
}

export function stepState(
  file: ExperimentFile,
  step: ExperimentStep,
  known: {
    readonly live: LiveRun | null;
    readonly result: StepResultFile | undefined;
    /** Why it could not be run, the last time that was tried. */
    readonly failure: string | undefined;
    readonly dataChangedAt: number | null;
  },
): StepState {
  const { live, result, failure, dataChangedAt } = known;
  if (live?.progress?.step === step.name && live.waiting.has(step.name))
    return { kind: 'running', progress: live.progress, result: result ?? null };
  if (live?.waiting.has(step.name)) return { kind: 'queued' };
  if (failure !== undefined) return { kind: 'failed', message: failure };
  if (result === undefined) return { kind: 'none' };
  const stale = staleness(file, step, result, dataChangedAt);
  return { kind: result.complete ? 'done' : 'partial', result, stale };
}

/** An expectation beside the number that the step's result has now. */
export interface ShownCheck {
  readonly expectation: Expectation;
  readonly check: CheckedNumber;
}

/** Expectations of steps whose results still answer the file. */
export function shownChecks(file: ExperimentFile, stateOf: (step: ExperimentStep) => StepState): readonly ShownCheck[] {
  return file.steps.flatMap((step) => {
    const state = stateOf(step);
    if (state.kind !== 'done' || state.stale !== null) return [];
    const own = file.expect.filter((expectation) => expectation.step === step.name);
    const { model } = state.result.provenance;
    const checks = checkNumbers(state.result.values, own, { ref: model, names: [model] });
    return own.map((expectation, i) => ({ expectation, check: checks[i] }));
  });
}

/** `just now`, `3 min ago`, `2 h ago`, `27 Nov 2026` */
export function agoText(at: number, now: number): string {
  const minutes = Math.floor((now - at) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return new Date(at).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
}
