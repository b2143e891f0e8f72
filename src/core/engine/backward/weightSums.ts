import type { PackedArray } from '../../../shared/packedArray.ts';
import type { TensorLocation } from '../../models/modelWeights.ts';

/** Gradients of weights, summed up over the parts of a batch; each of the shape in which the weight is stored. */
export class WeightSums {
  private readonly sums = new Map<string, PackedArray>();

  /** Takes up a weight with a gradient of 0. */
  start(name: string, { shape }: TensorLocation): void {
    this.sums.set(name, { dims: shape, data: new Float32Array(shape.reduce((product, dim) => product * dim, 1)) });
  }

  has(name: string): boolean {
    return this.sums.has(name);
  }

  /** Adds `values` to the weight's gradient from entry `at` on. Does nothing for a weight that was not asked for. */
  add(name: string, values: ArrayLike<number>, at = 0, factor = 1): void {
    const data = this.sums.get(name)?.data;
    if (data === undefined) return;
    for (let i = 0; i < values.length; i += 1) data[at + i] += factor * values[i];
  }

  /** Adds `values` to every `stride`-th entry from `at` on: a column of a matrix. */
  addColumn(name: string, values: ArrayLike<number>, at: number, stride: number, factor: number): void {
    const data = this.sums.get(name)?.data;
    if (data === undefined) return;
    for (let i = 0; i < values.length; i += 1) data[at + i * stride] += factor * values[i];
  }

  get(name: string): PackedArray {
    const sum = this.sums.get(name);
    if (sum === undefined) throw new Error(`The gradient of ${name} was not asked for.`);
    return sum;
  }
}
