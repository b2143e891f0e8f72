import type { AnswerTarget, ItemMetric, MetricSpec } from '../../shared/metric.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import {
  columnReader,
  type LogitsRow,
  metricOfColumns,
  metricOfItem,
  needsReference,
  needsWholeRow,
} from '../tasks/metrics.ts';
import { dotAt } from './analysisContext.ts';

/** Rows of logits held at once by metrics that need the whole vocabulary. */
const ROWS_AT_ONCE = 64;

/** Final residual streams at the answers of one item. */
export interface AnswerRows {
  /** Which item of the sweep. */
  readonly item: number;
  /** `[answers of the item's group, d_model]` */
  readonly rows: Float32Array;
}

interface Column {
  readonly direction: Float64Array;
  readonly bias: number;
}

/** One number a run, the mean over its answers; or one for each answer, which every item must then have as many of. */
type MetricOutput = 'mean' | 'each answer';

interface MetricOptions {
  /** Default: the mean. */
  readonly output?: MetricOutput;
  /** How much the clean runs' logits may hold. */
  readonly referenceBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Scores final residual streams. A logit difference costs two dot products a run; other metrics need every column of the
 * unembedding. Not normalised.
 */
export class GridMetric {
  /** Unembedding columns that some target reads. */
  private readonly columns = new Map<number, Column>();
  /** For `kl`: the clean run's final residual stream, `[answers, d_model]` by item. */
  private readonly references = new Map<number, Float32Array>();
  /** Their logits `[answers, d_vocab]`, of the items that were used last. */
  private readonly referenceLogits = new Map<number, Float32Array>();

  private constructor(
    private readonly runner: ModelRunner,
    private readonly spec: MetricSpec,
    private readonly targets: readonly (readonly AnswerTarget[])[],
    private readonly options: MetricOptions,
  ) {}

  /** Numbers of a run. */
  get width(): number {
    return this.options.output === 'each answer' ? this.targets[0].length : 1;
  }

  static async create(
    runner: ModelRunner,
    spec: MetricSpec,
    targets: readonly (readonly AnswerTarget[])[],
    options: MetricOptions,
  ): Promise<GridMetric> {
    const metric = new GridMetric(runner, spec, targets, options);
    if (!needsWholeRow(spec)) {
      const ids = new Set(targets.flat().flatMap(({ answer, foils }) => [answer, ...foils]));
      await metric.readColumns([...ids]);
    }
    return metric;
  }

  private async readColumns(ids: readonly number[]): Promise<void> {
    for (const id of ids) this.columns.set(id, await this.runner.unembedding.direction([{ id, weight: 1 }]));
  }

  /** Remembers the clean runs, which `kl` compares with. Nothing to do for other metrics. */
  remember(runs: readonly AnswerRows[]): void {
    if (!needsReference(this.spec)) return;
    for (const { item, rows } of runs) this.references.set(item, rows);
  }

  /** Reads the clean runs' logits at the answers of some items, where the metric compares with them. */
  async referencesOf(
    items: readonly number[],
    positions: readonly number[],
  ): Promise<(item: number, position: number) => LogitsRow | undefined> {
    const { dVocab } = this.runner.config;
    const known = new Map<number, Float32Array | undefined>();
    for (const item of items) known.set(item, await this.reference(item));
    return (item, position) => {
      const at = positions.indexOf(position) * dVocab;
      return known.get(item)?.subarray(at, at + dVocab);
    };
  }

  /** The clean run's logits at an item's answers, made anew when they have been forgotten. */
  private async reference(item: number): Promise<Float32Array | undefined> {
    const rows = this.references.get(item);
    if (rows === undefined) return undefined;
    const logits = this.referenceLogits.get(item) ?? (await this.logits(rows));
    // Re-inserting keeps the map in order of last use.
    this.referenceLogits.delete(item);
    this.referenceLogits.set(item, logits);
    const kept = Math.max(1, Math.floor(this.options.referenceBytes / logits.byteLength));
    for (const old of this.referenceLogits.keys()) {
      if (this.referenceLogits.size <= kept) break;
      this.referenceLogits.delete(old);
    }
    return logits;
  }

  /** The metric of each run, `[runs][width]`. `positions`: what the rows of a run stand for. */
  async scores(runs: readonly AnswerRows[], positions: readonly number[]): Promise<number[]> {
    if (!needsWholeRow(this.spec)) return runs.flatMap((run) => this.scoreByColumns(run, positions));
    const result: number[] = [];
    const step = Math.max(1, Math.floor(ROWS_AT_ONCE / positions.length));
    for (let first = 0; first < runs.length; first += step) {
      const some = runs.slice(first, first + step);
      const width = positions.length * this.runner.config.dModel;
      const rows = new Float32Array(some.length * width);
      some.forEach((run, i) => {
        rows.set(run.rows, i * width);
      });
      const logits = await this.logits(rows);
      const size = logits.length / some.length;
      for (const [i, { item }] of some.entries()) {
        const own = logits.subarray(i * size, (i + 1) * size);
        result.push(...this.scoreByRows(item, own, positions, await this.reference(item)));
      }
    }
    return result;
  }

  private async logits(rows: Float32Array): Promise<Float32Array> {
    const { finalNorm, unembedding } = this.runner;
    return (await unembedding.logits(finalNorm.apply(rows), undefined, this.options.signal)).data;
  }

  private numbers({ value, byAnswer }: ItemMetric): readonly number[] {
    return this.options.output === 'each answer' ? byAnswer : [value];
  }

  private scoreByColumns({ item, rows }: AnswerRows, positions: readonly number[]): readonly number[] {
    const { dModel } = this.runner.config;
    const normed = this.runner.finalNorm.apply(rows);
    const logitAt = (position: number) => {
      const offset = positions.indexOf(position) * dModel;
      return (id: number) => {
        const column = this.columns.get(id);
        if (column === undefined) return columnReader([], [])(id);
        return dotAt(normed, offset, column.direction, dModel) + column.bias;
      };
    };
    return this.numbers(metricOfColumns(this.spec, logitAt, this.targets[item]));
  }

  private scoreByRows(
    item: number,
    logits: Float32Array,
    positions: readonly number[],
    reference: Float32Array | undefined,
  ): readonly number[] {
    const { dVocab } = this.runner.config;
    const rowOf = (all: Float32Array) => (position: number) => {
      const at = positions.indexOf(position);
      return all.subarray(at * dVocab, (at + 1) * dVocab) as LogitsRow;
    };
    return this.numbers(metricOfItem(this.spec, rowOf(logits), this.targets[item], reference && rowOf(reference)));
  }
}
