import type { Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../models/modelConfig.ts';
import { BLOCK_INPUTS } from './blockGraph.ts';
import { type Feeds, floatTensor } from './sessionPool.ts';

/**
 * Added to the score of a key that a query must not see. Finite, because a row of nothing but −∞ would be NaN; far
 * below any score, so that its probability is exactly 0.
 */
export const MASKED_SCORE = -1e30;

/**
 * Causal mask `[queries, keys]` for queries `first … first + queries − 1` over keys `0 … first + queries − 1`:
 * 0 where a query may look, `MASKED_SCORE` elsewhere. `window` counts the positions it may look back, itself included.
 */
function causalMask(first: number, queries: number, window: number | null): Float32Array {
  const keys = first + queries;
  const mask = new Float32Array(queries * keys).fill(MASKED_SCORE);
  for (let row = 0; row < queries; row += 1) {
    const query = first + row;
    const oldest = window === null ? 0 : Math.max(0, query - window + 1);
    mask.fill(0, row * keys + oldest, row * keys + query + 1);
  }
  return mask;
}

type RotaryConfig = Extract<ModelConfig['positions'], { kind: 'rotary' }>;

/** Feeds with cos and sin `[1, angles, 1, rotaryDims / 2]` of the rotary angles of positions. */
export function rotaryFeeds(positions: RotaryConfig, at: readonly number[]): Feeds {
  const half = positions.rotaryDims / 2;
  const count = at.length;
  const cos = new Float32Array(count * half);
  const sin = new Float32Array(count * half);
  for (let i = 0; i < count; i += 1) {
    for (let j = 0; j < half; j += 1) {
      const angle = at[i] * positions.inverseFrequencies[j];
      cos[i * half + j] = Math.cos(angle) * positions.attentionFactor;
      sin[i * half + j] = Math.sin(angle) * positions.attentionFactor;
    }
  }
  const dims = [1, count, 1, half];
  return { [BLOCK_INPUTS.cos]: floatTensor(cos, dims), [BLOCK_INPUTS.sin]: floatTensor(sin, dims) };
}

interface Remembered {
  readonly first: number;
  readonly count: number;
  readonly tensor: Tensor;
}

/** Mask and rotary inputs of block runs; the last ones are kept, because every layer asks for the same. */
export class AttentionInputs {
  private readonly masks = new Map<number | null, Remembered>();
  private rotary: { readonly first: number; readonly count: number; readonly feeds: Feeds } | null = null;

  constructor(private readonly config: ModelConfig) {}

  /** Feeds for the new positions `first … first + count − 1` at `layer`. */
  feeds(layer: number, first: number, count: number): Feeds {
    return {
      [BLOCK_INPUTS.mask]: this.mask(this.config.attention.windows[layer] ?? null, first, count),
      ...this.angles(first, count),
    };
  }

  private mask(window: number | null, first: number, count: number): Tensor {
    const known = this.masks.get(window);
    if (known?.first === first && known.count === count) return known.tensor;
    const tensor = floatTensor(causalMask(first, count, window), [1, 1, count, first + count]);
    this.masks.set(window, { first, count, tensor });
    return tensor;
  }

  private angles(first: number, count: number): Feeds {
    const { positions } = this.config;
    if (positions.kind === 'learned') return {};
    if (this.rotary?.first === first && this.rotary.count === count) return this.rotary.feeds;
    const feeds = rotaryFeeds(
      positions,
      Array.from({ length: count }, (_, i) => first + i),
    );
    this.rotary = { first, count, feeds };
    return feeds;
  }
}
