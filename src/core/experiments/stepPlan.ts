import { createHash } from 'node:crypto';
import type { CircuitFile } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { CellShare } from '../../shared/experimentRun.ts';
import type { ExperimentStep } from '../tasks/experiment/experimentTypes.ts';
import { canonicalJson } from './cellJson.ts';
import type { StepCell, StepContext, StepKind } from './stepKind.ts';

/** A step that is ready to run: its cells, and what they are made with. */
export interface StepPlan {
  readonly step: ExperimentStep;
  readonly kind: StepKind;
  readonly context: StepContext;
  readonly cells: readonly StepCell[];
  /** sha256 over everything that the numbers of a cell depend on. */
  readonly key: string;
  /** Circuits that the step uses, by the name it knows them under. */
  readonly circuits: ReadonlyMap<string, CircuitFile>;
}

/** Raised when cells of all kinds would have to be run again. */
const FORMAT = 1;

/** What a cell's numbers depend on, as one word: equal words, equal cells. */
function stepKey(
  context: Pick<StepContext, 'model' | 'task' | 'seed'>,
  kind: StepKind,
  params: Readonly<Record<string, unknown>>,
  circuits: ReadonlyMap<string, CircuitFile>,
  sources: readonly unknown[],
): string {
  const { model, task, seed } = context;
  const { name, version = 1 } = kind;
  const parts = [FORMAT, model.info.hash, task.hash, name, version, params, seed, Object.fromEntries(circuits)];
  return createHash('sha256')
    .update(canonicalJson([...parts, ...sources]))
    .digest('hex');
}

/**
 * A step's cells.
 * @param sources what the numbers depend on of observables and files that the step names
 * @throws MechanistError `bad-input` as the kind's `cells`; `internal` when two cells have one id
 */
export function planStep(
  step: ExperimentStep,
  kind: StepKind,
  context: StepContext,
  circuits: ReadonlyMap<string, CircuitFile>,
  sources: readonly unknown[],
): StepPlan {
  const cells = kind.cells(context, step.params);
  if (new Set(cells.map(({ id }) => id)).size < cells.length) {
    throw new MechanistError('internal', `Two cells of ${kind.name} have the same id.`);
  }
  return { step, kind, context, cells, key: stepKey(context, kind, step.params, circuits, sources), circuits };
}

/** Passes of a cell for time and shares: never 0, so that cheap cells count as well. */
export function weightOf({ passes }: StepCell): number {
  return Math.max(passes, 1e-3);
}

/**
 * The cells of one share: a stretch of the cells' order that costs about 1/n of their forward passes. The shares of one n
 * hold every cell exactly once.
 */
export function shareOf(cells: readonly StepCell[], { index, of }: CellShare): readonly StepCell[] {
  const total = cells.reduce((sum, cell) => sum + weightOf(cell), 0);
  let before = 0;
  return cells.filter((cell) => {
    const middle = (before + weightOf(cell) / 2) / total;
    before += weightOf(cell);
    return Math.min(of - 1, Math.floor(middle * of)) === index - 1;
  });
}
