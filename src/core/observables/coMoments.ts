import { dot } from './vectors.ts';

/** As a cell of an experiment keeps it. */
export interface CoMomentsJson {
  readonly count: number;
  readonly rowMeans: readonly number[];
  readonly columnMeans: readonly number[];
  readonly rowSquares: readonly number[];
  readonly columnSquares: readonly number[];
  /** `[row · columns + column]` */
  readonly products: readonly number[];
}

function meansOf(values: ArrayLike<number>, width: number, count: number): Float64Array {
  const means = new Float64Array(width);
  for (let i = 0; i < count; i += 1) for (let c = 0; c < width; c += 1) means[c] += values[i * width + c];
  return means.map((sum) => sum / count);
}

/** Deviations from the means, `[width][count]`: a column in a row, so that products run along memory. */
function deviations(values: ArrayLike<number>, means: Float64Array, count: number): readonly Float64Array[] {
  const width = means.length;
  return Array.from(means, (mean, c) => Float64Array.from({ length: count }, (_, i) => values[i * width + c] - mean));
}

/**
 * Means, squares and products of deviations of two families of numbers, over a stream, in float64. Batches are centred by
 * themselves and joined by the update of Chan, Golub and LeVeque (1979), so that no digits are lost to large means.
 */
export class CoMoments {
  private n = 0;
  private readonly rowMeans: Float64Array;
  private readonly columnMeans: Float64Array;
  private readonly rowSquares: Float64Array;
  private readonly columnSquares: Float64Array;
  private readonly products: Float64Array;

  constructor(
    readonly rows: number,
    readonly columns: number,
  ) {
    this.rowMeans = new Float64Array(rows);
    this.columnMeans = new Float64Array(columns);
    this.rowSquares = new Float64Array(rows);
    this.columnSquares = new Float64Array(columns);
    this.products = new Float64Array(rows * columns);
  }

  get count(): number {
    return this.n;
  }

  meanOfRow(row: number): number {
    return this.rowMeans[row];
  }

  /** Σ (x − mean x)² */
  squaresOfRow(row: number): number {
    return this.rowSquares[row];
  }

  squaresOfColumn(column: number): number {
    return this.columnSquares[column];
  }

  /** Σ (x − mean x)(y − mean y) */
  product(row: number, column: number): number {
    return this.products[row * this.columns + column];
  }

  /** @param x `[count, rows]` @param y `[count, columns]` */
  add(x: ArrayLike<number>, y: ArrayLike<number>, count: number): void {
    if (count === 0) return;
    const [rowMeans, columnMeans] = [meansOf(x, this.rows, count), meansOf(y, this.columns, count)];
    const [a, b] = [deviations(x, rowMeans, count), deviations(y, columnMeans, count)];
    this.join({
      count,
      rowMeans,
      columnMeans,
      rowSquares: a.map((own) => dot(own, own)),
      columnSquares: b.map((own) => dot(own, own)),
      products: a.flatMap((own) => b.map((other) => dot(own, other))),
    });
  }

  /** Adds what another stream has gathered. */
  join(
    other: Readonly<Record<keyof Omit<CoMomentsJson, 'count'>, ArrayLike<number>>> & { readonly count: number },
  ): void {
    if (other.count === 0) return;
    const total = this.n + other.count;
    const weight = (this.n * other.count) / total;
    const rowDelta = this.rowMeans.map((mean, r) => other.rowMeans[r] - mean);
    const columnDelta = this.columnMeans.map((mean, c) => other.columnMeans[c] - mean);
    for (let r = 0; r < this.rows; r += 1) {
      this.rowSquares[r] += other.rowSquares[r] + weight * rowDelta[r] ** 2;
      this.rowMeans[r] += (rowDelta[r] * other.count) / total;
      for (let c = 0; c < this.columns; c += 1) {
        const at = r * this.columns + c;
        this.products[at] += other.products[at] + weight * rowDelta[r] * columnDelta[c];
      }
    }
    for (let c = 0; c < this.columns; c += 1) {
      this.columnSquares[c] += other.columnSquares[c] + weight * columnDelta[c] ** 2;
      this.columnMeans[c] += (columnDelta[c] * other.count) / total;
    }
    this.n = total;
  }

  toJson(): CoMomentsJson {
    const { n, rowMeans, columnMeans, rowSquares, columnSquares, products } = this;
    return {
      count: n,
      rowMeans: [...rowMeans],
      columnMeans: [...columnMeans],
      rowSquares: [...rowSquares],
      columnSquares: [...columnSquares],
      products: [...products],
    };
  }

  /** Joins parts of a stream in their order; empty for none. */
  static joined(rows: number, columns: number, parts: Iterable<CoMomentsJson>): CoMoments {
    const all = new CoMoments(rows, columns);
    for (const part of parts) all.join(part);
    return all;
  }
}
