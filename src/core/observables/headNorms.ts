import { throwIfCancelled } from '../../shared/errors.ts';
import type { FinalNorm } from '../engine/finalNorm.ts';
import { HeadPullBack } from '../engine/headPullBack.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';

/** n behind a norm as ranking by norms has it: √d γ ⊙ n, the scale of the input left out (§1.2). `[d_model]` */
export function unscaled(norm: FinalNorm, n: Float64Array): Float64Array {
  return n.map((value, i) => Math.sqrt(n.length) * value * norm.gain[i]);
}

/**
 * Lengths of the feature vectors of every head on its own, for directions y at what they write: |W_V W_O y|, or with `gains`
 * |√d γ ⊙ W_V W_O y|, γ the gain of the layer's norm. How much a head writes along y for an input of a given length, from weights alone:
 * heads are ranked by it without data. `[direction][layer][head]`; one product a layer for all heads and directions, no forward pass.
 * Source: Dunefsky and Cohan 2024, §3.
 * @param toLayer the first layer that is left out; absent: all
 */
export async function headNorms(
  { runner, signal, onProgress }: { readonly runner: ModelRunner } & RunContext,
  directions: readonly Float64Array[],
  { gains, toLayer = runner.config.nLayers }: { readonly gains: boolean; readonly toLayer?: number },
): Promise<number[][][]> {
  const { nHeads, dModel } = runner.config;
  const packed = new Float32Array(directions.length * dModel);
  directions.forEach((direction, i) => {
    packed.set(direction, i * dModel);
  });
  const factor = gains ? Math.sqrt(dModel) : 1;
  const result = directions.map((): number[][] => []);
  const heads = new HeadPullBack(runner);
  try {
    for (let layer = 0; layer < toLayer; layer += 1) {
      throwIfCancelled(signal);
      const norms = await heads.run(layer, packed, gains ? 'gainedNorms' : 'norms', signal);
      directions.forEach((_, i) => {
        result[i].push(Array.from({ length: nHeads }, (__, head) => factor * norms[head * directions.length + i]));
      });
      onProgress?.({ done: layer + 1, total: toLayer, label: `L${layer + 1} of ${toLayer}` });
    }
  } finally {
    await heads.release();
  }
  return result;
}
