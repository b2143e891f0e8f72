import { SweepStack } from '../../engine/sweeps/sweepStack.ts';
import type { StepContext } from '../stepKind.ts';

/**
 * What the residual stream holds of tokens before attention, `[tokens, d_model]`: their embeddings without positions, with
 * what the first MLP writes for them where `mlp0` is true.
 */
export async function embedTokens(context: StepContext, ids: readonly number[], mlp0: boolean): Promise<Float32Array> {
  const { runner } = context;
  const embedded = await runner.files.rows(runner.weights.embed, ids);
  if (!mlp0) return embedded;
  const stack = new SweepStack(runner);
  try {
    const out = await stack.mlp(0, embedded, context);
    return embedded.map((value, i) => value + out[i]);
  } finally {
    await stack.release();
  }
}
