import type { ByAnswer } from '../../shared/circuit.ts';
import type { Estimate } from '../../shared/figures.ts';
import { quantileOfSorted, seededRandom } from '../../shared/statistics.ts';
import type { Scores } from './circuitMetric.ts';

/** Draws of rows that are kept at once, in numbers: more rows are resampled fewer times. */
const MAX_DRAWS = 8 << 20;
const LEVEL = 0.95;

/** `[row]` for each answer, then over all of a row's answers; NaN where a row has no such answer. */
export type Columns = readonly Float64Array[];

/** The columns of `[row, answer]` values. */
export function columnsOf(values: ArrayLike<number>, answers: number): Columns {
  const rows = values.length / answers;
  const columns = Array.from({ length: answers + 1 }, () => new Float64Array(rows));
  for (let row = 0; row < rows; row += 1) {
    let [sum, count] = [0, 0];
    for (let answer = 0; answer < answers; answer += 1) {
      const value = values[row * answers + answer];
      columns[answer][row] = value;
      if (Number.isNaN(value)) continue;
      sum += value;
      count += 1;
    }
    columns[answers][row] = count === 0 ? Number.NaN : sum / count;
  }
  return columns;
}

/** Where the answer was first, as columns of 0 and 1. */
export function correctColumns({ values, correct }: Scores, answers: number): Columns {
  return columnsOf(
    Float64Array.from(values, (value, i) => (Number.isNaN(value) ? Number.NaN : correct[i])),
    answers,
  );
}

function meanOf(column: Float64Array): number {
  let [sum, count] = [0, 0];
  for (const value of column) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return sum / count;
}

/** Mean for each answer, then overall. */
export function means(columns: Columns): number[] {
  return columns.map(meanOf);
}

/**
 * Bootstrap over the rows of a dataset (percentile intervals, Efron 1979; 2,000 resamples, fewer over 4,000 rows). All
 * estimates use the same resamples, so that ratios and differences of one resample are of the same rows.
 */
export class RowBootstrap {
  private readonly draws: Uint32Array;
  private readonly resamples: number;

  constructor(
    private readonly rows: number,
    seed: number,
  ) {
    this.resamples = Math.max(200, Math.min(2000, Math.floor(MAX_DRAWS / rows)));
    const random = seededRandom(seed);
    this.draws = Uint32Array.from({ length: rows < 2 ? 0 : this.resamples * rows }, () => random.below(rows));
  }

  /** Mean of a column in each resample; NaN where it drew no row that has a value. */
  private resampled(column: Float64Array): Float64Array {
    const result = new Float64Array(this.draws.length / this.rows);
    for (let r = 0; r < result.length; r += 1) {
      let [sum, count] = [0, 0];
      const end = (r + 1) * this.rows;
      for (let i = r * this.rows; i < end; i += 1) {
        const value = column[this.draws[i]];
        if (Number.isNaN(value)) continue;
        sum += value;
        count += 1;
      }
      result[r] = sum / count;
    }
    return result;
  }

  private interval(values: Float64Array): Estimate['interval'] {
    const sorted = values.filter(Number.isFinite).sort();
    if (sorted.length < 2) return null;
    return [quantileOfSorted(sorted, (1 - LEVEL) / 2), quantileOfSorted(sorted, (1 + LEVEL) / 2)];
  }

  private estimate(column: Float64Array): Estimate {
    const mean = meanOf(column);
    const present = column.filter((value) => !Number.isNaN(value));
    const n = present.length;
    const squares = present.reduce((sum, value) => sum + (value - mean) ** 2, 0);
    const sd = n < 2 ? null : Math.sqrt(squares / (n - 1));
    return { mean, n, sd, interval: n < 2 ? null : this.interval(this.resampled(column)) };
  }

  /** Mean, spread and interval of each column. */
  means(columns: Columns): ByAnswer {
    return byAnswer(columns.map((column) => this.estimate(column)));
  }

  /** (mean part − mean zero) / (mean whole − mean zero), a ratio of means; it has no spread over rows of its own. */
  ratios(part: Columns, zero: Columns, whole: Columns): ByAnswer {
    return byAnswer(
      part.map((column, i) => {
        // + 0: a sum of nothing is 0, not −0.
        const ratio = (a: number, b: number, c: number) => (a - b) / (c - b) + 0;
        const n = column.filter((value) => !Number.isNaN(value)).length;
        const mean = ratio(meanOf(column), meanOf(zero[i]), meanOf(whole[i]));
        if (n < 2) return { mean, n, sd: null, interval: null };
        const [a, b, c] = [column, zero[i], whole[i]].map((one) => this.resampled(one));
        return { mean, n, sd: null, interval: this.interval(a.map((value, r) => ratio(value, b[r], c[r]))) };
      }),
    );
  }
}

function byAnswer(estimates: readonly Estimate[]): ByAnswer {
  return { answers: estimates.slice(0, -1), overall: estimates[estimates.length - 1] };
}
