import { setImmediate as turn } from 'node:timers/promises';
import { throwIfCancelled } from '../../shared/errors.ts';
import type { CellShare, StepProgress } from '../../shared/experimentRun.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { readCell, writeCell } from './cellJson.ts';
import { CellWriter, partsFolder, type StoredCell } from './cellStore.ts';
import { removeCheckpoint, type StoredCheckpoint, writeCheckpoint } from './checkpointStore.ts';
import type { CellResult, Checkpoint, StepCell, StepContext } from './stepKind.ts';
import { type StepPlan, weightOf } from './stepPlan.ts';

/** Least time between two writings of a result that is not finished, in milliseconds. */
const SAVE_MS = 1000;
/** Share of the time that writing them may take at most. */
const SAVE_SHARE = 0.05;

export interface StepRun {
  readonly results: string;
  readonly share: CellShare | undefined;
  /** Finished cells by id; what is run is added. */
  readonly done: Map<string, StoredCell>;
  /** What unfinished cells left, by id; kept up to date. */
  readonly unfinished: Map<string, StoredCheckpoint>;
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
  /** Of these, what an earlier run has done: it says nothing of the pace. */
  #inherited = 0;

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
    const own = now - this.#inherited;
    const secondsLeft = own > 0 && seconds > 0.5 ? (seconds / own) * (this.total - now) : null;
    run.onProgress({ done: Math.min(now, this.total), total: this.total, label });
    const cells = { done: run.done.size, total: plan.cells.length };
    run.onStepProgress({ step: plan.step.name, cells, label, secondsLeft });
  }

  /** @param within share of the cell that an earlier run has done */
  inherited(cell: StepCell, within: number): void {
    this.#inherited += within * weightOf(cell);
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

/** Writes the result of a step that is not finished, no more often than it is worth. */
class LiveResult {
  #next = performance.now() + SAVE_MS;

  constructor(private readonly save: () => Promise<void>) {}

  /** @param keep what has to be written first */
  async update(keep?: () => Promise<void>): Promise<void> {
    if (performance.now() < this.#next) return;
    const started = performance.now();
    await keep?.();
    await this.save();
    const took = performance.now() - started;
    this.#next = performance.now() + Math.max(SAVE_MS, took / SAVE_SHARE);
  }
}

/** What a cell leaves on its way: written now and then, and at the latest when it is stopped. */
class CellCheckpoint implements Checkpoint {
  readonly #started = performance.now();
  readonly #before: StoredCheckpoint | undefined;
  #state: (() => CellResult) | null = null;

  constructor(
    private readonly plan: StepPlan,
    private readonly cell: string,
    private readonly run: StepRun,
    private readonly live: LiveResult,
  ) {
    this.#before = run.unfinished.get(cell);
  }

  get left(): CellResult | null {
    return this.#before?.state ?? null;
  }

  /** Spent on the cell, by earlier runs too. */
  get seconds(): number {
    return (this.#before?.seconds ?? 0) + (performance.now() - this.#started) / 1000;
  }

  readonly reached = async (state: () => CellResult): Promise<void> => {
    this.#state = state;
    await this.live.update(() => this.keep());
  };

  async keep(): Promise<void> {
    if (this.#state === null) return;
    const { key, step } = this.plan;
    const state = readCell(writeCell(this.#state())) as CellResult;
    const stored = { key, cell: this.cell, seconds: this.seconds, state };
    this.run.unfinished.set(this.cell, stored);
    await writeCheckpoint(partsFolder(this.run.results), step.name, stored);
  }

  /** The cell is finished and kept. */
  async remove(): Promise<void> {
    if (!this.run.unfinished.delete(this.cell)) return;
    const { key, step } = this.plan;
    await removeCheckpoint(partsFolder(this.run.results), step.name, { key, cell: this.cell });
  }
}

async function runCell(
  plan: StepPlan,
  cell: StepCell,
  clock: StepClock,
  checkpoint: CellCheckpoint,
  recent: StepContext['recent'],
): Promise<StoredCell> {
  const { kind, step, context, key } = plan;
  let begun = checkpoint.left === null;
  const onProgress: OnProgress = ({ done, total }) => {
    const within = total > 0 ? Math.min(1, done / total) : 0;
    if (!begun) clock.inherited(cell, within);
    begun = true;
    clock.report(cell, within, cell.id);
  };
  const { left, reached } = checkpoint;
  const own = { ...context, onProgress, recent, checkpoint: { left, reached } };
  const result = await kind.run(own, step.params, cell).catch(async (error: unknown) => {
    // Why the run ended matters more than a second failure.
    await checkpoint.keep().catch(() => undefined);
    throw error;
  });
  // What is kept is what a resumed run will read.
  return { key, cell: cell.id, seconds: checkpoint.seconds, result: readCell(writeCell(result)) as CellResult };
}

/**
 * Runs the cells of a step that are missing, one by one, and keeps each as soon as it is done; of one that is stopped what it
 * left on its way.
 * @throws MechanistError `cancelled`; finished cells stay
 */
export async function runCells(plan: StepPlan, wanted: readonly StepCell[], run: StepRun): Promise<void> {
  const { context, step } = plan;
  const missing = wanted.filter(({ id }) => !run.done.has(id));
  const total = missing.reduce((sum, cell) => sum + weightOf(cell), 0);
  const clock = new StepClock(plan, run, total);
  const writer = new CellWriter(partsFolder(run.results), step.name, run.share);
  const recent = keepRecent();
  const live = new LiveResult(run.save);
  try {
    for (const cell of missing) {
      await turn();
      throwIfCancelled(context.signal);
      await context.giveWay?.();
      clock.report(cell, 0, cell.id);
      const checkpoint = new CellCheckpoint(plan, cell.id, run, live);
      const stored = await runCell(plan, cell, clock, checkpoint, recent);
      await writer.append(stored);
      run.done.set(cell.id, stored);
      await checkpoint.remove();
      clock.finished(cell);
      await live.update();
    }
  } finally {
    await writer.close();
  }
}
