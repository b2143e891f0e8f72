import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { GridCell } from '../../shared/gridDocument.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import { type ClimbContext, climb, type Departure } from '../engine/sweeps/climb.ts';
import { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { attributionPatch, type FirstOrder } from './attributionPatch.ts';
import { type Group, makeGroups, runGroup, windowsOf } from './gridGroups.ts';
import type { AnswerRows, GridMetric } from './gridMetric.ts';
import type { CellRun, GridPlace, GroupRuns, SweepPlan } from './gridPlan.ts';
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

/** What the unchanged runs score, by item. `other`: of the run that is not changed; NaN without one. */
export interface BaseScores {
  readonly base: Float64Array;
  readonly source: Float64Array;
}

/** Runs the cells of a plan: in memory that is bounded, many cells in one batch, each only as far as it differs. */
export class GridSweep {
  readonly stack: SweepStack;
  private readonly groups: readonly Group[];
  private readonly windows: readonly (readonly Group[])[];
  private readonly held = new Map<number, GroupRuns>();
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
  ) {
    const { runner } = context;
    this.stack = new SweepStack(runner);
    // Half for the unchanged runs, a quarter for the runs of one batch, the rest for what the runtime needs.
    this.groups = makeGroups(runner, plan, items, memoryBytes / 2);
    this.windows = windowsOf(this.groups, memoryBytes / 2);
    const { dModel, dMlp, nHeads, dHead } = runner.config;
    const perPosition = FLOAT_BYTES * (6 * dModel + 4 * dMlp + 4 * nHeads * dHead);
    this.runPositions = Math.max(1, Math.min(RUN_POSITIONS, Math.floor(memoryBytes / 4 / perPosition)));
  }

  /** Scores the unchanged runs and lets the plan learn from them. One pass over the prompts, or two. */
  async prelude(): Promise<BaseScores> {
    const { items } = this;
    const scores = {
      base: new Float64Array(items.length).fill(Number.NaN),
      source: new Float64Array(items.length).fill(Number.NaN),
    };
    for (const window of this.windows) {
      for (const group of window) {
        const runs = await this.runsOf(group);
        const order = this.plan.base === 'clean' ? (['base', 'source'] as const) : (['source', 'base'] as const);
        for (const which of order) {
          const run = runs[which];
          if (run === null) continue;
          const rows = this.finalRows(run.residual(run.runner.config.nLayers), group);
          if (which === order[0]) await this.metric.remember(rows);
          const values = await this.metric.scores(rows, group.answers);
          group.items.forEach((item, i) => {
            scores[which][item] = values[i];
          });
        }
        this.plan.learn?.(runs);
      }
    }
    this.scores = scores;
    return scores;
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

  /** The unchanged runs of a group, kept while its window is worked on. */
  private async runsOf(group: Group): Promise<GroupRuns> {
    const known = this.held.get(group.index);
    if (known !== undefined) return known;
    const window = this.windows.find((own) => own.includes(group)) ?? [];
    for (const index of this.held.keys()) if (!window.some((own) => own.index === index)) this.held.delete(index);
    const runs = await runGroup(this.context.runner, this.plan, this.items, group, this.context);
    this.held.set(group.index, runs);
    return runs;
  }

  /** Puts the first-order estimate of every cell into `state`. About 3 forward passes over the prompts. */
  async estimate(
    firstOrder: FirstOrder,
    spec: MetricSpec,
    state: GridState,
    scale: (value: number) => number,
    onCells: (cells: GridCell[]) => void,
  ): Promise<void> {
    const { runner } = this.context;
    for (const group of this.windows.flat()) {
      await this.context.giveWay?.();
      const runs = await this.runsOf(group);
      const reference = (item: number, position: number) => this.metric.referenceAt(item, position, group.answers);
      const layers = await attributionPatch(
        ...([runner, firstOrder, group, runs, this.items, spec, reference, this.context] as const),
      );
      const finished: GridCell[] = [];
      for (const { layer, items } of layers) {
        const row = firstOrder.layers.indexOf(layer);
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
   * Runs cells exactly and puts them into `state`; those that are done are passed over.
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
      for (const window of this.windows) {
        for (const group of window) await this.runCells(group, chunk, state, onCells);
      }
    }
  }

  /** Cells that are finished together: few where everything is in memory, more where unchanged runs must be made again. */
  private chunks(places: readonly GridPlace[]): GridPlace[][] {
    const longest = Math.max(...this.groups.map(({ count }) => count));
    const keyed = places.map((place) => ({ place, start: this.plan.start(place, longest) }));
    keyed.sort(
      (a, b) =>
        (a.start?.first ?? -1) - (b.start?.first ?? -1) || (a.start?.boundary ?? -1) - (b.start?.boundary ?? -1),
    );
    const positions = Math.min(...this.groups.map((group) => group.items.length * group.count));
    const atOnce = Math.max(1, Math.floor(this.runPositions / positions));
    const size = this.windows.length > 1 ? Math.max(CELLS_PER_WINDOW, atOnce) : atOnce;
    const chunks: GridPlace[][] = [];
    for (let from = 0; from < keyed.length; from += size) {
      chunks.push(keyed.slice(from, from + size).map(({ place }) => place));
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
      const values = group.items.map((item) => this.scale(this.scores.base[item]));
      if (state.put(place, group.items, values, true)) finished.push(state.cell(place));
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
  private batch(runs: readonly Run[], from: number, { count, answers }: Group): Run[] {
    const { nLayers } = this.stack.config;
    const { first, boundary } = runs[from];
    const rows = boundary === nLayers ? answers.length : count - first;
    const most = Math.max(1, Math.floor(this.runPositions / rows));
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
    let rows: Float32Array;
    try {
      rows = await this.climb(group, batch);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
      if (batch.length === 1) throw tooLarge(group.count);
      this.runPositions = Math.max(1, Math.floor(this.runPositions / 2));
      const half = Math.ceil(batch.length / 2);
      await this.runBatch(group, batch.slice(0, half), state, onCells);
      await this.runBatch(group, batch.slice(half), state, onCells);
      return;
    }
    const size = rows.length / batch.length;
    const scored = batch.map(({ item }, i) => ({
      item: group.items[item],
      rows: rows.subarray(i * size, (i + 1) * size),
    }));
    const values = await this.metric.scores(scored, group.answers);
    const finished: GridCell[] = [];
    batch.forEach((run, i) => {
      const place = { row: run.row, column: run.column };
      if (state.put(place, [group.items[run.item]], [this.scale(values[i])], true)) finished.push(state.cell(place));
    });
    if (finished.length > 0) onCells(finished);
  }

  private async climb(group: Group, batch: readonly Run[]): Promise<Float32Array> {
    const runs = await this.runsOf(group);
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

/** What the runtime and JavaScript say when memory runs out. */
function isOutOfMemory(error: unknown): boolean {
  const text = error instanceof Error ? error.message : String(error);
  return /bad[_ ]alloc|out of memory|allocation failed|failed to allocate|invalid array length/i.test(text);
}

function tooLarge(count: number): MechanistError {
  return new MechanistError(
    'model-too-large',
    `There is not enough memory for a single run of ${count} tokens. Close other programs, or shorten the prompt.`,
  );
}
