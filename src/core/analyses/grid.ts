import { MechanistError } from '../../shared/errors.ts';
import type { GridCell, GridDocument, GridRequest } from '../../shared/gridDocument.ts';
import type { SampleSummary } from '../../shared/metric.ts';
import { summarize } from '../../shared/statistics.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { describeMetric, type ResolvedGrid, resolveGridRequest } from '../tasks/gridRequest.ts';
import { normalized } from '../tasks/metrics.ts';
import { ablatePlan } from './ablate.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { checkFirstOrder } from './attributionPatch.ts';
import { GroupTooLarge } from './gridFailures.ts';
import { GridMetric } from './gridMetric.ts';
import { type GridPlace, hasOtherRun, type SweepPlan } from './gridPlan.ts';
import { GridProgress } from './gridProgress.ts';
import { gridProvenance } from './gridProvenance.ts';
import { checkResume, questionOf } from './gridResume.ts';
import { bySize, DEFAULT_VERIFIED, judgeScreening, planFor } from './gridScreening.ts';
import { GridState } from './gridState.ts';
import { type BaseScores, GridSweep } from './gridSweep.ts';
import { patchPlan } from './patch.ts';
import { pathPatchPlan } from './pathPatch.ts';

/** Share of the memory of a sweep that the logits of clean runs may take, where the metric compares with them. */
const REFERENCE_SHARE = 1 / 8;

/** How a sweep is run, beside what it asks. */
export interface GridOptions {
  /** A partial document of the same request: its cells are not run again. */
  readonly resume?: GridDocument | undefined;
  /** Bytes of activations that may be held where the request does not say. */
  readonly memoryBytes: number;
  /** The document before the first cell. */
  readonly onStarted?: (document: GridDocument) => void;
  readonly onCells?: (cells: readonly GridCell[]) => void;
}

function planOf(request: GridRequest, { items }: ResolvedGrid, { model }: AnalysisContext): SweepPlan {
  switch (request.analysis) {
    case 'ablate':
      return ablatePlan(request, items, model.config);
    case 'patch':
      return patchPlan(request, items, model.config);
    case 'path-patch':
      return pathPatchPlan(request, items, model.config);
  }
}

type Summary = SampleSummary & { readonly byItem: readonly number[] };

function summaryOf(values: ArrayLike<number>, seed: number): Summary {
  return { ...summarize(values, { seed }), byItem: Array.from(values) };
}

const meanOf = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Turns raw numbers into those of the document: on the scale of the clean and corrupted means where that is asked for. */
function scaleOf({ metric }: ResolvedGrid, { base, source }: BaseScores, plan: SweepPlan): (value: number) => number {
  const form = metric.normalize;
  if (form === undefined) return (value) => value;
  const [clean, corrupted] = (plan.base === 'clean' ? [base, source] : [source, base]).map(meanOf);
  return (value) => normalized(value, clean, corrupted, form);
}

/** One sweep from its request to its document. */
class GridJob {
  private readonly state: GridState;
  private readonly progress: GridProgress;
  private readonly started = performance.now();
  private scale: (value: number) => number = (value) => value;
  private fresh: GridDocument | null = null;
  private screening: GridDocument['screening'] = null;
  private plan: SweepPlan;

  constructor(
    private readonly context: AnalysisContext & ClimbContext,
    private readonly request: GridRequest,
    private readonly resolved: ResolvedGrid,
    private readonly makePlan: () => SweepPlan,
    private readonly options: GridOptions,
  ) {
    this.plan = makePlan();
    const { rows, columns } = this.plan.axes;
    const cells = rows.labels.length * columns.labels.length;
    this.state = new GridState(rows.labels.length, columns.labels.length, resolved.items.length);
    const verified = request.method === 'screened' ? Math.min(cells, request.verifyTop ?? DEFAULT_VERIFIED) : 0;
    this.progress = new GridProgress(cells + verified, context);
  }

  /** Runs the sweep; where not even the unchanged runs of a group find memory, once more with smaller groups and half the memory. */
  async run(): Promise<GridDocument> {
    let memory = this.request.memoryBytes ?? this.options.memoryBytes;
    let mostItems: number | undefined;
    const before = this.context.runner.counters.blockPositions;
    for (;;) {
      try {
        return await this.attempt(before, memory, mostItems);
      } catch (error) {
        if (!(error instanceof GroupTooLarge)) throw error;
        memory /= 2;
        mostItems = Math.ceil(error.items / 2);
        this.plan = this.makePlan();
      }
    }
  }

  private async attempt(before: number, memory: number, mostItems: number | undefined): Promise<GridDocument> {
    const { context, resolved, plan } = this;
    const targets = resolved.items.map((item) => item.targets);
    const { runner, signal } = context;
    const reference = { referenceBytes: memory * REFERENCE_SHARE, signal };
    const metric = await GridMetric.create(runner, resolved.metric, targets, reference);
    const sweep = new GridSweep(context, plan, resolved.items, metric, memory, mostItems);
    try {
      const scores = await sweep.prelude();
      const start = this.fresh ?? this.begin(scores, before);
      await this.fill(sweep, plan.base === 'clean' ? start.clean.mean : (start.corrupted?.mean ?? 0));
      return this.finished(before);
    } finally {
      await sweep.stack.release();
    }
  }

  /** The document before the first cell, with those of an earlier run. */
  private begin(scores: BaseScores, before: number): GridDocument {
    const { resolved, plan, options } = this;
    this.scale = scaleOf(resolved, scores, plan);
    const start = this.document(scores);
    this.fresh = start;
    if (options.resume !== undefined) {
      checkResume(options.resume, start);
      this.state.take(options.resume);
    }
    options.onStarted?.(this.finished(before));
    return start;
  }

  /** Estimates the cells, runs them, or runs those with the largest estimates. */
  private async fill(sweep: GridSweep, base: number): Promise<void> {
    const { state, scale, plan, request, resolved } = this;
    const places = this.places();
    if (plan.firstOrder === null) {
      await sweep.run(places, state, scale, (cells) => this.report(cells, state.done));
      return;
    }
    const estimates = new GridState(state.rows, state.columns, state.items);
    await sweep.estimate(plan.firstOrder, resolved.metric, estimates, scale, (cells) => {
      const open = cells.filter((cell) => !state.isExact(cell));
      for (const cell of open) state.put(cell, [...cell.byItem.keys()], cell.byItem, false);
      if (open.length > 0) this.report(open, state.done);
    });
    if (request.method !== 'screened') return;
    const verified = bySize(places, estimates, base).slice(0, request.verifyTop ?? DEFAULT_VERIFIED);
    for (const place of verified) if (!state.isExact(place)) state.reopen(place);
    await sweep.run(verified, state, scale, (cells) =>
      this.report(cells, places.length + verified.filter((place) => state.isExact(place)).length),
    );
    this.screening = judgeScreening(verified, state, base);
  }

  private places(): GridPlace[] {
    const { rows, columns } = this.plan.axes;
    return rows.labels.flatMap((_, row) => columns.labels.map((__, column) => ({ row, column })));
  }

  private report(cells: readonly GridCell[], done: number): void {
    const { rows, columns } = this.plan.axes;
    const { row, column } = cells[cells.length - 1];
    this.progress.report(done, `${rows.labels[row]}.${columns.labels[column]}`);
    this.options.onCells?.(cells);
  }

  private document({ base, source }: BaseScores): GridDocument {
    const { request, resolved, plan } = this;
    const [clean, corrupted] = plan.base === 'clean' ? [base, source] : [source, base];
    const seed = request.seed ?? 0;
    const scaled = (values: Float64Array) => summaryOf(values.map(this.scale), seed);
    return {
      schemaVersion: 1,
      kind: 'grid',
      analysis: request.analysis,
      method: request.method ?? 'exact',
      warnings: resolved.warnings,
      provenance: gridProvenance(
        this.context,
        request.model,
        resolved.items,
        request.analysis === 'ablate' ? plan.intervention : 'none',
        questionOf(request),
      ),
      intervention: plan.intervention,
      request,
      metric: { spec: resolved.metric, ...describeMetric(resolved.metric, resolved.items) },
      axes: plan.axes,
      items: resolved.items.map(({ shown }) => shown),
      clean: scaled(clean),
      corrupted: hasOtherRun(plan) ? scaled(corrupted) : null,
      ...this.state.tables(),
      cost: { forwardPasses: 0, seconds: 0 },
    };
  }

  private finished(before: number): GridDocument {
    if (this.fresh === null) throw new Error('The sweep has not begun.');
    const { runner } = this.context;
    const positions = this.resolved.items.reduce((sum, { ids }) => sum + ids.length, 0) / this.resolved.items.length;
    const work = (runner.counters.blockPositions - before) / runner.config.nLayers / positions;
    const earlier = this.options.resume?.cost ?? { forwardPasses: 0, seconds: 0 };
    return {
      ...this.fresh,
      ...this.state.tables(),
      screening: this.screening,
      cost: {
        forwardPasses: earlier.forwardPasses + Math.round(work * 10) / 10,
        seconds: earlier.seconds + (performance.now() - this.started) / 1000,
      },
    };
  }
}

/**
 * Runs a sweep: the metric after an intervention at each cell of a grid, over one or many prompts. Memory is bounded by
 * `memoryBytes`; about half a forward pass a cell and prompt (a quarter by position); a cancel takes effect within one block and loses no finished cell that `onCells` was told of.
 * Where memory ends, batches become smaller.
 * @throws MechanistError `bad-input`, `token-splits`, `prompt-empty`, `prompt-too-long`, `model-corrupt` (NaN; names the hook,
 * and the cell where an intervention made it), `model-too-large` (not even one prompt fits into memory), `cancelled`
 */
export async function runGrid(
  context: AnalysisContext & ClimbContext,
  request: GridRequest,
  options: GridOptions,
): Promise<GridDocument> {
  const { model } = context;
  const resolved = resolveGridRequest(request, model.tokenizer, model.config.nCtx);
  const { method = 'exact' } = request;
  const makePlan = () => planOf(request, resolved, context);
  const whole = makePlan();
  if (method !== 'exact') {
    if (whole.firstOrder === null) {
      throw new MechanistError('bad-input', 'Path patching has no first-order estimate here: run the exact sweep.');
    }
    checkFirstOrder(resolved.metric, whole.base);
  }
  return await new GridJob(context, request, resolved, () => planFor(makePlan(), method), options).run();
}
