import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import { GroupTooLarge } from '../../analyses/gridFailures.ts';
import { GridMetric } from '../../analyses/gridMetric.ts';
import type { SweepPlan } from '../../analyses/gridPlan.ts';
import { GridState } from '../../analyses/gridState.ts';
import { type BaseScores, GridSweep } from '../../analyses/gridSweep.ts';
import type { SweepItem } from '../../tasks/gridRequest.ts';
import type { CellResult, StepCell, StepContext } from '../stepKind.ts';
import { idPart } from './cellIds.ts';
import { countedPasses } from './passes.ts';
import { blankRows, shortNumber } from './rowGroups.ts';

/** Rows of a job that one plan fits: positions are the same in all of them. */
export interface SweepPart {
  /** Indices into the rows of the job. */
  readonly rows: readonly number[];
  readonly items: readonly SweepItem[];
  readonly plan: SweepPlan;
  /** Whether the rows have what a column stands for; where not, they have no value there. */
  readonly has: readonly boolean[];
}

/** Grids that are run together: one pass gives the numbers of all its answers. */
export interface SweepJob {
  /** `cur:L3`, `cur:L3@C3`: unique in the step. */
  readonly id: string;
  /** Behind the answer in names of values and pictures: `@C3`, or nothing. */
  readonly suffix: string;
  readonly answers: readonly string[];
  /** Indices into the task's items. */
  readonly rows: readonly number[];
  /** Of the corrupted run; null without one. */
  readonly corruption: string | null;
  readonly parts: readonly SweepPart[];
}

/** A step that sweeps over layers and columns: a cell is one layer of one job. */
export interface SweepStep {
  /** Equal for equal numbers: kind and parameters. */
  readonly key: string;
  readonly metric: MetricSpec;
  readonly layers: readonly number[];
  readonly columns: { readonly name: string; readonly labels: readonly string[]; readonly names: readonly string[] };
  readonly jobs: readonly SweepJob[];
}

/** One number for each row of a job; null where the row has none. */
export type RowNumbers = readonly (number | null)[];

/** What a cell of a sweep leaves, by answer. */
export interface SweepCellResult {
  /** The metric of the run that is changed. */
  readonly base: Readonly<Record<string, RowNumbers>>;
  /** The metric of the other run; absent without one. */
  readonly source?: Readonly<Record<string, RowNumbers>>;
  /** `[column][row]`: what the intervention changes. */
  readonly effects: Readonly<Record<string, readonly RowNumbers[]>>;
  readonly forwardPasses: number;
}

export function layerCell(layer: number, { id }: SweepJob): string {
  return `L${layer}/${idPart(id)}`;
}

/**
 * The layers asked for, by default all. @throws MechanistError `bad-input`
 */
export function layersOf(nLayers: number, layers?: readonly number[]): readonly number[] {
  const outside = layers?.find((layer) => layer >= nLayers || layer < 0);
  if (outside === undefined) return layers ?? Array.from({ length: nLayers }, (_, layer) => layer);
  throw new MechanistError('bad-input', `There is no layer ${outside}: the model has layers 0 to ${nLayers - 1}.`);
}

/** The cells of a step; their cost is about that of the layers above, at half of the positions. */
export function sweepCells({ model }: StepContext, step: SweepStep): readonly StepCell[] {
  const { nLayers } = model.config;
  return step.jobs.flatMap((job) =>
    step.layers.map((layer) => ({
      id: layerCell(layer, job),
      passes: 0.05 + step.columns.labels.length * (0.05 + (0.5 * (nLayers - layer)) / nLayers),
    })),
  );
}

interface Prepared {
  readonly part: SweepPart;
  readonly sweep: GridSweep;
  readonly scores: BaseScores;
}

/** How much may be held at once; less where memory ended. */
interface Room {
  readonly memoryBytes: number;
  readonly mostItems?: number;
}

/** Share of the memory that the logits of clean runs may take, where the metric compares with them. */
const REFERENCE_SHARE = 1 / 8;

/** The unchanged runs of a job and their scores: two forward passes over its rows, or one. */
async function prepare(
  context: StepContext,
  { metric }: SweepStep,
  job: SweepJob,
  { memoryBytes, mostItems }: Room,
): Promise<readonly Prepared[]> {
  const { runner, signal } = context;
  const prepared: Prepared[] = [];
  for (const part of job.parts) {
    const targets = part.items.map((item) => item.targets);
    // Parts share the memory by their rows; a small one still needs room for a prompt.
    const memory = memoryBytes * Math.max(1 / 16, part.rows.length / job.rows.length);
    const options = { output: 'each answer', referenceBytes: memory * REFERENCE_SHARE, signal } as const;
    const scorer = await GridMetric.create(runner, metric, targets, options);
    const sweep = new GridSweep(context, part.plan, part.items, scorer, memory, mostItems);
    prepared.push({ part, sweep, scores: await sweep.prelude() });
  }
  return prepared;
}

/** Numbers by answer and row, from those of the parts. */
class ByAnswer {
  readonly base: Record<string, (number | null)[]> = {};
  readonly source: Record<string, (number | null)[]> = {};
  readonly effects: Record<string, (number | null)[][]> = {};

  constructor(job: SweepJob, columns: number) {
    for (const name of job.answers) {
      this.base[name] = blankRows(job.rows.length);
      this.source[name] = blankRows(job.rows.length);
      this.effects[name] = Array.from({ length: columns }, () => blankRows(job.rows.length));
    }
  }

  /** Calls `f` with each number's place: answer, row of the job, index into the numbers of the part. */
  private each({ rows, items }: SweepPart, f: (answer: string, row: number, at: number) => void): void {
    const width = items[0].targets.length;
    items.forEach(({ targets }, item) => {
      for (const [i, { name }] of targets.entries()) f(name, rows[item], item * width + i);
    });
  }

  takeScores({ part, scores }: Prepared): void {
    this.each(part, (answer, row, at) => {
      this.base[answer][row] = scores.base[at];
      this.source[answer][row] = Number.isNaN(scores.source[at]) ? null : scores.source[at];
    });
  }

  takeEffects({ part, scores }: Prepared, column: number, values: readonly number[]): void {
    if (!part.has[column]) return;
    this.each(part, (answer, row, at) => {
      // Both as float32, so that what changes nothing is exactly 0.
      this.effects[answer][column][row] = shortNumber(values[at] - Math.fround(scores.base[at]));
    });
  }
}

/** Runs a layer of a job with everything prepared. */
async function runLayer(
  context: StepContext,
  { columns: { labels } }: SweepStep,
  job: SweepJob,
  layer: number,
  prepared: readonly Prepared[],
): Promise<Omit<SweepCellResult, 'forwardPasses'>> {
  const columns = labels.length;
  const numbers = new ByAnswer(job, columns);
  const total = columns * prepared.length;
  let done = 0;
  const report = (finished: number) => {
    done += finished;
    context.onProgress?.({ done: Math.min(done, total), total, label: `L${layer}` });
  };
  try {
    for (const one of prepared) {
      numbers.takeScores(one);
      const { items } = one.part;
      const state = new GridState(context.model.config.nLayers, columns, items.length * items[0].targets.length);
      const places = Array.from({ length: columns }, (_, column) => ({ row: layer, column }));
      await one.sweep.run(
        places,
        state,
        (value) => value,
        (cells) => report(cells.length),
      );
      for (const place of places) numbers.takeEffects(one, place.column, state.cell(place).byItem);
    }
  } finally {
    for (const { sweep } of prepared) await sweep.stack.release();
  }
  const { base, source, effects } = numbers;
  return { base, ...(job.corruption !== null && { source }), effects };
}

/**
 * Runs a layer of a job: every column, on all of its rows. What it shares with other layers (the unchanged runs) is kept for
 * the next cell. Where memory ends, it goes on with smaller groups of prompts.
 * @throws MechanistError as `runGrid`
 */
export async function runSweep(context: StepContext, step: SweepStep, cell: StepCell): Promise<CellResult> {
  const job = step.jobs.find((own) => step.layers.some((layer) => layerCell(layer, own) === cell.id));
  const layer = step.layers.find((own) => job !== undefined && layerCell(own, job) === cell.id);
  if (job === undefined || layer === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const counted = countedPasses(context);
  let room: Room = { memoryBytes: context.memoryBytes };
  for (;;) {
    const { memoryBytes, mostItems } = room;
    const make = () => prepare(context, step, job, room);
    const key = `${step.key}/${job.id}/${memoryBytes}`;
    try {
      const prepared = await (context.recent?.(key, make) ?? make());
      return { ...(await runLayer(context, step, job, layer, prepared)), forwardPasses: counted() };
    } catch (error) {
      if (!(error instanceof GroupTooLarge)) throw error;
      room = {
        memoryBytes: memoryBytes / 2,
        mostItems: Math.ceil(Math.min(error.items, mostItems ?? error.items) / 2),
      };
    }
  }
}
