import { Matrix, SVD, solve } from 'ml-matrix';

/** Activations with what is known of each. */
export interface ProbeSample {
  /** `[rows][d_model]` */
  readonly x: readonly Float64Array[];
  /** The observable, logits. */
  readonly y: readonly number[];
  /** Clean side of its pair. */
  readonly positive: readonly boolean[];
}

export const probeMethods = ['linear regression', 'logistic regression', 'mean difference'] as const;
export type ProbeMethod = (typeof probeMethods)[number];

/** Singular values below this share of the largest are taken for 0: activations are float32. */
const TOLERANCE = 1e-7;

/** Centred rows as left × singular values × right, without what is numerically 0. */
interface Factors {
  /** Rows in the space that they span, `[rows][rank]`. */
  readonly inner: Matrix;
  /** `[d_model][rank]`, orthonormal. */
  readonly right: Matrix;
  readonly singular: readonly number[];
}

function meanRow(rows: readonly Float64Array[]): Float64Array {
  const mean = new Float64Array(rows[0].length);
  for (const row of rows) for (let i = 0; i < mean.length; i += 1) mean[i] += row[i] / rows.length;
  return mean;
}

function factorsOf(rows: readonly Float64Array[]): Factors {
  const mean = meanRow(rows);
  const centred = new Matrix(rows.map((row) => row.map((value, i) => value - mean[i])));
  const svd = new SVD(centred, { autoTranspose: true });
  const rank = svd.diagonal.filter((value) => value > TOLERANCE * svd.diagonal[0]).length;
  const columns = Array.from({ length: rank }, (_, i) => i);
  const right = svd.rightSingularVectors.subMatrixColumn(columns);
  return { inner: centred.mmul(right), right, singular: columns.map((i) => svd.diagonal[i]) };
}

const backToStream = ({ right }: Factors, inner: readonly number[]) =>
  Float64Array.from(right.mmul(Matrix.columnVector([...inner])).to1DArray());

/** Least squares with an intercept; of the many solutions with fewer rows than dimensions the shortest (Moore and Penrose). */
function linearDirection(factors: Factors, { y }: ProbeSample): Float64Array {
  const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
  const product = factors.inner
    .transpose()
    .mmul(Matrix.columnVector(y.map((value) => value - mean)))
    .to1DArray();
  return backToStream(
    factors,
    product.map((value, i) => value / factors.singular[i] ** 2),
  );
}

const logistic = (t: number) => 1 / (1 + Math.exp(-t));
/** log(1 + eᵗ) without overflow. */
const softplus = (t: number) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

/** Σ log(1 + exp(−± (z · v + b))) + |v|² / 2, the loss of scikit-learn's LogisticRegression at C = 1. */
function logisticLoss(z: Matrix, positive: readonly boolean[], v: readonly number[]): number {
  const rank = v.length - 1;
  let loss = 0;
  for (let i = 0; i < rank; i += 1) loss += v[i] ** 2 / 2;
  positive.forEach((own, row) => {
    let t = v[rank];
    for (let i = 0; i < rank; i += 1) t += z.get(row, i) * v[i];
    loss += softplus(own ? -t : t);
  });
  return loss;
}

/** One step of Newton's method: what is to be subtracted. */
function newtonStep(z: Matrix, positive: readonly boolean[], v: readonly number[]): readonly number[] {
  const size = v.length;
  const rank = size - 1;
  const gradient = v.map((value, i) => (i < rank ? value : 0));
  const hessian = Matrix.zeros(size, size);
  for (let i = 0; i < rank; i += 1) hessian.set(i, i, 1);
  const row = new Array<number>(size).fill(1);
  for (let r = 0; r < z.rows; r += 1) {
    for (let i = 0; i < rank; i += 1) row[i] = z.get(r, i);
    const p = logistic(row.reduce((sum, value, i) => sum + value * v[i], 0));
    const weight = Math.max(p * (1 - p), 1e-12);
    for (let i = 0; i < size; i += 1) {
      gradient[i] += (p - (positive[r] ? 1 : 0)) * row[i];
      for (let j = 0; j < size; j += 1) hessian.set(i, j, hessian.get(i, j) + weight * row[i] * row[j]);
    }
  }
  return solve(hessian, Matrix.columnVector(gradient)).to1DArray();
}

const MOST_STEPS = 50;

/**
 * Logistic regression with an L2 penalty (C = 1, intercept free), by Newton's method with halved steps in the space that the rows span:
 * the optimum lies in it. Rows are scaled as a whole, to the mean squared length of standardised ones.
 */
function logisticDirection(factors: Factors, { positive }: ProbeSample): Float64Array {
  const { inner, right, singular } = factors;
  const meanSquare = singular.reduce((sum, value) => sum + value ** 2, 0) / inner.rows;
  const scale = Math.sqrt(right.rows / meanSquare);
  const z = Matrix.mul(inner, scale);
  let v: readonly number[] = new Array<number>(z.columns + 1).fill(0);
  let loss = logisticLoss(z, positive, v);
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const change = newtonStep(z, positive, v);
    let share = 1;
    let next = v;
    let lower = loss;
    for (; share > 1e-6; share /= 2) {
      next = v.map((value, i) => value - share * change[i]);
      lower = logisticLoss(z, positive, next);
      if (lower <= loss) break;
    }
    const gain = loss - lower;
    if (gain >= 0) [v, loss] = [next, lower];
    if (!(gain > 1e-12 * (1 + loss))) break;
  }
  return backToStream(
    factors,
    v.slice(0, -1).map((value) => value * scale),
  );
}

function meanDifference({ x, positive }: ProbeSample): Float64Array {
  const sides = [true, false].map((side) => meanRow(x.filter((_, i) => positive[i] === side)));
  return sides[0].map((value, i) => value - sides[1][i]);
}

/**
 * Directions that labelled prompts give, `[d_model]` each; a sample needs both sides. Linear regression learns the observable's value,
 * the others the side. Singular values: `ml-matrix`; time of a sample of n rows: n² d_model.
 */
export function fitProbes(sample: ProbeSample): Readonly<Record<ProbeMethod, Float64Array>> {
  const factors = factorsOf(sample.x);
  return {
    'linear regression': linearDirection(factors, sample),
    'logistic regression': logisticDirection(factors, sample),
    'mean difference': meanDifference(sample),
  };
}
