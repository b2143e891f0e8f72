import type { AblationValue } from '../../shared/circuit.ts';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { LayerValues } from '../engine/sweeps/maskedStack.ts';

/** Rows of one length that are run together. */
export interface Chunk {
  /** Rows of the data. */
  readonly items: readonly number[];
  readonly count: number;
  /** Positions of their answers, ascending. */
  readonly positions: readonly number[];
}

const HOOKS = ['attn.hook_z', 'hook_mlp_out'] as const;

/** Groups rows by length, in pieces of at most `itemsOf(count)` rows. */
export function chunksOf(task: TaskSet, itemsOf: (count: number) => number): Chunk[] {
  const byLength = new Map<number, number[]>();
  task.items.forEach(({ ids }, i) => {
    byLength.set(ids.length, [...(byLength.get(ids.length) ?? []), i]);
  });
  return [...byLength].flatMap(([count, all]) => {
    const step = Math.max(1, itemsOf(count));
    return Array.from({ length: Math.ceil(all.length / step) }, (_, piece) => {
      const items = all.slice(piece * step, (piece + 1) * step);
      const positions = items.flatMap((item) => task.items[item].answers.map(({ position }) => position));
      return { items, count, positions: [...new Set(positions)].sort((a, b) => a - b) };
    });
  });
}

/** Tokens of a row, or of its corruption. @throws MechanistError `bad-input` where it has none of that name */
export function tokensOf(item: TaskItem, corruption: string | undefined): Int32Array {
  if (corruption === undefined) return Int32Array.from(item.ids);
  const ids = item.corrupted[corruption];
  if (ids === undefined) {
    const known = Object.keys(item.corrupted);
    const advice = known.length === 0 ? 'The data names none.' : `The data has ${known.join(', ')}.`;
    throw new MechanistError('bad-input', `Row ${item.id} has no corruption "${corruption}". ${advice}`, {
      corruption,
    });
  }
  return Int32Array.from(ids);
}

/** A run of a chunk that keeps every head's z and every mlp_out. One forward pass of the chunk. */
function recorded(runner: ModelRunner, tokens: readonly Int32Array[], context: RunContext): Promise<BaseRun> {
  return BaseRun.run(runner, tokens, { hooks: HOOKS, keysValues: false, residuals: false }, context);
}

/** The same row's corrupted run: what stands in is each item's own. One forward pass of the chunk. */
export async function resampleValues(
  runner: ModelRunner,
  task: TaskSet,
  chunk: Chunk,
  corruption: string,
  context: RunContext,
): Promise<StandIns> {
  const tokens = chunk.items.map((item) => tokensOf(task.items[item], corruption));
  const [run, count] = [await recorded(runner, tokens, context), chunk.items.length];
  return {
    embedding: { count, data: await embedRows(runner, tokens) },
    layer: (layer) => ({ count, z: run.at(layer, 'attn.hook_z'), mlp: run.at(layer, 'hook_mlp_out') }),
  };
}

/** Embedded prompts: token and position embedding, `[items, pos, d_model]`. */
export async function embedRows(runner: ModelRunner, tokens: readonly Int32Array[]): Promise<Float32Array> {
  const { tokens: embedded, positions } = await runner.embed(tokens);
  return positions === null ? embedded : embedded.map((value, i) => value + positions[i]);
}

/** What stands in for everything a model writes; the embedding's `[count, pos, d_model]` is for circuits of edges. */
export interface StandIns {
  readonly embedding: { readonly count: number; readonly data: Float32Array };
  layer(layer: number): LayerValues;
}

/** Adds `[items, pos, width]` to sums `[pos, width]`. */
export function addRows(sums: Float64Array, data: Float32Array, items: number): void {
  const size = data.length / items;
  for (let at = 0; at < data.length; at += size) {
    for (let i = 0; i < size; i += 1) sums[i] += data[at + i];
  }
}

/** Sums `[pos, width]` over the number of rows that reach each position. */
export function meanRows(sums: Float64Array, rows: Float64Array): Float32Array {
  const width = sums.length / rows.length;
  return Float32Array.from(sums, (value, i) => value / Math.max(1, rows[Math.floor(i / width)]));
}

/**
 * Means over all rows that reach a position, at each position; zeros for `zero`. Cost: one forward pass of the data for means.
 * Rows count whatever their length, so that templates of unlike length are mixed where they overlap.
 * @returns what stands in for rows of `count` tokens
 */
export async function sharedValues(
  runner: ModelRunner,
  task: TaskSet,
  chunks: readonly Chunk[],
  ablation: Exclude<AblationValue, { kind: 'resample' }>,
  context: RunContext,
): Promise<(count: number) => StandIns> {
  const { nLayers, nHeads, dHead, dModel } = runner.config;
  const longest = Math.max(...chunks.map(({ count }) => count));
  const sums = {
    embedding: new Float64Array(longest * dModel),
    z: Array.from({ length: nLayers }, () => new Float64Array(longest * nHeads * dHead)),
    mlp: Array.from({ length: nLayers }, () => new Float64Array(longest * dModel)),
  };
  const rows = new Float64Array(longest);
  for (const chunk of ablation.kind === 'mean' ? chunks : []) {
    throwIfCancelled(context.signal);
    const corruption = ablation.kind === 'mean' ? ablation.corruption : undefined;
    const tokens = chunk.items.map((item) => tokensOf(task.items[item], corruption));
    const run = await recorded(runner, tokens, context);
    for (let position = 0; position < chunk.count; position += 1) rows[position] += chunk.items.length;
    addRows(sums.embedding, await embedRows(runner, tokens), chunk.items.length);
    for (let layer = 0; layer < nLayers; layer += 1) {
      addRows(sums.z[layer], run.at(layer, 'attn.hook_z'), chunk.items.length);
      addRows(sums.mlp[layer], run.at(layer, 'hook_mlp_out'), chunk.items.length);
    }
  }
  const mean = (sum: Float64Array) => meanRows(sum, rows);
  const [embedding, z, mlp] = [mean(sums.embedding), sums.z.map(mean), sums.mlp.map(mean)];
  const first = (data: Float32Array, count: number) => data.subarray(0, (data.length / longest) * count);
  return (count) => ({
    embedding: { count: 1, data: first(embedding, count) },
    layer: (layer) => ({ count: 1, z: first(z[layer], count), mlp: first(mlp[layer], count) }),
  });
}
