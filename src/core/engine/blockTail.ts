import type { Tensor } from 'onnxruntime-node';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { ModelWeights } from '../models/modelWeights.ts';
import { AttentionInputs } from './attentionInputs.ts';
import type { KeysValues } from './keysValues.ts';
import { finiteNumbers } from './nonFinite.ts';
import { type Feeds, floatTensor, integerTensor, type SessionKind, type SessionPool } from './sessionPool.ts';
import { buildTailGraph, TAIL_INPUTS } from './tailGraph.ts';

/** New positions of some items, for one block. */
export interface BlockRows {
  /** resid_pre `[items, count, d_model]` */
  readonly x: Float32Array;
  readonly items: number;
  readonly count: number;
  /** Absolute position of the first; `past` holds those before it. */
  readonly start: number;
  readonly past: KeysValues;
}

/** A graph of a tail with changes in it, and the inputs that they need. */
export interface TailEdits {
  readonly kind: SessionKind;
  readonly feeds: Feeds;
}

/** A block whose output is wanted at a few positions only, such as the last block before the logits of the last position. */
export class BlockTail {
  private readonly inputs: AttentionInputs;
  private readonly kind: SessionKind;

  constructor(
    private readonly config: ModelConfig,
    weights: ModelWeights,
    private readonly pool: SessionPool,
  ) {
    this.inputs = new AttentionInputs(config);
    this.kind = {
      name: 'block tail',
      packed: false,
      build: (layer) => buildTailGraph(config, weights.blocks[layer], layer),
    };
  }

  /**
   * resid_post at some of the new positions, `[items, rows, d_model]`. `rows`: indices into the new positions.
   * About a sixth of a block for one row of many.
   * @throws MechanistError `model-corrupt`, `cancelled`
   */
  async run(
    layer: number,
    block: BlockRows,
    rows: readonly number[],
    signal?: AbortSignal,
    edits?: TailEdits,
  ): Promise<Float32Array> {
    const { dModel, dHead, nKeyValueHeads } = this.config;
    const { x, items, count, start, past } = block;
    const { [TAIL_INPUTS.mask]: mask, ...angles } = this.inputs.feeds(layer, start, count);
    const pastDims = [past.batch, nKeyValueHeads, past.length, dHead];
    const feeds: Feeds = {
      ...angles,
      [TAIL_INPUTS.x]: floatTensor(x, [items, count, dModel]),
      [TAIL_INPUTS.mask]: maskRows(mask, rows),
      [TAIL_INPUTS.rows]: integerTensor(rows),
      [TAIL_INPUTS.pastKeys]: floatTensor(past.keys, pastDims),
      [TAIL_INPUTS.pastValues]: floatTensor(past.values, pastDims),
      ...edits?.feeds,
    };
    const { y } = await this.pool.run(edits?.kind ?? this.kind, layer, feeds, ['y'], { signal });
    return finiteNumbers(y, `blocks.${layer}.hook_resid_post`);
  }
}

/** Some rows of a mask `[1, 1, rows, keys]`. */
export function maskRows(mask: Tensor, rows: readonly number[]): Tensor {
  const keys = mask.dims[3];
  const all = mask.data as Float32Array;
  const some = new Float32Array(rows.length * keys);
  rows.forEach((row, i) => {
    some.set(all.subarray(row * keys, (row + 1) * keys), i * keys);
  });
  return floatTensor(some, [1, 1, rows.length, keys]);
}
