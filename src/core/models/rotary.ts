import type { RotaryPositions } from './modelConfig.ts';

/** Settings of a rotary embedding, as `rope_scaling` / `rope_parameters` of a config or GGUF keys give them. */
export interface RotarySettings {
  /** `default`, `linear`, `dynamic`, `llama3`, `yarn`. */
  readonly type: string;
  readonly theta: number;
  /** Rotated dimensions of a head, even. */
  readonly dims: number;
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  /** Context length before scaling. */
  readonly originalContext: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Yarn's factor on cos and sin where the config names it. */
  readonly attentionFactor: number | null;
  readonly mscale: number | null;
  readonly mscaleAllDim: number | null;
  /** Yarn: whether the correction range is rounded to whole dimensions. */
  readonly truncate: boolean;
}

/** Scaling types that `rotaryPositions` computes. */
export const rotaryTypes: readonly string[] = ['default', 'linear', 'dynamic', 'llama3', 'yarn'];

/**
 * Inverse frequencies `[dims / 2]` in radians per position, scaled as HF transformers 5 scales them
 * (`modeling_rope_utils.py`). `dynamic` equals `default` up to the trained context, which is as far as a run may go here.
 */
export function rotaryPositions(settings: RotarySettings): RotaryPositions {
  const plain = Array.from({ length: settings.dims / 2 }, (_, i) => 1 / settings.theta ** ((2 * i) / settings.dims));
  let inverseFrequencies = plain;
  let attentionFactor = 1;
  if (settings.type === 'linear') inverseFrequencies = plain.map((frequency) => frequency / settings.factor);
  if (settings.type === 'llama3') inverseFrequencies = plain.map((frequency) => llama3(frequency, settings));
  if (settings.type === 'yarn') {
    inverseFrequencies = yarn(plain, settings);
    attentionFactor = settings.attentionFactor ?? yarnAttentionFactor(settings);
  }
  return { kind: 'rotary', rotaryDims: settings.dims, inverseFrequencies, attentionFactor, pairing: 'half' };
}

/** Low frequencies are divided by the factor, high ones kept, those between are blended (Llama 3.1). */
function llama3(frequency: number, settings: RotarySettings): number {
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = settings;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < originalContext / highFreqFactor) return frequency;
  if (wavelength > originalContext / lowFreqFactor) return frequency / factor;
  const smooth = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** YaRN (Peng et al. 2023), equations 17–23: a ramp over dimensions blends interpolation with extrapolation. */
function yarn(plain: readonly number[], settings: RotarySettings): number[] {
  const { dims, theta, originalContext, betaFast, betaSlow, factor, truncate } = settings;
  const dimensionOf = (rotations: number) =>
    (dims * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
  const low = Math.max(truncate ? Math.floor(dimensionOf(betaFast)) : dimensionOf(betaFast), 0);
  const highest = truncate ? Math.ceil(dimensionOf(betaSlow)) : dimensionOf(betaSlow);
  let high = Math.min(highest, dims - 1);
  if (low === high) high += 0.001;
  return plain.map((frequency, i) => {
    const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1);
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}

function yarnAttentionFactor({ factor, mscale, mscaleAllDim }: RotarySettings): number {
  const scaled = (by: number) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? scaled(mscale) / scaled(mscaleAllDim) : scaled(1);
}
