import type { ModelConfig } from '../../models/modelConfig.ts';
import type { ModelWeights } from '../../models/modelWeights.ts';
import type { Tile } from '../activationReads.ts';
import { type BlockHook, type GlobalHook, graphHooks, hookName } from '../hookPoints.ts';
import { type Feeds, floatTensor, integerTensor, type SessionKind, type SessionPool } from '../sessionPool.ts';
import type { LayerEdits } from '../stackPass.ts';
import { applyEdits, type Part, partOf } from './applyEdits.ts';
import type { Broadcast } from './broadcast.ts';
import type { EditOp, HookEdits } from './editOps.ts';
import { type BlockEditShape, buildInterventionGraph, type EditShape, editInput } from './interventionSink.ts';

/**
 * The graphs of blocks with room for interventions, by layer and by the shape of what is done there; made when first
 * needed. Packed like the ordinary blocks: a product of packed and one of unpacked weights differ in their last bits, and
 * an intervention that changes nothing is to change no bit. At most as many as the model has layers are kept, so that they
 * hold one more copy of the blocks' weights at the most; the least recently used goes first.
 */
export class InterventionGraphs {
  /** Least recently used first. */
  private readonly kinds = new Map<string, SessionKind>();

  constructor(
    private readonly config: ModelConfig,
    private readonly weights: ModelWeights,
    private readonly pool: SessionPool,
  ) {}

  /** Frees what is over the limit. Not to be called while another run may use it. */
  async trim(): Promise<void> {
    const oldest = [...this.kinds].slice(0, Math.max(0, this.kinds.size - this.config.nLayers));
    for (const [key, kind] of oldest) {
      this.kinds.delete(key);
      await this.pool.release(kind);
    }
  }

  kind(layer: number, shape: BlockEditShape): SessionKind {
    const key = `${layer} with ${[...shape].map(([hook, steps]) => `${hook}: ${steps.join(', ')}`).join('; ')}`;
    const kind = this.kinds.get(key) ?? {
      ...{ name: `block ${key}`, packed: true, ownedByCaller: true },
      build: () => buildInterventionGraph(this.config, this.weights.blocks[layer], layer, shape),
    };
    this.kinds.delete(key);
    this.kinds.set(key, kind);
    return kind;
  }
}

function shapeOf(ops: readonly EditOp[]): EditShape {
  return ops.map((op) => (op.op !== 'lowRank' ? op.op : typeof op.p === 'number' ? 'lowRank scaled' : 'lowRank mixed'));
}

const partOfTile = ({ firstItem, items, firstRow, rows }: Tile): Part => ({
  firstItem,
  items,
  firstPosition: firstRow,
  positions: rows,
});

/** The inputs of one step for a part of the batch. */
function stepFeeds(hook: BlockHook, index: number, op: EditOp, { axes }: HookEdits, part: Part): Feeds {
  const name = (input: string) => editInput(hook, index, input);
  const own = (array: Broadcast) => {
    const { dims, data } = partOf(array, axes, part);
    return floatTensor(data, dims);
  };
  switch (op.op) {
    case 'affine':
      return { [name('keep')]: own(op.keep), [name('value')]: own(op.value) };
    case 'project':
      return {
        [name('direction')]: floatTensor(op.direction, [op.direction.length]),
        [name('weight')]: own(op.weight),
      };
    case 'permute': {
      const order = op.order.slice(part.firstPosition).map((position) => position - part.firstPosition);
      return { [name('keep')]: own(op.keep), [name('order')]: integerTensor(order) };
    }
    case 'renormalise':
      return { [name('rows')]: own(op.rows) };
    case 'lowRank': {
      const width = op.bias.length;
      const p = typeof op.p === 'number' ? floatTensor(Float32Array.of(op.p), []) : floatTensor(op.p, [width, width]);
      return {
        [name('p')]: p,
        [name('left')]: floatTensor(op.left, [width, op.rank]),
        [name('right')]: floatTensor(op.right, [op.rank, width]),
        [name('bias')]: floatTensor(op.bias, [width]),
        [name('keep')]: own(op.keep),
      };
    }
  }
}

/** Compiled interventions, ready for passes through the blocks. */
export class CompiledEdits {
  private readonly layers = new Map<number, LayerEdits | undefined>();

  constructor(
    private readonly config: ModelConfig,
    private readonly edits: ReadonlyMap<string, HookEdits>,
    private readonly graphs: InterventionGraphs,
  ) {}

  /** Works out all layers, so that the graphs that this run needs are the last to be freed. */
  prepare(): void {
    for (let layer = 0; layer < this.config.nLayers; layer += 1) this.layer(layer);
  }

  /** Edits at a hook outside the blocks. */
  global(hook: GlobalHook): HookEdits | undefined {
    return this.edits.get(hook);
  }

  /** For `StackPass.edits`. */
  readonly layer = (layer: number): LayerEdits | undefined => {
    if (!this.layers.has(layer)) this.layers.set(layer, this.compile(layer));
    return this.layers.get(layer);
  };

  private compile(layer: number): LayerEdits | undefined {
    const at = (hook: BlockHook) => this.edits.get(hookName({ kind: 'block', layer, hook }));
    const [before, after] = [at('hook_resid_pre'), at('hook_resid_post')];
    const readable = graphHooks(this.config);
    const places = [...readable, 'attn.hook_result' as const];
    const inside = places.flatMap((hook) => {
      const own = at(hook);
      return own === undefined ? [] : [{ hook, own }];
    });
    if (before === undefined && after === undefined && inside.length === 0) return undefined;
    const change = (edits: HookEdits | undefined) => (x: Float32Array, tile: Tile) =>
      edits === undefined ? x : applyEdits(edits, partOfTile(tile), x);
    const results = inside.some(({ hook }) => hook === 'attn.hook_result');
    const afterZ = readable.indexOf('attn.hook_z') + 1;
    return {
      kind:
        inside.length === 0
          ? null
          : this.graphs.kind(layer, new Map(inside.map(({ hook, own }) => [hook, shapeOf(own.ops)]))),
      hooks: results ? readable.toSpliced(afterZ, 0, 'attn.hook_result') : readable,
      whole: inside.some(({ own }) => own.ops.some((op) => op.op === 'permute')),
      feeds: (tile) => {
        const part = partOfTile(tile);
        const feeds = inside.flatMap(({ hook, own }) => own.ops.map((op, i) => stepFeeds(hook, i, op, own, part)));
        return Object.assign({}, ...feeds) as Feeds;
      },
      residPre: change(before),
      residPost: change(after),
    };
  }
}
