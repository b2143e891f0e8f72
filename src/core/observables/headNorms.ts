import { FinalNorm } from '../engine/finalNorm.ts';
import { HeadWeights } from '../engine/headWeights.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { length } from './vectors.ts';

/** n behind a norm as ranking by norms has it: √d γ ⊙ n, the scale of the input left out (§1.2). `[d_model]` */
export function unscaled(norm: FinalNorm, n: Float64Array): Float64Array {
  return n.map((value, i) => Math.sqrt(n.length) * value * norm.gain[i]);
}

/**
 * |√d γ ⊙ W_V W_O y| of each head below a layer, for a direction y at what it writes: how much it writes along y for an input of a
 * given length, from weights alone. `[layer][head]`; 2 d_model d_head multiply-adds a head.
 * Source: Dunefsky and Cohan 2024, who rank heads by it.
 */
export async function headNorms(runner: ModelRunner, y: Float64Array, toLayer: number): Promise<number[][]> {
  const { config, weights, files } = runner;
  const norms: number[][] = [];
  for (let layer = 0; layer < toLayer; layer += 1) {
    const heads = await HeadWeights.read(runner, layer);
    const norm = await FinalNorm.read(config, weights.blocks[layer].norm1, files);
    norms.push(
      Array.from({ length: config.nHeads }, (_, head) => length(unscaled(norm, heads.pullBack(head, y).vector))),
    );
  }
  return norms;
}
