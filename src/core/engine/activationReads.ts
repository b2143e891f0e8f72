import type { PackedArray } from '../../shared/packedArray.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { MASKED_SCORE } from './attentionInputs.ts';
import { type BlockHook, innerDims, isAttentionMap } from './hookPoints.ts';

/** What to read on a pass through the blocks. */
export interface ReadPlan {
  readonly hooks: ReadonlyMap<number, readonly BlockHook[]>;
  /** Indices into the new positions of the pass; the same for all hooks, any order. */
  readonly rows: Int32Array;
}

/** A part of a pass that one run computes: items `firstItem …` of the batch, new positions `firstRow …`. */
export interface Tile {
  readonly firstItem: number;
  readonly items: number;
  readonly firstRow: number;
  readonly rows: number;
}

/** The planned rows that a tile holds: where they lie in the tile, and where they go in the result. */
export interface TileRows {
  readonly local: number[];
  readonly target: number[];
}

export function rowsOfTile(plan: ReadPlan, tile: Tile): TileRows {
  const local: number[] = [];
  const target: number[] = [];
  plan.rows.forEach((row, index) => {
    if (row < tile.firstRow || row >= tile.firstRow + tile.rows) return;
    local.push(row - tile.firstRow);
    target.push(index);
  });
  return { local, target };
}

/** Collects what the tiles of a pass return into whole activations, `[batch, rows, …]` or `[batch, head, rows, keys]`. */
export class ActivationReads {
  private readonly arrays = new Map<string, PackedArray>();

  constructor(
    private readonly config: ModelConfig,
    private readonly batch: number,
    private readonly rows: number,
    /** Past and new positions. */
    private readonly keys: number,
  ) {}

  private static key(layer: number, hook: BlockHook): string {
    return `${layer} ${hook}`;
  }

  private array(layer: number, hook: BlockHook): PackedArray {
    const key = ActivationReads.key(layer, hook);
    let array = this.arrays.get(key);
    if (array === undefined) {
      const dims = isAttentionMap(hook)
        ? [this.batch, this.config.nHeads, this.rows, this.keys]
        : [this.batch, this.rows, ...innerDims(hook, this.config)];
      const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
      if (hook === 'attn.hook_attn_scores') data.fill(MASKED_SCORE);
      array = { dims, data };
      this.arrays.set(key, array);
    }
    return array;
  }

  /** Stores a tile's activation: `[items, tileRows, …]`, or `[items, head, tileRows, tileKeys]`. It may keep `data`. */
  store(
    layer: number,
    hook: BlockHook,
    tile: Tile,
    tileRows: TileRows,
    dims: readonly number[],
    data: Float32Array,
  ): void {
    if (this.holdsAll(tile, tileRows) && (!isAttentionMap(hook) || dims[3] === this.keys)) {
      // Whoever gives it has no further use for it: nothing to copy.
      this.arrays.set(ActivationReads.key(layer, hook), { dims, data });
      return;
    }
    const { data: target } = this.array(layer, hook);
    // Attention maps have one group of rows per head, everything else one per item.
    const groupsPerItem = isAttentionMap(hook) ? this.config.nHeads : 1;
    const width = isAttentionMap(hook) ? dims[3] : dims.slice(2).reduce((product, dim) => product * dim, 1);
    const targetWidth = isAttentionMap(hook) ? this.keys : width;
    const count = tileRows.local.length;
    for (let group = 0; group < tile.items * groupsPerItem; group += 1) {
      const targetGroup = tile.firstItem * groupsPerItem + group;
      for (let row = 0; row < count; row += 1) {
        const from = (group * count + row) * width;
        target.set(data.subarray(from, from + width), (targetGroup * this.rows + tileRows.target[row]) * targetWidth);
      }
    }
  }

  /** Stores rows of a residual stream `[batch, new, d_model]` that lies in JavaScript. */
  storeResidual(layer: number, hook: BlockHook, tile: Tile, tileRows: TileRows, residual: Float32Array): void {
    const { dModel } = this.config;
    if (this.holdsAll(tile, tileRows)) {
      this.array(layer, hook).data.set(residual);
      return;
    }
    const some = new Float32Array(tile.items * tileRows.local.length * dModel);
    let at = 0;
    for (let item = 0; item < tile.items; item += 1) {
      for (const row of tileRows.local) {
        const from = (item * tile.rows + row) * dModel;
        some.set(residual.subarray(from, from + dModel), at);
        at += dModel;
      }
    }
    this.store(layer, hook, tile, tileRows, [tile.items, tileRows.local.length, dModel], some);
  }

  /** Whether a tile is everything that is read, in the order asked for. */
  private holdsAll({ items, rows }: Tile, { local, target }: TileRows): boolean {
    const whole = items === this.batch && rows === this.rows && local.length === rows;
    return whole && local.every((row, i) => row === i && target[i] === i);
  }

  /**
   * The finished activation.
   * @throws Error when nothing was stored under this name: a mistake of the caller.
   */
  get(layer: number, hook: BlockHook): PackedArray {
    const array = this.arrays.get(ActivationReads.key(layer, hook));
    if (array === undefined) throw new Error(`Nothing was read at layer ${layer}, ${hook}.`);
    return array;
  }
}
