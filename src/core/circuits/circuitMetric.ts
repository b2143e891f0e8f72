import type { AnswerTarget, MetricSpec } from '../../shared/metric.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import { dotAt } from '../analyses/analysisContext.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import {
  columnReader,
  type LogitOf,
  type LogitsRow,
  metricOfColumns,
  metricOfRow,
  needsReference,
  needsWholeRow,
  rowReader,
} from '../tasks/metrics.ts';

/** Rows of logits held at once by metrics that need the whole vocabulary. */
const ROWS_AT_ONCE = 64;

/** What a circuit scores on every row and answer of the data. */
export interface Scores {
  /** `[row, answer]`: the metric; NaN where a row has no such answer. */
  readonly values: Float64Array;
  /** `[row, answer]`: 1 where the answer beats every foil (or, without foils, the whole vocabulary). */
  readonly correct: Uint8Array;
}

export function emptyScores(rows: number, answers: number): Scores {
  return {
    values: new Float64Array(rows * answers).fill(Number.NaN),
    correct: new Uint8Array(rows * answers),
  };
}

/** An answer to score, and the final residual stream where it is predicted. */
interface Asked {
  /** Index into `Scores`. */
  readonly at: number;
  readonly target: AnswerTarget;
  /** After the final norm, `[d_model]`. */
  readonly normed: Float32Array;
}

/** Scores final residual streams on the answers of a dataset: a logit difference by a few dot products, others by whole rows. */
export class CircuitMetric {
  private readonly columns = new Map<number, { readonly direction: Float64Array; readonly bias: number }>();
  /** Clean logits by index into `Scores`, for `kl`. */
  private readonly references = new Map<number, Float32Array>();

  private constructor(
    private readonly runner: ModelRunner,
    readonly spec: MetricSpec,
    private readonly task: TaskSet,
  ) {}

  static async create(runner: ModelRunner, spec: MetricSpec, task: TaskSet): Promise<CircuitMetric> {
    const metric = new CircuitMetric(runner, spec, task);
    if (!needsWholeRow(spec)) {
      const ids = task.items.flatMap((item) =>
        item.answers.flatMap(({ answer, also = [], foils }) => [answer, ...also, ...foils]),
      );
      for (const id of new Set(ids)) {
        metric.columns.set(id, await runner.unembedding.direction([{ id, weight: 1 }]));
      }
    }
    return metric;
  }

  get needsReference(): boolean {
    return needsReference(this.spec);
  }

  private asked(items: readonly number[], rows: Float32Array, positions: readonly number[]): Asked[] {
    const { dModel } = this.runner.config;
    const { answerNames } = this.task;
    const normed = this.runner.finalNorm.apply(rows);
    return items.flatMap((item, i) =>
      this.task.items[item].answers.map((target) => {
        const row = (i * positions.length + positions.indexOf(target.position)) * dModel;
        const at = item * answerNames.length + answerNames.indexOf(target.name);
        return { at, target, normed: normed.subarray(row, row + dModel) };
      }),
    );
  }

  /** Remembers the clean run's logits at the answers, which `kl` compares with. Arguments as `score`. */
  async remember(items: readonly number[], rows: Float32Array, positions: readonly number[]): Promise<void> {
    if (!this.needsReference) return;
    await this.eachRow(this.asked(items, rows, positions), ({ at }, row) => {
      this.references.set(at, Float32Array.from(row));
    });
  }

  /**
   * Scores some items of the data into `scores`.
   * @param rows final residual streams `[items, positions, d_model]`
   * @param positions what the rows of an item stand for: every answer's position is among them
   */
  async score(
    items: readonly number[],
    rows: Float32Array,
    positions: readonly number[],
    scores: Scores,
    signal?: AbortSignal,
  ): Promise<void> {
    const asked = this.asked(items, rows, positions);
    if (!needsWholeRow(this.spec)) {
      for (const one of asked) this.scoreByColumns(one, scores);
      return;
    }
    await this.eachRow(
      asked,
      ({ at, target }, row) => {
        scores.values[at] = metricOfRow(this.spec, row, target, this.references.get(at));
        scores.correct[at] = wins(rowReader(row), target, row) ? 1 : 0;
      },
      signal,
    );
  }

  private scoreByColumns({ at, target, normed }: Asked, scores: Scores): void {
    const ids = [target.answer, ...(target.also ?? []), ...target.foils];
    const logits = ids.map((id) => {
      const column = this.columns.get(id);
      if (column === undefined) throw new Error(`Column ${id} of the unembedding was not read.`);
      return dotAt(normed, 0, column.direction, normed.length) + column.bias;
    });
    const logitOf = columnReader(ids, logits);
    scores.values[at] = metricOfColumns(this.spec, () => logitOf, [target]).value;
    scores.correct[at] = wins(logitOf, target, null) ? 1 : 0;
  }

  private async eachRow(
    asked: readonly Asked[],
    use: (one: Asked, row: LogitsRow) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const { dModel, dVocab } = this.runner.config;
    for (let first = 0; first < asked.length; first += ROWS_AT_ONCE) {
      const some = asked.slice(first, first + ROWS_AT_ONCE);
      const normed = new Float32Array(some.length * dModel);
      some.forEach((one, i) => {
        normed.set(one.normed, i * dModel);
      });
      const { data } = await this.runner.unembedding.logits(normed, undefined, signal);
      some.forEach((one, i) => {
        use(one, data.subarray(i * dVocab, (i + 1) * dVocab));
      });
    }
  }
}

/** Whether the answer (or another right one) comes first. */
function wins(logitOf: LogitOf, { answer, also = [], foils }: AnswerTarget, row: LogitsRow | null): boolean {
  const own = Math.max(logitOf(answer), ...also.map(logitOf));
  if (foils.length > 0 || row === null) return foils.every((id) => own > logitOf(id));
  const right = [answer, ...also];
  for (let id = 0; id < row.length; id += 1) if (!right.includes(id) && row[id] >= own) return false;
  return true;
}
