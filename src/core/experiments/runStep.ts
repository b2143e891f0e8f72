import { setImmediate as turn } from 'node:timers/promises';
import { throwIfCancelled } from '../../shared/errors.ts';
import type { CellShare, StepProgress } from '../../shared/experimentRun.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { readCell, writeCell } from './cellJson.ts';
import { CellWriter, partsFolder, type StoredCell } from './cellStore.ts';
import type { CellResult, StepCell, StepContext } from './stepKind.ts';
import { type StepPlan, weightOf } from './stepPlan.ts';

/** Least time between two writings of a result that is not finished, in milliseconds. */
const SAVE_MS = 3000;
/** Share of the time that writing them may take at most. */
const SAVE_SHARE = 0.05;

export interface StepRun {
  readonly results: string;
  readonly share: CellShare | undefined;
  /** Finished cells by id; what is run is added. */
  readonly done: Map<string, StoredCell>;
  /** In passes of this step; total constant. */
  readonly onProgress: OnProgress;
  readonly onStepProgress: (progress: StepProgress) => void;
  /** Writes the result as far as it is. */
  readonly save: () => Promise<void>;
}

/** Tells of a step's progress, with the time that is left at the pace so far. */
class StepClock {
  readonly #started = performance.now();
  #passes = 0;

  constructor(
    private readonly plan: StepPlan,
    private readonly run: StepRun,
    private readonly total: number,
  ) {}

  /** @param within share of the cell that is done, 0 … 1 */
  report(cell: StepCell, within: number, label: string): void {
    const { plan, run } = this;
    const now = this.#passes + within * weightOf(cell);
    const seconds = (performance.now() - this.#started) / 1000;
    const secondsLeft = now > 0 && seconds > 0.5 ? (seconds / now) * (this.total - now) : null;
    run.onProgress({ done: Math.min(now, this.total), total: this.total, label });
    const cells = { done: run.done.size, total: plan.cells.length };
    run.onStepProgress({ step: plan.step.name, cells, label, secondsLeft });
  }

  finished(cell: StepCell): void {
    this.#passes += weightOf(cell);
    this.report(cell, 0, cell.id);
  }
}

/** Keeps one value: see `StepContext.recent`. */
function keepRecent(): NonNullable<StepContext['recent']> {
  let kept: { readonly key: string; readonly value: unknown } | null = null;
  return async <T>(key: string, make: () => Promise<T>): Promise<T> => {
    if (kept?.key !== key) {
      // The old value goes first: there is memory for one.
      kept = null;
      kept = { key, value: await make() };
    }
    return kept.value as T;
  };
}

async function runCell(
  plan: StepPlan,
  cell: StepCell,
  clock: StepClock,
  recent: StepContext['recent'],
): Promise<{ seconds: number; result: CellResult }> {
  const { kind, step, context } = plan;
  const started = performance.now();
  const onProgress: OnProgress = ({ done, total }) => {
    clock.report(cell, total > 0 ? Math.min(1, done / total) : 0, cell.id);
  };
  const result = await kind.run({ ...context, onProgress, recent }, step.params, cell);
  // What is kept is what a resumed run will read.
  return { seconds: (performance.now() - started) / 1000, result: readCell(writeCell(result)) as CellResult };
}

/**
 * Runs the cells of a step that are missing, one by one, and keeps each as soon as it is done.
 * @throws MechanistError `cancelled`; finished cells stay
 */
export async function runCells(plan: StepPlan, wanted: readonly StepCell[], run: StepRun): Promise<void> {
  const { context, step, key } = plan;
  const missing = wanted.filter(({ id }) => !run.done.has(id));
  const total = missing.reduce((sum, cell) => sum + weightOf(cell), 0);
  const clock = new StepClock(plan, run, total);
  const writer = new CellWriter(partsFolder(run.results), step.name, run.share);
  const recent = keepRecent();
  let nextSave = performance.now() + SAVE_MS;
  try {
    for (const cell of missing) {
      await turn();
      throwIfCancelled(context.signal);
      await context.giveWay?.();
      clock.report(cell, 0, cell.id);
      const stored = { key, cell: cell.id, ...(await runCell(plan, cell, clock, recent)) };
      await writer.append(stored);
      run.done.set(cell.id, stored);
      clock.finished(cell);
      if (performance.now() < nextSave) continue;
      const started = performance.now();
      await run.save();
      const took = performance.now() - started;
      nextSave = performance.now() + Math.max(SAVE_MS, took / SAVE_SHARE);
    }
  } finally {
    await writer.close();
  }
}
