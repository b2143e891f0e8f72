import type { AnswerTarget, MetricSpec } from '../../shared/metric.ts';
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

/**
 * Scores final residual streams. A logit difference costs two dot products a run; other metrics need every column of the
 * unembedding. Not normalised.
 */
export class GridMetric {
  /** Unembedding columns that some target reads. */
  private readonly columns = new Map<number, Column>();
  /** For `kl`: the clean run's logits, `[answers, d_vocab]` by item. */
  private readonly references = new Map<number, Float32Array>();

  private constructor(
    private readonly runner: ModelRunner,
    private readonly spec: MetricSpec,
    private readonly targets: readonly (readonly AnswerTarget[])[],
    private readonly signal: AbortSignal | undefined,
  ) {}

  static async create(
    runner: ModelRunner,
    spec: MetricSpec,
    targets: readonly (readonly AnswerTarget[])[],
    signal?: AbortSignal,
  ): Promise<GridMetric> {
    const metric = new GridMetric(runner, spec, targets, signal);
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
  async remember(runs: readonly AnswerRows[]): Promise<void> {
    if (!needsReference(this.spec)) return;
    for (const { item, rows } of runs) this.references.set(item, await this.logits(rows));
  }

  /** The clean run's logits at an answer of an item, where the metric compares with them. */
  referenceAt(item: number, position: number, positions: readonly number[]): LogitsRow | undefined {
    const { dVocab } = this.runner.config;
    const at = positions.indexOf(position) * dVocab;
    return this.references.get(item)?.subarray(at, at + dVocab);
  }

  /** The metric of each run. `positions`: what the rows of a run stand for. */
  async scores(runs: readonly AnswerRows[], positions: readonly number[]): Promise<number[]> {
    if (!needsWholeRow(this.spec)) return runs.map((run) => this.scoreByColumns(run, positions));
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
      some.forEach((run, i) => {
        result.push(this.scoreByRows(run.item, logits.subarray(i * size, (i + 1) * size), positions));
      });
    }
    return result;
  }

  private async logits(rows: Float32Array): Promise<Float32Array> {
    const { finalNorm, unembedding } = this.runner;
    return (await unembedding.logits(finalNorm.apply(rows), undefined, this.signal)).data;
  }

  private scoreByColumns({ item, rows }: AnswerRows, positions: readonly number[]): number {
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
    return metricOfColumns(this.spec, logitAt, this.targets[item]).value;
  }

  private scoreByRows(item: number, logits: Float32Array, positions: readonly number[]): number {
    const { dVocab } = this.runner.config;
    const rowOf = (all: Float32Array) => (position: number) => {
      const at = positions.indexOf(position);
      return all.subarray(at * dVocab, (at + 1) * dVocab) as LogitsRow;
    };
    const reference = this.references.get(item);
    return metricOfItem(this.spec, rowOf(logits), this.targets[item], reference && rowOf(reference)).value;
  }
}
