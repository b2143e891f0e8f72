import type { ModelConfig } from '../models/modelConfig.ts';
import type { NormWeights } from '../models/modelWeights.ts';
import type { WeightFiles } from './weightFiles.ts';

/** The final LayerNorm or RMSNorm (or one of a block, by itself), in float64: a few rows at a time, so a graph would gain nothing. */
export class FinalNorm {
  private constructor(
    private readonly norm: ModelConfig['norm'],
    readonly gain: Float32Array,
    /** Null for RMSNorm. */
    readonly bias: Float32Array | null,
  ) {}

  static async read(config: ModelConfig, weights: NormWeights, files: WeightFiles): Promise<FinalNorm> {
    const bias = weights.bias === null ? null : await files.tensor(weights.bias);
    return new FinalNorm(config.norm, await files.tensor(weights.gain), bias);
  }

  private get width(): number {
    return this.gain.length;
  }

  private mean(row: ArrayLike<number>): number {
    if (this.norm.kind === 'rmsnorm') return 0;
    let sum = 0;
    for (let i = 0; i < row.length; i += 1) sum += row[i];
    return sum / row.length;
  }

  /** The row less its mean; for RMSNorm the row itself. */
  centred(row: Float64Array): Float64Array {
    const mean = this.mean(row);
    return row.map((value) => value - mean);
  }

  /** One row through the norm, in float64 throughout. */
  normed(row: Float64Array): Float64Array {
    const scale = this.scale(row);
    return this.centred(row).map((value, i) => (value / scale) * this.gain[i] + (this.bias?.[i] ?? 0));
  }

  /** `ln_final.hook_scale` of one row: √(variance + eps), or √(mean square + eps) for RMSNorm. */
  scale(row: ArrayLike<number>): number {
    const mean = this.mean(row);
    let squares = 0;
    for (let i = 0; i < row.length; i += 1) squares += (row[i] - mean) ** 2;
    return Math.sqrt(squares / row.length + this.norm.eps);
  }

  /** Rows `[rows, d_model]` through the norm, each with its own scale, or all with a frozen one. */
  apply(rows: Float32Array, frozenScale?: number): Float32Array {
    return this.transform(rows, frozenScale, true);
  }

  /** The linear part of the norm at a frozen scale: what a summand of the residual stream becomes. No bias. */
  applyLinear(rows: Float32Array, frozenScale: number): Float32Array {
    return this.transform(rows, frozenScale, false);
  }

  /** `ln_final.hook_normalized` as TransformerLens has it: before the gain for RMSNorm, after gain and bias otherwise. */
  hookNormalized(rows: Float32Array): Float32Array {
    if (this.norm.kind === 'layernorm') return this.apply(rows);
    const result = new Float32Array(rows.length);
    for (let at = 0; at < rows.length; at += this.width) {
      const scale = this.scale(rows.subarray(at, at + this.width));
      for (let i = 0; i < this.width; i += 1) result[at + i] = rows[at + i] / scale;
    }
    return result;
  }

  /**
   * The direction u in the residual stream for which `u · x` is what a summand x adds to `direction · norm(stream)` at
   * the frozen scale. `[d_model]`
   */
  pullBack(direction: Float64Array, frozenScale: number): Float64Array {
    const scaled = direction.map((value, i) => (value * this.gain[i]) / frozenScale);
    const mean = this.mean(scaled);
    return scaled.map((value) => value - mean);
  }

  private transform(rows: Float32Array, frozenScale: number | undefined, withBias: boolean): Float32Array {
    const result = new Float32Array(rows.length);
    for (let at = 0; at < rows.length; at += this.width) {
      const row = rows.subarray(at, at + this.width);
      const mean = this.mean(row);
      const scale = frozenScale ?? this.scale(row);
      for (let i = 0; i < this.width; i += 1) {
        const offset = withBias ? (this.bias?.[i] ?? 0) : 0;
        result[at + i] = ((row[i] - mean) / scale) * this.gain[i] + offset;
      }
    }
    return result;
  }
}
