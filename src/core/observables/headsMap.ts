import { type BlockHook, hookName } from '../engine/hookPoints.ts';
import type { RunContext } from '../engine/modelRunner.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import { dot, rowAt } from './vectors.ts';

/** Rows of one length that are read at one token. */
export interface MapBatch {
  readonly clean: readonly (readonly number[])[];
  readonly corrupted: readonly (readonly number[])[];
  /** 0-based: where what is written is read. */
  readonly position: number;
}

/** Which parts of the model write to what is read: heads below one layer, MLPs below another. */
export interface MapReach {
  readonly headLayers: number;
  readonly mlpLayers: number;
}

/** How one row's streams are read. "Change": corrupted − clean. */
export interface RowReader {
  /** What is written is read along these, in each prompt. `[d_model]` */
  readonly along: readonly [clean: Float64Array, corrupted: Float64Array];
  /** How much the observable falls for changes `[n, d_model]` of the clean stream. */
  readonly fall: (changes: Float32Array) => Promise<ArrayLike<number>>;
}

/** What each part writes along a direction, and what patching it does. Logits; `[row]`. */
export interface PartNumbers {
  readonly direct: number[];
  readonly corrupted: number[];
  readonly patched: number[];
  /** What patching a head in the whole model does, where that was asked for. */
  readonly total?: readonly number[];
}

/** Every part of the stream at the token: they sum up to it. */
export interface MapNumbers {
  /** `[layer][head]` */
  readonly heads: readonly (readonly PartNumbers[])[];
  readonly mlps: readonly PartNumbers[];
  readonly embedding: PartNumbers;
  /** Output biases of attention. */
  readonly biases: PartNumbers;
}

const emptyPart = (): PartNumbers => ({ direct: [], corrupted: [], patched: [] });

/** Reads the parts of one batch, clean rows first, and adds each part's numbers. */
class PartReader {
  constructor(
    private readonly dModel: number,
    private readonly readers: readonly RowReader[],
  ) {}

  private get rows(): number {
    return this.readers.length;
  }

  /** @param written what `parts` parts write, `[part, 2 · rows, d_model]` */
  async add(written: Float32Array, parts: readonly PartNumbers[]): Promise<void> {
    const { dModel, rows } = this;
    const row = (part: number, index: number) => {
      const at = (part * 2 * rows + index) * dModel;
      return written.subarray(at, at + dModel);
    };
    for (const [r, { along, fall }] of this.readers.entries()) {
      const changes = new Float32Array(parts.length * dModel);
      parts.forEach(({ direct, corrupted }, part) => {
        const [clean, other] = [row(part, r), row(part, rows + r)];
        direct.push(dot(along[0], clean));
        corrupted.push(dot(along[1], other));
        changes.set(
          other.map((value, i) => value - clean[i]),
          part * dModel,
        );
      });
      const falls = await fall(changes);
      parts.forEach(({ patched }, part) => {
        patched.push(falls[part]);
      });
    }
  }
}

/**
 * What heads, MLPs, embedding and biases write at one token of clean and corrupted prompts, read along each row's directions; and
 * how much the observable falls when one of them is taken from the corrupted run, pattern and values, and nothing in between changes.
 * @param readersOf makes each row's reader from the streams there, `[clean rows, corrupted rows][d_model]`: before the last of the
 *   layers that are run
 * Two forward passes a row, up to the layers that are read.
 */
export async function mapBatch(
  stack: SweepStack,
  { clean, corrupted, position }: MapBatch,
  { headLayers, mlpLayers }: MapReach,
  readersOf: (streams: readonly Float64Array[]) => Promise<readonly RowReader[]>,
  context: RunContext,
): Promise<MapNumbers> {
  const { runner } = stack;
  const { nHeads, dHead, dModel, positions } = runner.config;
  const tokens = [...clean, ...corrupted].map((ids) => ids.slice(0, position + 1));
  const hooksTo = (layers: number, hook: BlockHook) =>
    Array.from({ length: layers }, (_, layer) => hookName({ kind: 'block', layer, hook }));
  const embeds = positions.kind === 'learned' ? ['hook_embed', 'hook_pos_embed'] : ['hook_embed'];
  const hooks = [...embeds, ...hooksTo(headLayers, 'attn.hook_z'), ...hooksTo(mlpLayers, 'hook_mlp_out')];
  const toLayer = Math.max(headLayers, mlpLayers);
  const run = await runner.run(tokens, { hooks, positions: [position], toLayer, signal: context.signal });
  const at = (name: string) => run.activations.get(name)?.data ?? new Float32Array(0);
  const streams = tokens.map((_, item) => rowAt(run.residual.data, item * (position + 1) + position, dModel));
  const parts = new PartReader(dModel, await readersOf(streams));
  const everyHead = Array.from({ length: nHeads }, (_, head) => head);
  const numbers = { heads: [] as PartNumbers[][], mlps: [] as PartNumbers[] };
  const biases = new Float32Array(tokens.length * dModel);
  for (let layer = 0; layer < headLayers; layer += 1) {
    const z = at(hookName({ kind: 'block', layer, hook: 'attn.hook_z' }));
    const byHead = new Float32Array(z.length);
    everyHead.forEach((head) => {
      tokens.forEach((_, item) => {
        const start = (item * nHeads + head) * dHead;
        byHead.set(z.subarray(start, start + dHead), (head * tokens.length + item) * dHead);
      });
    });
    const heads = everyHead.map(emptyPart);
    await parts.add(await stack.headDelta(layer, byHead, everyHead, dHead, context), heads);
    numbers.heads.push(heads);
    const { bias } = runner.weights.blocks[layer].attention.out;
    const written = bias === null ? new Float32Array(dModel) : await runner.files.tensor(bias);
    for (let i = 0; i < biases.length; i += 1) biases[i] += written[i % dModel];
    if (layer >= mlpLayers) continue;
    const mlp = emptyPart();
    await parts.add(at(hookName({ kind: 'block', layer, hook: 'hook_mlp_out' })), [mlp]);
    numbers.mlps.push(mlp);
  }
  const [embedding, bias] = [emptyPart(), emptyPart()];
  const embedded = embeds.map(at);
  await parts.add(
    embedded[0].map((value, i) => value + (embedded.at(1)?.[i] ?? 0)),
    [embedding],
  );
  await parts.add(biases, [bias]);
  return { ...numbers, embedding, biases: bias };
}
