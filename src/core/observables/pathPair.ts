import type { PackedArray } from '../../shared/packedArray.ts';
import { type BlockHook, hookName } from '../engine/hookPoints.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { rowAt } from './vectors.ts';

/** One layer of a pair at its places. "Change": dirty − clean. */
interface PairLayer {
  /** resid_pre of the clean run, `[place, d_model]`. */
  readonly pre: Float32Array;
  /** What its MLP reads before the norm, `[place, d_model]`. */
  readonly mid: Float32Array;
  /** Attention of the clean run between places, `[head, to, from]`. */
  readonly pattern: Float32Array;
  /** Change of what a head would write for attention 1 to a place, `[head, place, d_model]`. */
  readonly heads: Float32Array;
  /** Change of mlp_out, `[place, d_model]`. */
  readonly mlp: Float32Array;
}

/** A clean and a dirty run of as many tokens, with what paths between some of their tokens need. */
export interface PathPair {
  /** 0-based position of each place. */
  readonly places: readonly number[];
  /** The place at which the observable is read. */
  readonly end: number;
  readonly layers: readonly PairLayer[];
  /** Change of the embedding, with position embedding, `[place, d_model]`. */
  readonly embedding: Float32Array;
  /** resid_post of the last layer at `end`. `[d_model]` */
  readonly clean: Float64Array;
  readonly dirty: Float64Array;
  /** Change that heads write at `end` for tokens that are no place, patterns clean. `[d_model]` */
  readonly otherTokens: Float64Array;
  /** Change that heads write at `end` because their patterns change, for the dirty values. `[d_model]` */
  readonly patterns: Float64Array;
}

interface PairPrompts {
  readonly clean: ArrayLike<number>;
  /** As many tokens. */
  readonly dirty: ArrayLike<number>;
  readonly places: readonly number[];
  readonly end: number;
}

/** Activations of the two runs, clean first. */
class TwoRuns {
  constructor(
    private readonly activations: ReadonlyMap<string, PackedArray>,
    readonly length: number,
  ) {}

  /** Rows `[pos, width]` of a run. */
  rows(layer: number, hook: BlockHook, run: 0 | 1): Float32Array {
    const data = this.activations.get(hookName({ kind: 'block', layer, hook }))?.data ?? new Float32Array(0);
    const size = data.length / 2;
    return data.subarray(run * size, (run + 1) * size);
  }

  /** The rows of some positions, one after another. */
  at(layer: number, hook: BlockHook, run: 0 | 1, positions: readonly number[]): Float32Array {
    const rows = this.rows(layer, hook, run);
    const width = rows.length / this.length;
    const result = new Float32Array(positions.length * width);
    positions.forEach((position, i) => {
      result.set(rows.subarray(position * width, (position + 1) * width), i * width);
    });
    return result;
  }

  /** Dirty − clean. */
  change(layer: number, hook: BlockHook, positions: readonly number[]): Float32Array {
    const clean = this.at(layer, hook, 0, positions);
    return this.at(layer, hook, 1, positions).map((value, i) => value - clean[i]);
  }
}

class PairReader {
  private readonly everywhere: readonly number[];

  constructor(
    private readonly runs: TwoRuns,
    private readonly stack: SweepStack,
    private readonly places: readonly number[],
    private readonly position: number,
    private readonly context: RunContext,
  ) {
    this.everywhere = Array.from({ length: runs.length }, (_, i) => i);
  }

  async layer(layer: number): Promise<PairLayer> {
    const { runs, places } = this;
    const mid = this.stack.config.parallelResidual ? 'hook_resid_pre' : 'hook_resid_mid';
    return {
      pre: runs.at(layer, 'hook_resid_pre', 0, places),
      mid: runs.at(layer, mid, 0, places),
      pattern: this.pattern(layer),
      heads: await this.heads(layer),
      mlp: runs.change(layer, 'hook_mlp_out', places),
    };
  }

  private pattern(layer: number): Float32Array {
    const { places, runs } = this;
    const { nHeads } = this.stack.config;
    const all = runs.rows(layer, 'attn.hook_pattern', 0);
    const from = (head: number, to: number) => (head * runs.length + to) * runs.length;
    return Float32Array.from(
      Array.from({ length: nHeads }, (_, head) =>
        places.flatMap((to) => places.map((source) => all[from(head, to) + source])),
      ).flat(),
    );
  }

  /** Change of a head's value at a position: that of its key-value head. */
  private valueChange(layer: number, positions: readonly number[]) {
    const { nHeads, nKeyValueHeads, dHead } = this.stack.config;
    const all = this.runs.change(layer, 'attn.hook_v', positions);
    return (head: number, row: number) => {
      const at = (row * nKeyValueHeads + Math.floor(head / (nHeads / nKeyValueHeads))) * dHead;
      return all.subarray(at, at + dHead);
    };
  }

  private async heads(layer: number): Promise<Float32Array> {
    const { nHeads, dHead } = this.stack.config;
    const value = this.valueChange(layer, this.places);
    const dz = new Float32Array(nHeads * this.places.length * dHead);
    const groups = Array.from({ length: nHeads }, (_, head) => head);
    for (const head of groups) {
      this.places.forEach((_, row) => {
        dz.set(value(head, row), (head * this.places.length + row) * dHead);
      });
    }
    return await this.stack.headDelta(layer, dz, groups, dHead, this.context);
  }

  /** What of attn_out's change at the observable's token no path between places carries: `[other tokens | patterns, d_model]`. */
  async notOnPaths(layer: number): Promise<Float32Array> {
    const { nHeads, dHead } = this.stack.config;
    const { runs, position } = this;
    const width = nHeads * dHead;
    const value = this.valueChange(layer, this.everywhere);
    const z = runs.change(layer, 'attn.hook_z', [position]);
    const all = runs.rows(layer, 'attn.hook_pattern', 0);
    const dz = new Float32Array(2 * width);
    dz.set(z, width);
    for (let head = 0; head < nHeads; head += 1) {
      for (let source = 0; source <= position; source += 1) {
        const share = all[(head * runs.length + position) * runs.length + source];
        const isPlace = this.places.includes(source);
        value(head, source).forEach((change, i) => {
          if (!isPlace) dz[head * dHead + i] += share * change;
          dz[width + head * dHead + i] -= share * change;
        });
      }
    }
    return await this.stack.headDelta(layer, dz, [0, 0], width, this.context);
  }
}

/** Bytes that a pair holds, by the number of its places. */
export function pathPairBytes({ nLayers, nHeads, dModel }: ModelConfig, places: number): number {
  const perLayer = places * (nHeads * (dModel + places) + 3 * dModel);
  return Float32Array.BYTES_PER_ELEMENT * nLayers * perLayer;
}

const HOOKS = ['hook_resid_pre', 'attn.hook_v', 'attn.hook_pattern', 'attn.hook_z', 'hook_mlp_out'] as const;

/**
 * Reads a pair: both prompts up to the observable's token as one batch, two forward passes.
 * @throws MechanistError as `ModelRunner.run`
 */
export async function readPathPair(
  runner: ModelRunner,
  stack: SweepStack,
  { clean, dirty, places, end }: PairPrompts,
  context: RunContext,
): Promise<PathPair> {
  const { nLayers, dModel, parallelResidual } = runner.config;
  const position = places[end];
  const tokens = [clean, dirty].map((ids) => Array.from(ids).slice(0, position + 1));
  const layers = Array.from({ length: nLayers }, (_, layer) => layer);
  const names: BlockHook[] = [...HOOKS, ...(parallelResidual ? [] : (['hook_resid_mid'] as const))];
  const hooks = layers.flatMap((layer) => names.map((hook) => hookName({ kind: 'block', layer, hook })));
  const { activations, residual } = await runner.run(tokens, { hooks, signal: context.signal });
  const runs = new TwoRuns(activations, position + 1);
  const reader = new PairReader(runs, stack, places, position, context);
  const read: PairLayer[] = [];
  const rest = new Float64Array(2 * dModel);
  for (const layer of layers) {
    read.push(await reader.layer(layer));
    (await reader.notOnPaths(layer)).forEach((value, i) => {
      rest[i] += value;
    });
  }
  const final = (run: number) => rowAt(residual.data, run * (position + 1) + position, dModel);
  return {
    ...{ places, end, layers: read, embedding: runs.change(0, 'hook_resid_pre', places) },
    ...{ clean: final(0), dirty: final(1), otherTokens: rest.slice(0, dModel), patterns: rest.slice(dModel) },
  };
}
