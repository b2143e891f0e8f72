import type { ModelRunner } from '../engine/modelRunner.ts';

/** Mean cross-entropy of next tokens over texts, in nats. */
export interface TextLoss {
  readonly sum: number;
  /** Tokens that were predicted. */
  readonly n: number;
}

/**
 * Cross-entropy of each next token, summed over a batch, from the last residual stream `[batch, pos, d_model]`.
 * @param first position from which on predictions count
 */
export async function textLoss(
  runner: ModelRunner,
  tokens: readonly (readonly number[])[],
  final: Float32Array,
  first: number,
  signal?: AbortSignal,
): Promise<TextLoss> {
  const { dModel } = runner.config;
  const length = tokens[0].length;
  const counted = length - 1 - first;
  if (counted <= 0) return { sum: 0, n: 0 };
  const rows = new Float32Array(tokens.length * counted * dModel);
  tokens.forEach((_, item) => {
    const start = (item * length + first) * dModel;
    rows.set(final.subarray(start, start + counted * dModel), item * counted * dModel);
  });
  const targets = tokens.flatMap((ids) => ids.slice(first + 1));
  const columns = [...new Set(targets)];
  const places = new Map(columns.map((id, index) => [id, index]));
  const read = await runner.unembedding.top(runner.finalNorm.apply(rows), 1, columns, signal);
  const losses = targets.map((id, row) => read.logSumExp[row] - read.columns[row][places.get(id) ?? 0]);
  return { sum: losses.reduce((sum, loss) => sum + loss, 0), n: losses.length };
}
