import type { ModelConfig } from '../../models/modelConfig.ts';
import type { FinalNorm } from '../finalNorm.ts';
import { allFinite, nonFiniteError } from '../nonFinite.ts';
import { applyEdits, type Part } from './applyEdits.ts';
import type { CompiledEdits } from './compiledEdits.ts';

/** The final norm's hooks after their edits, and what the unembedding reads. */
export interface EditedFinalNorm {
  /** `ln_final.hook_scale` `[rows]`. */
  readonly scale: Float32Array;
  /** `ln_final.hook_normalized` `[rows, d_model]`: before the gain for RMSNorm. */
  readonly normalized: Float32Array;
  /** `[rows, d_model]` */
  readonly output: Float32Array;
}

/**
 * The final norm of a part of the batch, `x` `[items, positions, d_model]`. What the edits leave as it was is, bit for
 * bit, what `FinalNorm.apply` gives.
 */
export function finalNormWithEdits(
  norm: FinalNorm,
  config: ModelConfig,
  edits: CompiledEdits,
  part: Part,
  x: Float32Array,
): EditedFinalNorm {
  const { dModel: width } = config;
  const centred = config.norm.kind === 'layernorm';
  const exact = Float64Array.from({ length: x.length / width }, (_, r) =>
    norm.scale(x.subarray(r * width, (r + 1) * width)),
  );
  const plain = Float32Array.from(exact);
  const scaleEdits = edits.global('ln_final.hook_scale');
  const scale = scaleEdits === undefined ? plain : applyEdits(scaleEdits, part, plain);
  const unit = new Float64Array(x.length);
  for (let r = 0; r < scale.length; r += 1) {
    const row = x.subarray(r * width, (r + 1) * width);
    const mean = centred ? row.reduce((sum, value) => sum + value, 0) / width : 0;
    // The float64 scale where it is unchanged: its float32 reading would move the last bits.
    const divisor = scale[r] === plain[r] ? exact[r] : scale[r];
    for (let i = 0; i < width; i += 1) unit[r * width + i] = (row[i] - mean) / divisor;
  }
  const gained = (value: number, i: number) => value * norm.gain[i % width] + (norm.bias?.[i % width] ?? 0);
  const before = centred ? Float32Array.from(unit, gained) : Float32Array.from(unit);
  const outputEdits = edits.global('ln_final.hook_normalized');
  const normalized = outputEdits === undefined ? before : applyEdits(outputEdits, part, before);
  const output = centred ? normalized : normalized.map((value, i) => gained(value === before[i] ? unit[i] : value, i));
  if (!allFinite(scale)) throw nonFiniteError('ln_final.hook_scale', scale, true);
  if (!allFinite(output)) throw nonFiniteError('ln_final.hook_normalized', output, true);
  return { scale, normalized, output };
}
