import { type MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { GridCell } from '../../shared/gridDocument.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import { isNonFinite } from '../engine/nonFinite.ts';
import { isOutOfMemory } from '../engine/outOfMemory.ts';
import { type ClimbContext, climb, type Departure } from '../engine/sweeps/climb.ts';
import { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { attributionPatch, type FirstOrder } from './attributionPatch.ts';
import { nonFiniteCell, tooLarge } from './gridFailures.ts';
import { type Group, HeldRuns } from './gridGroups.ts';
import type { AnswerRows, GridMetric } from './gridMetric.ts';
import { type CellRun, type GridPlace, type GroupRuns, hasOtherRun, type SweepPlan } from './gridPlan.ts';
import type { GridState } from './gridState.ts';

/** Positions of one run: the grain at which matrix products are fastest. */
const RUN_POSITIONS = 1024;
/** Cells for which it pays to compute unchanged runs again that did not fit into memory. */
const CELLS_PER_WINDOW = 16;
const FLOAT_BYTES = 4;

/** A cell on one prompt, with where it leaves the base run. */
interface Run extends CellRun {
  readonly first: number;
  readonly boundary: number;
}

/** What the unchanged runs score, `[items][metric.width]`. `source`: of the run that is not changed; NaN without one. */
export interface BaseScores {
  readonly base: Float64Array;
  readonly source: Float64Array;
}

/** Runs the cells of a plan: in memory that is bounded, many cells in one batch, each only as far as it differs. */
export class GridSweep {
  readonly stack: SweepStack;
  private readonly held: HeldRuns;
  private runPositions: number;
  /** From the metric to the numbers of the document. */
  private scale: (value: number) => number = (value) => value;
  private scores: BaseScores = { base: new Float64Array(0), source: new Float64Array(0) };

  constructor(
    private readonly context: AnalysisContext & ClimbContext,
    private readonly plan: SweepPlan,
    private readonly items: readonly SweepItem[],
    private readonly metric: GridMetric,
    memoryBytes: number,
    mostItems?: number,
  ) {
    const { runner } = context;
    this.stack = new SweepStack(runner);
    // Half for the unchanged runs, a quarter for the runs of one batch, the rest for what the runtime needs.
    this.held = new HeldRuns(context, plan, items, memoryBytes / 2, mostItems);
    const { dModel, dMlp, nHeads, dHead } = runner.config;
    const longest = Math.max(...this.held.groups.map(({ count }) => count));
    // Scores and pattern are there twice while one becomes the other.
    const perPosition = FLOAT_BYTES * (6 * dModel + 4 * dMlp + 4 * nHeads * dHead + 3 * nHeads * longest);
    this.runPositions = Math.max(1, Math.min(RUN_POSITIONS, Math.floor(memoryBytes / 4 / perPosition)));
  }

  /** Scores the unchanged runs and lets the plan learn from them. One pass over the prompts, or two. */
  async prelude(): Promise<BaseScores> {
    const numbers = this.items.length * this.metric.width;
    const scores = {
      base: new Float64Array(numbers).fill(Number.NaN),
      source: new Float64Array(numbers).fill(Number.NaN),
    };
    const order = this.plan.base === 'clean' ? (['base', 'source'] as const) : (['source', 'base'] as const);
    for (const group of this.held.windows.flat()) {
      const runs = await this.held.of(group);
      for (const which of order) {
        const run = runs[which];
        if (run === null || (which === 'source' && !hasOtherRun(this.plan))) continue;
        const rows = this.finalRows(run.residual(run.runner.config.nLayers), group);
        if (which === order[0]) this.metric.remember(rows);
        const values = await this.held.within(group, () => this.metric.scores(rows, group.answers));
        this.entries(group.items).forEach((entry, i) => {
          scores[which][entry] = values[i];
        });
      }
      this.plan.learn?.(runs);
    }
    this.scores = scores;
    return scores;
  }

  /** Where the numbers of some items lie in a state and in the scores. */
  private entries(items: readonly number[]): number[] {
    const { width } = this.metric;
    return items.flatMap((item) => Array.from({ length: width }, (_, i) => item * width + i));
  }

  private finalRows(final: Float32Array, group: Group): AnswerRows[] {
    const { dModel } = this.stack.config;
    return group.items.map((item, i) => {
      const rows = new Float32Array(group.answers.length * dModel);
      group.answers.forEach((position, a) => {
        const at = (i * group.count + position) * dModel;
        rows.set(final.subarray(at, at + dModel), a * dModel);
      });
      return { item, rows };
    });
  }

  /** Puts the first-order estimate of every cell into `state`, for metrics of one number. About 3 forward passes over the prompts. */
  async estimate(
    firstOrder: FirstOrder,
    spec: MetricSpec,
    state: GridState,
    scale: (value: number) => number,
    onCells: (cells: GridCell[]) => void,
  ): Promise<void> {
    const { runner } = this.context;
    for (const group of this.held.windows.flat()) {
      await this.context.giveWay?.();
      const runs = await this.held.of(group);
      const rows = await this.held.within(group, async () => {
        const reference = await this.metric.referencesOf(group.items, group.answers);
        return await attributionPatch(
          ...([runner, firstOrder, group, runs, this.items, spec, reference, this.context] as const),
        );
      });
      const finished: GridCell[] = [];
      for (const { row, items } of rows) {
        for (let column = 0; column < state.columns; column += 1) {
          // Positions after the last answer change nothing.
          const values = items.map((sums, i) => scale(this.scores.base[group.items[i]] + (sums[column] ?? 0)));
          if (state.put({ row, column }, group.items, values, false)) finished.push(state.cell({ row, column }));
        }
      }
      onCells(finished);
    }
  }

  /**
   * Runs cells exactly and puts them into `state` (one number for each item and number of the metric); those that are done
   * are passed over.
   * @param onCells cells that have just become whole
   */
  async run(
    places: readonly GridPlace[],
    state: GridState,
    scale: (value: number) => number,
    onCells: (cells: GridCell[]) => void,
  ): Promise<void> {
    this.scale = scale;
    const todo = places.filter((place) => !state.isDone(place));
    for (const chunk of this.chunks(todo)) {
      for (const group of this.held.windows.flat()) await this.runCells(group, chunk, state, onCells);
    }
  }

  /** Cells that are finished together: few where everything is in memory, more where unchanged runs must be made again. */
  private chunks(places: readonly GridPlace[]): GridPlace[][] {
    const { groups, windows } = this.held;
    const longest = Math.max(...groups.map(({ count }) => count));
    const keyed = places.map((place) => ({ place, start: this.plan.start(place, longest) }));
    keyed.sort(
      (a, b) =>
        (a.start?.first ?? -1) - (b.start?.first ?? -1) || (a.start?.boundary ?? -1) - (b.start?.boundary ?? -1),
    );
    const atOnce = (first: number) => {
      const positions = Math.min(...groups.map(({ items, count }) => items.length * Math.max(1, count - first)));
      return Math.max(windows.length > 1 ? CELLS_PER_WINDOW : 1, Math.floor(this.runPositions / positions));
    };
    const chunks: GridPlace[][] = [];
    for (let from = 0; from < keyed.length; ) {
      const first = keyed[from].start?.first ?? 0;
      const most = keyed.slice(from, from + atOnce(first));
      const some = windows.length > 1 ? most : most.filter(({ start }) => (start?.first ?? 0) === first);
      chunks.push(some.map(({ place }) => place));
      from += some.length;
    }
    return chunks;
  }

  private async runCells(
    group: Group,
    places: readonly GridPlace[],
    state: GridState,
    onCells: (cells: GridCell[]) => void,
  ): Promise<void> {
    const runs: Run[] = [];
    const finished: GridCell[] = [];
    for (const place of places) {
      const start = this.plan.start(place, group.count);
      if (start !== null && start.first <= group.answers[group.answers.length - 1]) {
        group.items.forEach((_, item) => {
          runs.push({ ...place, item, ...start });
        });
        continue;
      }
      // No answer depends on it.
      const entries = this.entries(group.items);
      const values = entries.map((entry) => this.scale(this.scores.base[entry]));
      if (state.put(place, entries, values, true)) finished.push(state.cell(place));
    }
    if (finished.length > 0) onCells(finished);
    runs.sort(
      (a, b) => a.first - b.first || a.boundary - b.boundary || a.column - b.column || a.row - b.row || a.item - b.item,
    );
    for (let from = 0; from < runs.length; ) {
      const batch = this.batch(runs, from, group);
      await this.runBatch(group, batch, state, onCells);
      from += batch.length;
    }
  }

  /** As many of the next runs as fit into one batch: with one first position, and either below the top or at it. */
  private batch(runs: readonly Run[], from: number, { items, count, answers }: Group): Run[] {
    const { nLayers } = this.stack.config;
    const { first, boundary } = runs[from];
    const rows = boundary === nLayers ? answers.length : count - first;
    const fitting = Math.max(1, Math.floor(this.runPositions / rows));
    // Whole cells: then each prompt has as many runs as the others, and they can share its past.
    const most = fitting > items.length ? fitting - (fitting % items.length) : fitting;
    const same = (run: Run) => run.first === first && (run.boundary === nLayers) === (boundary === nLayers);
    const end = runs.findIndex((run, i) => i >= from && (i >= from + most || !same(run)));
    return runs.slice(from, end < 0 ? runs.length : end);
  }

  private async runBatch(
    group: Group,
    batch: readonly Run[],
    state: GridState,
    onCells: (cells: GridCell[]) => void,
  ): Promise<void> {
    throwIfCancelled(this.context.signal);
    const unchanged = await this.held.of(group);
    let values: number[];
    try {
      values = await this.valuesOf(unchanged, group, batch);
    } catch (error) {
      if (!isOutOfMemory(error) && !isNonFinite(error)) throw error;
      if (batch.length === 1) {
        throw isNonFinite(error) ? this.atCell(error, group, batch[0]) : tooLarge(group.count);
      }
      if (!isNonFinite(error)) this.runPositions = Math.max(1, Math.floor(this.runPositions / 2));
      // What can be run is run: smaller, or without the cell that fails.
      const half = Math.ceil(batch.length / 2);
      await this.runBatch(group, batch.slice(0, half), state, onCells);
      await this.runBatch(group, batch.slice(half), state, onCells);
      return;
    }
    const finished: GridCell[] = [];
    const { width } = this.metric;
    batch.forEach((run, i) => {
      const place = { row: run.row, column: run.column };
      const own = values.slice(i * width, (i + 1) * width).map(this.scale);
      if (state.put(place, this.entries([group.items[run.item]]), own, true)) finished.push(state.cell(place));
    });
    if (finished.length > 0) onCells(finished);
  }

  /** Says in which cell a number is not finite. */
  private atCell(error: MechanistError, group: Group, { row, column, item }: Run): MechanistError {
    const { rows, columns } = this.plan.axes;
    const { id } = this.items[group.items[item]].shown;
    return nonFiniteCell(error, `${rows.labels[row]}.${columns.labels[column]}`, id);
  }

  /** The metric of each run of a batch, `[runs][width]`. */
  private async valuesOf(unchanged: GroupRuns, group: Group, batch: readonly Run[]): Promise<number[]> {
    const rows = await this.climb(unchanged, group, batch);
    const size = rows.length / batch.length;
    const scored = batch.map(({ item }, i) => ({
      item: group.items[item],
      rows: rows.subarray(i * size, (i + 1) * size),
    }));
    return await this.metric.scores(scored, group.answers);
  }

  private async climb(runs: GroupRuns, group: Group, batch: readonly Run[]): Promise<Float32Array> {
    const boundaries = [...new Set(batch.map(({ boundary }) => boundary))];
    const { first } = batch[0];
    const departures: Departure[] = boundaries.map((boundary) => {
      const own = batch.filter((run) => run.boundary === boundary);
      return {
        boundary,
        items: own.map(({ item }) => item),
        rows: () => this.plan.rows(this.stack, runs, { first, boundary }, own, this.context),
      };
    });
    return await climb(this.stack, runs.base, first, departures, group.answers, this.context);
  }
}
