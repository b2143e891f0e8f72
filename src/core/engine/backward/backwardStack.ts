import type { ModelConfig } from '../../models/modelConfig.ts';
import type { ModelWeights, TensorLocation } from '../../models/modelWeights.ts';
import { ActivationReads, type ReadPlan, rowsOfTile, type Tile } from '../activationReads.ts';
import { AttentionInputs } from '../attentionInputs.ts';
import { BLOCK_INPUTS } from '../blockGraph.ts';
import { type BlockHook, graphHooks } from '../hookPoints.ts';
import { rowsInput } from '../hookSink.ts';
import { firstPositions, type KeysValues, putRows, takeRows } from '../keysValues.ts';
import { allFinite, nonFiniteError } from '../nonFinite.ts';
import {
  type Feeds,
  floats,
  floatTensor,
  integerTensor,
  type Output,
  type SessionKind,
  type SessionPool,
} from '../sessionPool.ts';
import {
  BACKWARD_INPUTS,
  BACKWARD_OUTPUTS,
  buildBackwardGraph,
  type FreezablePart,
  hookGradient,
  weightGradient,
} from './backwardGraph.ts';
import { blockWeightNames } from './weightNames.ts';
import type { WeightSums } from './weightSums.ts';

/** A reverse pass through some of the blocks for the items of one tile. */
interface BackwardPass {
  readonly firstItem: number;
  readonly items: number;
  readonly length: number;
  readonly fromLayer: number;
  /** resid_pre by layer from `fromLayer` on, `[items, length, d_model]`. */
  readonly residuals: readonly Float32Array[];
  /** Keys and values by layer from `fromLayer` on; needed when the prompt is run in chunks. */
  readonly keysValues: readonly KeysValues[];
  /** Last layer that is gone through, on the way down. */
  readonly lowest: number;
  /** Gradient at resid_post of the last layer, `[items, length, d_model]`. */
  readonly dy: Float32Array;
  readonly reads: ReadPlan;
  readonly collected: HookGradients;
  readonly weights: ReadonlyMap<number, ReadonlyMap<string, TensorLocation>>;
  readonly sums: WeightSums;
  readonly signal?: AbortSignal;
  readonly onLayer?: (layer: number) => void;
}

/** Gradients at hooks, put together from tiles. */
export class HookGradients {
  private readonly reads: ActivationReads;
  /** Kept apart, because missing entries of activations at this hook are −1e30, and of gradients 0. */
  private readonly scores: ActivationReads;

  constructor(config: ModelConfig, batch: number, rows: number, length: number) {
    this.reads = new ActivationReads(config, batch, rows, length);
    this.scores = new ActivationReads(config, batch, rows, length);
  }

  of(hook: BlockHook): { readonly reads: ActivationReads; readonly hook: BlockHook } {
    return hook === 'attn.hook_attn_scores'
      ? { reads: this.scores, hook: 'attn.hook_pattern' }
      : { reads: this.reads, hook };
  }

  get(layer: number, hook: BlockHook) {
    const own = this.of(hook);
    return own.reads.get(layer, own.hook);
  }
}

/** Gradients at the keys and values that later positions leave for earlier ones. */
interface Carry {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Runs the reverse pass of blocks, in tiles and, for long prompts, in chunks of positions from the last to the first. */
export class BackwardStack {
  private readonly inputs: AttentionInputs;
  private readonly hooks: readonly BlockHook[];
  private readonly kinds = new Map<string, SessionKind>();
  private readonly noRows = integerTensor([]);
  private weightJobs = 0;

  constructor(
    private readonly config: ModelConfig,
    private readonly weights: ModelWeights,
    private readonly pool: SessionPool,
    private readonly freeze: readonly FreezablePart[],
    private readonly maxScores: number,
  ) {
    this.inputs = new AttentionInputs(config);
    this.hooks = graphHooks(config);
  }

  /** One kind of graph for each set of weights, and for whole or chunked prompts. Left unpacked: see `SessionKind`. */
  private kind(names: readonly string[], chunked: boolean): SessionKind {
    const key = [chunked, ...names].join(' ');
    let kind = this.kinds.get(key);
    if (kind === undefined) {
      kind = {
        name: `backward ${key}`,
        packed: false,
        build: (layer) => {
          const block = this.weights.blocks[layer];
          const weights = new Map([...blockWeightNames(block)].filter(([name]) => names.includes(name)));
          return buildBackwardGraph(this.config, block, layer, { freeze: this.freeze, chunked, weights });
        },
      };
      this.kinds.set(key, kind);
    }
    return kind;
  }

  /** Positions per run: all of them, or as many queries as fit. */
  chunkRows(items: number, length: number): number {
    return Math.max(1, Math.min(length, Math.floor(this.maxScores / (this.config.nHeads * length * items))));
  }

  /** @returns the gradient at resid_pre of layer `lowest`, `[items, length, d_model]`. */
  async run(pass: BackwardPass): Promise<Float32Array> {
    let dy = pass.dy;
    for (let layer = this.config.nLayers - 1; layer >= pass.lowest; layer -= 1) {
      this.storeResidual(pass, layer, 'hook_resid_post', dy);
      dy = await this.layer(pass, layer, dy);
      if (!allFinite(dy)) throw nonFiniteError(`blocks.${layer}.hook_resid_pre (gradient)`, dy);
      this.storeResidual(pass, layer, 'hook_resid_pre', dy);
      pass.onLayer?.(layer);
    }
    // resid_post of the layer below is this resid_pre.
    if (pass.lowest > 0) this.storeResidual(pass, pass.lowest - 1, 'hook_resid_post', dy);
    return dy;
  }

  /** Runs a job on gradients of weights, and frees its graphs when the last such job is done. */
  async withWeightGraphs<T>(job: () => Promise<T>): Promise<T> {
    this.weightJobs += 1;
    try {
      return await job();
    } finally {
      this.weightJobs -= 1;
      if (this.weightJobs === 0) await this.releaseWeightGraphs();
    }
  }

  private async releaseWeightGraphs(): Promise<void> {
    for (const [key, kind] of [...this.kinds]) {
      if (!key.includes(' ')) continue;
      this.kinds.delete(key);
      await this.pool.release(kind);
    }
  }

  private storeResidual(pass: BackwardPass, layer: number, hook: BlockHook, gradient: Float32Array): void {
    if (!pass.reads.hooks.get(layer)?.includes(hook)) return;
    const tile = { firstItem: pass.firstItem, items: pass.items, firstRow: 0, rows: pass.length };
    pass.collected.of(hook).reads.storeResidual(layer, hook, tile, rowsOfTile(pass.reads, tile), gradient);
  }

  private async layer(pass: BackwardPass, layer: number, dy: Float32Array): Promise<Float32Array> {
    const { items, length } = pass;
    const { dModel, nKeyValueHeads, dHead } = this.config;
    const x = pass.residuals[layer - pass.fromLayer];
    const step = this.chunkRows(items, length);
    const whole = { firstItem: pass.firstItem, items, firstRow: 0, rows: length };
    if (step === length) return this.tile(pass, layer, whole, x, dy, null);
    const size = items * nKeyValueHeads * length * dHead;
    const carry = { keys: new Float32Array(size), values: new Float32Array(size) };
    const dx = new Float32Array(x.length);
    const starts = Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
    for (const first of starts.reverse()) {
      const rows = Math.min(step, length - first);
      const part = (data: Float32Array) => takeRows(data, items, dModel, first, rows);
      const tile = { ...whole, firstRow: first, rows };
      putRows(dx, items, dModel, first, await this.tile(pass, layer, tile, part(x), part(dy), carry));
    }
    return dx;
  }

  private async tile(
    pass: BackwardPass,
    layer: number,
    tile: Tile,
    x: Float32Array,
    dy: Float32Array,
    carry: Carry | null,
  ): Promise<Float32Array> {
    const tileRows = rowsOfTile(pass.reads, tile);
    const asked = tileRows.local.length === 0 ? [] : (pass.reads.hooks.get(layer) ?? []);
    // What each head writes is added to attn_out: one gradient for all.
    const hooks = this.hooks.filter(
      (hook) => asked.includes(hook) || (hook === 'hook_attn_out' && asked.includes('attn.hook_result')),
    );
    const names = [...(pass.weights.get(layer)?.keys() ?? [])];
    const rows = integerTensor(tileRows.local);
    const feeds = {
      [BLOCK_INPUTS.x]: floatTensor(x, [tile.items, tile.rows, this.config.dModel]),
      [BACKWARD_INPUTS.dy]: floatTensor(dy, [tile.items, tile.rows, this.config.dModel]),
      ...this.inputs.feeds(layer, tile.firstRow, tile.rows),
      ...Object.fromEntries(this.hooks.map((hook) => [rowsInput(hook), hooks.includes(hook) ? rows : this.noRows])),
      ...this.past(pass, layer, tile, carry),
    };
    const wanted = [
      BACKWARD_OUTPUTS.dx,
      ...(carry === null ? [] : [BACKWARD_OUTPUTS.dPastKeys, BACKWARD_OUTPUTS.dPastValues]),
      ...hooks.map(hookGradient),
      ...names.map(weightGradient),
    ];
    const outputs = await this.pool.run(this.kind(names, carry !== null), layer, feeds, wanted, {
      signal: pass.signal,
    });
    for (const hook of hooks) {
      const { dims } = outputs[hookGradient(hook)];
      const data = floats(outputs[hookGradient(hook)]);
      const target = pass.collected.of(hook);
      if (asked.includes(hook)) target.reads.store(layer, target.hook, tile, tileRows, dims, data);
      if (hook === 'hook_attn_out' && asked.includes('attn.hook_result')) {
        const byHead = this.forEachHead(data);
        const headDims = [dims[0], dims[1], this.config.nHeads, dims[2]];
        target.reads.store(layer, 'attn.hook_result', tile, tileRows, headDims, byHead);
      }
    }
    for (const name of names) pass.sums.add(`blocks.${layer}.${name}`, floats(outputs[weightGradient(name)]));
    if (carry !== null) {
      addPositions(carry.keys, outputs[BACKWARD_OUTPUTS.dPastKeys], pass.length);
      addPositions(carry.values, outputs[BACKWARD_OUTPUTS.dPastValues], pass.length);
    }
    return floats(outputs[BACKWARD_OUTPUTS.dx]);
  }

  /** Past keys and values, and what later chunks have left at those of this one. */
  private past(pass: BackwardPass, layer: number, tile: Tile, carry: Carry | null): Feeds {
    const { nKeyValueHeads, dHead } = this.config;
    const empty = floatTensor(new Float32Array(0), [1, nKeyValueHeads, 0, dHead]);
    if (carry === null) return { [BLOCK_INPUTS.pastKeys]: empty, [BLOCK_INPUTS.pastValues]: empty };
    const known = firstPositions(pass.keysValues[layer - pass.fromLayer], tile.firstRow, this.config);
    const dims = (count: number) => [tile.items, nKeyValueHeads, count, dHead];
    const own = (data: Float32Array) =>
      floatTensor(takeRows(data, tile.items * nKeyValueHeads, dHead, tile.firstRow, tile.rows), dims(tile.rows));
    return {
      [BLOCK_INPUTS.pastKeys]: floatTensor(known.keys, dims(tile.firstRow)),
      [BLOCK_INPUTS.pastValues]: floatTensor(known.values, dims(tile.firstRow)),
      [BACKWARD_INPUTS.dKeys]: own(carry.keys),
      [BACKWARD_INPUTS.dValues]: own(carry.values),
    };
  }

  /** `[…, d_model]` → `[…, head, d_model]`, the same for each head. */
  private forEachHead(rows: Float32Array): Float32Array {
    const { nHeads, dModel } = this.config;
    const result = new Float32Array(rows.length * nHeads);
    for (let at = 0; at < rows.length; at += dModel) {
      const row = rows.subarray(at, at + dModel);
      for (let head = 0; head < nHeads; head += 1) result.set(row, at * nHeads + head * dModel);
    }
    return result;
  }
}

/** Adds `[batch, kvHead, past, d_head]` to the first positions of `[batch, kvHead, length, d_head]`. */
function addPositions(target: Float32Array, part: Output, length: number): void {
  const [batch, heads, past, width] = part.dims;
  const data = floats(part);
  for (let group = 0; group < batch * heads; group += 1) {
    const at = group * length * width;
    const from = group * past * width;
    for (let i = 0; i < past * width; i += 1) target[at + i] += data[from + i];
  }
}
