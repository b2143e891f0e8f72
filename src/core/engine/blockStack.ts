import type { ModelConfig } from '../models/modelConfig.ts';
import type { ModelWeights } from '../models/modelWeights.ts';
import { ActivationReads, rowsOfTile, type Tile, type TileRows } from './activationReads.ts';
import { AttentionInputs } from './attentionInputs.ts';
import { BLOCK_INPUTS, BLOCK_OUTPUTS, buildBlockGraph } from './blockGraph.ts';
import type { BlockRows } from './blockTail.ts';
import { buildHeadResultGraph } from './headResultGraph.ts';
import { type BlockHook, graphHooks } from './hookPoints.ts';
import { rowsInput } from './hookSink.ts';
import {
  concatenate,
  itemsOf,
  joinItems,
  joinPositions,
  type KeysValues,
  NO_KEYS_VALUES,
  putRows,
  takeRows,
} from './keysValues.ts';
import { allFinite, checkEdited, nonFiniteError } from './nonFinite.ts';
import { type Feeds, floats, floatTensor, integerTensor, type SessionKind, type SessionPool } from './sessionPool.ts';
import type { LayerEdits, StackPass, StackResult } from './stackPass.ts';

/** What one batch tile yields: the same, for its items. */
interface TileResult {
  readonly x: Float32Array;
  readonly keysValues: KeysValues[];
  readonly residuals: Float32Array[];
}

/** Positions per run: large enough for full speed, small enough for the caches and for a cancel within 0.1 s. */
const BATCH_POSITIONS = 1024;
const CHUNK_POSITIONS = 512;
/** Attention scores of one run, in numbers: bounds the memory of long prompts. */
const MAX_SCORES = 8 << 20;

interface TilePass extends StackPass {
  readonly firstItem: number;
  readonly collected: ActivationReads;
}

/** The transformer's blocks: runs any of them over new positions, with or without a past, in bounded memory. */
export class BlockStack {
  /** Sum over block runs of batch × new positions: shows what a cache saved. */
  blockPositions = 0;
  private readonly inputs: AttentionInputs;
  private readonly hooks: readonly BlockHook[];
  private readonly blockKind: SessionKind;
  private readonly resultKind: SessionKind;
  private readonly noRows = integerTensor([]);

  constructor(
    private readonly config: ModelConfig,
    weights: ModelWeights,
    private readonly pool: SessionPool,
  ) {
    this.inputs = new AttentionInputs(config);
    this.hooks = graphHooks(config);
    this.blockKind = {
      name: 'block',
      packed: true,
      build: (layer) => buildBlockGraph(config, weights.blocks[layer], layer),
    };
    this.resultKind = {
      name: 'head results',
      packed: false,
      build: (layer) => buildHeadResultGraph(config, weights.blocks[layer].attention.out, layer),
    };
  }

  /** Loads the weights of a layer. */
  prepare(layer: number): Promise<void> {
    return this.pool.prepare(this.blockKind, layer);
  }

  /**
   * @throws MechanistError `cancelled`; `model-corrupt` naming the first hook point with a NaN or infinity.
   */
  async forward(pass: StackPass): Promise<StackResult> {
    const { batch, count, start, fromLayer, toLayer, past, onProgress } = pass;
    const { dModel } = this.config;
    const reads = new ActivationReads(this.config, batch, pass.reads?.rows.length ?? 0, start + count);
    const itemsPerTile = Math.max(1, Math.min(batch, Math.floor(BATCH_POSITIONS / Math.max(1, count))));
    const tiles = Math.ceil(batch / itemsPerTile);
    const x = new Float32Array(tiles > 1 ? pass.x.length : 0);
    const parts: TileResult[] = [];
    for (let tile = 0; tile < tiles; tile += 1) {
      const firstItem = tile * itemsPerTile;
      const items = Math.min(itemsPerTile, batch - firstItem);
      const result = await this.forwardTile({
        ...pass,
        x: pass.x.subarray(firstItem * count * dModel, (firstItem + items) * count * dModel),
        batch: items,
        past: past && ((layer) => itemsOf(past(layer), firstItem, items)),
        firstItem,
        collected: reads,
        onProgress:
          onProgress &&
          ((p) =>
            onProgress({ ...p, done: tile * (toLayer - fromLayer) + p.done, total: tiles * (toLayer - fromLayer) })),
      });
      if (tiles === 1) return { ...result, reads };
      x.set(result.x, firstItem * count * dModel);
      parts.push(result);
    }
    const residuals = parts[0].residuals.map((_, layer) => concatenate(parts.map((part) => part.residuals[layer])));
    return { x, reads, residuals, keysValues: joinItems(parts.map((part) => part.keysValues)) };
  }

  private async forwardTile(pass: TilePass): Promise<TileResult> {
    const { fromLayer, toLayer } = pass;
    const keysValues: KeysValues[] = [];
    const residuals: Float32Array[] = [];
    let x = pass.x;
    for (let layer = fromLayer; layer < toLayer; layer += 1) {
      const edits = pass.edits?.(layer);
      const tile = { firstItem: pass.firstItem, items: pass.batch, firstRow: pass.start, rows: pass.count };
      x = checkEdited(edits?.residPre(x, tile) ?? x, x, `blocks.${layer}.hook_resid_pre`);
      this.storeResidual(pass, layer, 'hook_resid_pre', x);
      if (pass.keepResiduals) residuals.push(x);
      const result = await this.runLayer(pass, layer, x, edits);
      if (pass.keepKeysValues) keysValues.push(result.keysValues);
      x = checkEdited(edits?.residPost(result.x, tile) ?? result.x, result.x, `blocks.${layer}.hook_resid_post`);
      this.storeResidual(pass, layer, 'hook_resid_post', x);
      pass.onProgress?.({
        done: layer - fromLayer + 1,
        total: toLayer - fromLayer,
        label: `L${layer + 1} of ${this.config.nLayers}`,
      });
    }
    return { x, keysValues, residuals };
  }

  private storeResidual(pass: TilePass, layer: number, hook: BlockHook, x: Float32Array): void {
    if (!pass.reads?.hooks.get(layer)?.includes(hook)) return;
    const tile = { firstItem: pass.firstItem, items: pass.batch, firstRow: 0, rows: pass.count };
    pass.collected.storeResidual(layer, hook, tile, rowsOfTile(pass.reads, tile), x);
  }

  /** New positions per run. */
  private chunkSize(pass: Pick<StackPass, 'batch' | 'count' | 'start'>, edits: LayerEdits | undefined): number {
    if (edits?.whole) return pass.count;
    const perPosition = this.config.nHeads * (pass.start + pass.count) * pass.batch;
    return Math.max(1, Math.min(pass.batch === 1 ? CHUNK_POSITIONS : pass.count, Math.floor(MAX_SCORES / perPosition)));
  }

  private async runLayer(
    pass: TilePass,
    layer: number,
    x: Float32Array,
    edits: LayerEdits | undefined,
  ): Promise<{ x: Float32Array; keysValues: KeysValues }> {
    const { batch, count, start } = pass;
    const { dModel } = this.config;
    const step = this.chunkSize(pass, edits);
    const next = count <= step ? null : new Float32Array(x.length);
    let past = start > 0 ? pass.past?.(layer) : NO_KEYS_VALUES;
    if (past === undefined) throw new Error('A pass that starts after position 0 needs past keys and values.');
    let current = NO_KEYS_VALUES;
    for (let first = 0; first < count; first += step) {
      const tile = { firstItem: pass.firstItem, items: batch, firstRow: first, rows: Math.min(step, count - first) };
      const last = first + tile.rows === count;
      const chunk = next === null ? x : takeRows(x, batch, dModel, first, tile.rows);
      const wanted = pass.keepKeysValues === true || !last;
      const result = await this.runTile(pass, layer, tile, chunk, past, wanted, edits);
      if (next === null) return { x: result.x, keysValues: result.keysValues };
      putRows(next, batch, dModel, first, result.x);
      current = joinPositions(current, result.keysValues, this.config);
      if (!last) past = joinPositions(past, result.keysValues, this.config);
    }
    return { x: next ?? x, keysValues: current };
  }

  private async runTile(
    pass: TilePass,
    layer: number,
    tile: Tile,
    x: Float32Array,
    past: KeysValues,
    wantKeysValues: boolean,
    edits: LayerEdits | undefined,
  ): Promise<{ x: Float32Array; keysValues: KeysValues }> {
    const tileRows: TileRows = pass.reads ? rowsOfTile(pass.reads, tile) : { local: [], target: [] };
    const hooks = tileRows.local.length === 0 ? [] : (pass.reads?.hooks.get(layer) ?? []);
    // Head results are made from z.
    const inGraph = (edits?.hooks ?? this.hooks).filter(
      (hook) => hooks.includes(hook) || (hook === 'attn.hook_z' && hooks.includes('attn.hook_result')),
    );
    const kind = edits?.kind ?? this.blockKind;
    const feeds = {
      ...this.feeds(tile, x, past),
      ...this.inputs.feeds(layer, pass.start + tile.firstRow, tile.rows),
      ...this.rowFeeds(edits?.hooks ?? this.hooks, inGraph, tileRows.local),
      ...edits?.feeds({ ...tile, firstRow: pass.start + tile.firstRow }),
    };
    const names = [BLOCK_OUTPUTS.y, ...(wantKeysValues ? [BLOCK_OUTPUTS.keys, BLOCK_OUTPUTS.values] : []), ...inGraph];
    const outputs = await this.pool.run(kind, layer, feeds, names, pass);
    this.blockPositions += tile.items * tile.rows;
    const y = floats(outputs[BLOCK_OUTPUTS.y]);
    if (!allFinite(y)) await this.reportNonFinite(pass, layer, tile, feeds, y, edits);
    for (const hook of inGraph) {
      pass.collected.store(layer, hook, tile, tileRows, outputs[hook].dims, floats(outputs[hook]));
    }
    if (hooks.includes('attn.hook_result') && !inGraph.includes('attn.hook_result')) {
      await this.storeHeadResults(pass, layer, tile, tileRows, floats(outputs['attn.hook_z']));
    }
    const keysValues = wantKeysValues
      ? {
          batch: tile.items,
          length: tile.rows,
          keys: floats(outputs[BLOCK_OUTPUTS.keys]),
          values: floats(outputs[BLOCK_OUTPUTS.values]),
        }
      : NO_KEYS_VALUES;
    return { x: y, keysValues };
  }

  private feeds(tile: Pick<Tile, 'items' | 'rows'>, x: Float32Array, past: KeysValues): Feeds {
    const { dModel, dHead, nKeyValueHeads } = this.config;
    const pastDims = [past.batch, nKeyValueHeads, past.length, dHead];
    return {
      [BLOCK_INPUTS.x]: floatTensor(x, [tile.items, tile.rows, dModel]),
      [BLOCK_INPUTS.pastKeys]: floatTensor(past.keys, pastDims),
      [BLOCK_INPUTS.pastValues]: floatTensor(past.values, pastDims),
    };
  }

  /** Rows to read at the `wanted` ones of the hooks that a graph can return; none at the others. */
  private rowFeeds(hooks: readonly BlockHook[], wanted: readonly BlockHook[], rows: readonly number[]): Feeds {
    const tensor = rows.length === 0 ? this.noRows : integerTensor(rows);
    return Object.fromEntries(hooks.map((hook) => [rowsInput(hook), wanted.includes(hook) ? tensor : this.noRows]));
  }

  /** Whether `forward` takes new positions of some items through a block in one piece. */
  inOnePiece({ items, count, start }: Pick<BlockRows, 'items' | 'count' | 'start'>): boolean {
    return items * count <= BATCH_POSITIONS && count <= this.chunkSize({ batch: items, count, start }, undefined);
  }

  /**
   * resid_post `[items, count, d_model]` of one run in one piece, nothing read, with a mask and rotary angles of the caller's.
   * Nobody looks whether the numbers are finite. `into`: where they are written.
   * @throws MechanistError `cancelled`
   */
  async plainBlock(
    layer: number,
    block: BlockRows,
    inputs: Feeds,
    into: Float32Array,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { items, count: rows } = block;
    const feeds = {
      ...this.feeds({ items, rows }, block.x, block.past),
      ...inputs,
      ...this.rowFeeds(this.hooks, [], []),
    };
    const y = floatTensor(into, [items, rows, this.config.dModel]);
    const outputs = await this.pool.run(this.blockKind, layer, feeds, [BLOCK_OUTPUTS.y], { signal, into: { y } });
    this.blockPositions += items * rows;
    return floats(outputs.y);
  }

  private async storeHeadResults(
    pass: TilePass,
    layer: number,
    tile: Tile,
    tileRows: TileRows,
    z: Float32Array,
  ): Promise<void> {
    const { nHeads, dHead, dModel } = this.config;
    const rows = z.length / (nHeads * dHead);
    const outputs = await this.pool.run(
      this.resultKind,
      layer,
      { z: floatTensor(z, [1, rows, nHeads, dHead]) },
      ['results'],
      pass,
    );
    const dims = [tile.items, tileRows.local.length, nHeads, dModel];
    pass.collected.store(layer, 'attn.hook_result', tile, tileRows, dims, floats(outputs.results));
  }

  /** Runs the block once more with every hook read, to say where the first bad number appears. */
  private async reportNonFinite(
    pass: StackPass,
    layer: number,
    tile: Tile,
    feeds: Feeds,
    y: Float32Array,
    edits: LayerEdits | undefined,
  ): Promise<never> {
    const hooks = edits?.hooks ?? this.hooks;
    const all = Array.from({ length: tile.rows }, (_, row) => row);
    const reading = { ...feeds, ...this.rowFeeds(hooks, hooks, all) };
    const outputs = await this.pool.run(edits?.kind ?? this.blockKind, layer, reading, hooks);
    const hook = hooks.find((name) => !allFinite(floats(outputs[name]))) ?? 'hook_resid_post';
    const values = hook === 'hook_resid_post' ? y : floats(outputs[hook]);
    throw nonFiniteError(`blocks.${layer}.${hook}`, values, layer >= (pass.editedFrom ?? Infinity));
  }
}
