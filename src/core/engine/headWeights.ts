import type { LinearWeights } from '../models/modelWeights.ts';
import type { ModelRunner } from './modelRunner.ts';

/** `[rows, width]`, row-major. */
interface Matrix {
  readonly rows: number;
  readonly width: number;
  readonly data: Float32Array;
}

/** x M for rows `x` `[n, M.rows]`: `[n, M.width]`, in float64. */
function times(x: ArrayLike<number>, { rows, width, data }: Matrix): Float64Array {
  const count = x.length / rows;
  const result = new Float64Array(count * width);
  for (let n = 0; n < count; n += 1) {
    for (let i = 0; i < rows; i += 1) {
      const factor = x[n * rows + i];
      if (factor === 0) continue;
      for (let j = 0; j < width; j += 1) result[n * width + j] += factor * data[i * width + j];
    }
  }
  return result;
}

/** The value and output maps of one layer's attention, head by head. Read once from the file. */
export class HeadWeights {
  private constructor(
    private readonly runner: ModelRunner,
    private readonly layer: number,
    /** Where V is made: its weights, and their first output. */
    private readonly values: { readonly linear: LinearWeights; readonly outputOf: (keyHead: number) => number },
    private readonly valueWeights: Float32Array,
    private readonly valueBias: Float32Array | null,
    private readonly outWeights: Float32Array,
    private readonly gain: Float32Array,
    private readonly normBias: Float32Array | null,
  ) {}

  static async read(runner: ModelRunner, layer: number): Promise<HeadWeights> {
    const { files, weights, config } = runner;
    const { attention, norm1 } = weights.blocks[layer];
    const { nHeads, nKeyValueHeads, dHead } = config;
    const { qkv } = attention;
    const linear = qkv.kind === 'separate' ? qkv.v : qkv.qkv;
    const outputOf = (keyHead: number) => {
      if (qkv.kind === 'separate') return keyHead * dHead;
      return qkv.kind === 'fused' ? (nHeads + nKeyValueHeads + keyHead) * dHead : (3 * keyHead + 2) * dHead;
    };
    const optional = async (location: LinearWeights['bias']) => (location === null ? null : files.tensor(location));
    return new HeadWeights(
      runner,
      layer,
      { linear, outputOf },
      await files.tensor(linear.weight),
      await optional(linear.bias),
      await files.tensor(attention.out.weight),
      await files.tensor(norm1.gain),
      await optional(norm1.bias),
    );
  }

  private keyHeadOf(head: number): number {
    const { nHeads, nKeyValueHeads } = this.runner.config;
    return Math.floor(head / (nHeads / nKeyValueHeads));
  }

  /** W_V of a head, `[d_model, d_head]`. */
  private valueMap(head: number): Matrix {
    const { dModel, dHead } = this.runner.config;
    const { linear, outputOf } = this.values;
    const first = outputOf(this.keyHeadOf(head));
    const outputs = this.valueWeights.length / dModel;
    const data = new Float32Array(dModel * dHead);
    for (let i = 0; i < dModel; i += 1) {
      for (let e = 0; e < dHead; e += 1) {
        const at = linear.layout === 'in_out' ? i * outputs + first + e : (first + e) * dModel + i;
        data[i * dHead + e] = this.valueWeights[at];
      }
    }
    return { rows: dModel, width: dHead, data };
  }

  /** W_O of a head, `[d_head, d_model]`. */
  private outputMap(head: number): Matrix {
    const { dModel, dHead, nHeads } = this.runner.config;
    const { layout } = this.runner.weights.blocks[this.layer].attention.out;
    const data = new Float32Array(dHead * dModel);
    for (let e = 0; e < dHead; e += 1) {
      const row = head * dHead + e;
      for (let j = 0; j < dModel; j += 1) {
        data[e * dModel + j] = this.outWeights[layout === 'in_out' ? row * dModel + j : j * nHeads * dHead + row];
      }
    }
    return { rows: dHead, width: dModel, data };
  }

  /** What a head writes for its `z` `[n, d_head]`, without the output bias: `[n, d_model]`. */
  output(head: number, z: ArrayLike<number>): Float64Array {
    return times(z, this.outputMap(head));
  }

  /** W_O d for a direction d `[d_model]`: what a head's z is read by along it. `[d_head]` */
  readBy(head: number, direction: ArrayLike<number>): Float64Array {
    const { rows, width, data } = this.outputMap(head);
    const result = new Float64Array(rows);
    for (let e = 0; e < rows; e += 1)
      for (let j = 0; j < width; j += 1) result[e] += data[e * width + j] * direction[j];
    return result;
  }

  /**
   * A direction d at what a head writes, taken back to its normed input x for attention 1: d · out = vector · x + offset, the
   * offset from b_V. W_V (W_O d); two products of d_model × d_head. `[d_model]`
   */
  pullBack(head: number, direction: ArrayLike<number>): { readonly vector: Float64Array; readonly offset: number } {
    const read = this.readBy(head, direction);
    const { rows, width, data } = this.valueMap(head);
    const vector = new Float64Array(rows);
    for (let i = 0; i < rows; i += 1) for (let e = 0; e < width; e += 1) vector[i] += data[i * width + e] * read[e];
    const first = this.values.outputOf(this.keyHeadOf(head));
    const offset = read.reduce((sum, value, e) => sum + value * (this.valueBias?.[first + e] ?? 0), 0);
    return { vector, offset };
  }

  /**
   * What a head writes when it attends to residual streams `x` `[n, d_model]` alone, without any bias: the layer's norm
   * without its bias, W_V, W_O. `scaled`: with the norm's scale of each row, else with scale 1, so that it is linear in x.
   */
  circuit(head: number, x: Float32Array, scaled: boolean): Float64Array {
    const { norm, dModel } = this.runner.config;
    const normed = new Float64Array(x.length);
    for (let at = 0; at < x.length; at += dModel) {
      const row = x.subarray(at, at + dModel);
      const mean = norm.kind === 'rmsnorm' ? 0 : row.reduce((sum, value) => sum + value, 0) / dModel;
      const square = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / dModel;
      const scale = scaled ? Math.sqrt(square + norm.eps) : 1;
      for (let i = 0; i < dModel; i += 1) normed[at + i] = ((row[i] - mean) / scale) * this.gain[i];
    }
    return this.output(head, times(normed, this.valueMap(head)));
  }

  /** The part of a head's value that is the same for every token: the norm's bias through W_V, and b_V. `[d_head]` */
  constantValue(head: number): Float64Array {
    const { dModel, dHead } = this.runner.config;
    const result = times(this.normBias ?? new Float32Array(dModel), this.valueMap(head));
    const first = this.values.outputOf(this.keyHeadOf(head));
    for (let e = 0; e < dHead; e += 1) result[e] += this.valueBias?.[first + e] ?? 0;
    return result;
  }
}
