import type { WeightFiles } from '../engine/weightFiles.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { dot } from './vectors.ts';

/** y = x W + b on single rows, in float64; and the same map backwards. */
export class LinearMap {
  private constructor(
    private readonly weight: Float32Array,
    private readonly layout: LinearWeights['layout'],
    readonly bias: Float32Array | null,
  ) {}

  /** @param buffer memory for the matrix, where one is given that is large enough */
  static async read(
    files: WeightFiles,
    { weight, layout, bias }: LinearWeights,
    buffer?: Float32Array,
  ): Promise<LinearMap> {
    const values = await files.tensor(weight, buffer);
    return new LinearMap(values, layout, bias === null ? null : await files.tensor(bias));
  }

  /** x W + b `[outputs]` */
  forward(x: Float64Array): Float64Array {
    const product = this.layout === 'in_out' ? this.sumOfRows(x) : this.rowsAlong(x);
    return this.bias === null ? product : product.map((value, i) => value + (this.bias?.[i] ?? 0));
  }

  /** W y `[inputs]`: the direction whose product with x is y · (x W). */
  back(y: Float64Array): Float64Array {
    return this.layout === 'in_out' ? this.rowsAlong(y) : this.sumOfRows(y);
  }

  private row(index: number, width: number): Float32Array {
    return this.weight.subarray(index * width, (index + 1) * width);
  }

  /** Each stored row · v. */
  private rowsAlong(v: Float64Array): Float64Array {
    const result = new Float64Array(this.weight.length / v.length);
    for (let row = 0; row < result.length; row += 1) result[row] = dot(v, this.row(row, v.length));
    return result;
  }

  /** Σ v[row] × stored row. */
  private sumOfRows(v: Float64Array): Float64Array {
    const width = this.weight.length / v.length;
    const result = new Float64Array(width);
    for (let row = 0; row < v.length; row += 1) {
      const factor = v[row];
      const stored = this.row(row, width);
      for (let i = 0; i < width; i += 1) result[i] += factor * stored[i];
    }
    return result;
  }
}
