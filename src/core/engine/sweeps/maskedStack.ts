import { throwIfCancelled } from '../../../shared/errors.ts';
import { concatenate, NO_KEYS_VALUES } from '../keysValues.ts';
import type { ModelRunner } from '../modelRunner.ts';
import { type Feeds, floatTensor, integerTensor, type SessionKind } from '../sessionPool.ts';
import type { LayerEdits } from '../stackPass.ts';
import type { ClimbContext } from './climb.ts';
import { buildMaskedBlockGraph, buildMaskedTailGraph, MASK_INPUTS, type MaskParts } from './maskGraph.ts';

/** Which outputs of one layer keep their own values. */
export interface LayerMask {
  /** Equal for equal masks of a layer. */
  readonly key: string;
  /** Whether everything is kept. */
  readonly all: boolean;
  /** 1 kept, 0 replaced: `[items or 1, pos or 1, heads + 1]`, the MLP last. */
  readonly keep: Uint8Array;
  readonly items: number;
  readonly positions: number;
  /** 1 kept, 0 replaced: `[items or 1, pos or 1, d_mlp]`, where single neurons are replaced. */
  readonly neurons?: Uint8Array;
}

/** What stands in for what is not kept in one layer. */
export interface LayerValues {
  /** As many as items (each its own), or 1 for all. */
  readonly count: number;
  /** `[count, pos, head, d_head]` */
  readonly z: Float32Array;
  /** `[count, pos, d_model]` */
  readonly mlp: Float32Array;
  /** `[count, pos, d_mlp]`; there where neurons are replaced. */
  readonly post?: Float32Array;
}

/** The unchanged run of some prompts of one length, and the replacements. */
export interface MaskBase {
  readonly items: number;
  readonly count: number;
  /** resid_pre of a layer, the final stream for `nLayers`: `[items, pos, d_model]`. */
  residual(layer: number): Float32Array;
  values(layer: number): LayerValues;
}

/** Circuits that are still one: whose masks agree in all layers so far. */
interface Branch {
  /** Residual stream `[items, pos, d_model]`; null: the unchanged run's. */
  readonly x: Float32Array | null;
  readonly circuits: readonly number[];
}

interface Job {
  readonly x: Float32Array;
  readonly mask: LayerMask;
  readonly circuits: readonly number[];
}

type Kinds = Readonly<Record<'block' | 'tail', SessionKind>>;

const kindsOf = new WeakMap<ModelRunner, Map<string, Kinds>>();

/** The graphs of a model, made once however many stacks use them. Their weights stay in the file's pages. */
function maskedKinds(runner: ModelRunner, parts: MaskParts): Kinds {
  const { config, weights } = runner;
  const known = kindsOf.get(runner) ?? new Map<string, Kinds>();
  kindsOf.set(runner, known);
  const name = `mlps ${parts.mlps}, neurons ${parts.neurons}`;
  const kinds = known.get(name) ?? {
    block: {
      ...{ name: `masked block, ${name}`, packed: false },
      build: (layer: number) => buildMaskedBlockGraph(config, weights.blocks[layer], layer, parts),
    },
    tail: {
      ...{ name: `masked tail, ${name}`, packed: false },
      build: (layer: number) => buildMaskedTailGraph(config, weights.blocks[layer], layer, parts),
    },
  };
  known.set(name, kinds);
  return kinds;
}

/** Positions of one run of the last block. */
const TAIL_POSITIONS = 1024;

/**
 * Runs many circuits on the same prompts: in each, some heads and MLPs are replaced by given values. Circuits with the same
 * masks up to some layer are run once up to there; layers below the first replacement not at all.
 */
export class MaskedStack {
  /** Σ items × positions over blocks that were run, the last block counted whole. */
  blockPositions = 0;
  private readonly kinds: Kinds;
  /** For layers in which neurons are replaced. */
  private readonly neuronKinds: Kinds;

  /** @param mlps whether mlp_out is ever replaced */
  constructor(
    private readonly runner: ModelRunner,
    private readonly mlps: boolean,
  ) {
    this.kinds = maskedKinds(runner, { mlps, neurons: false });
    this.neuronKinds = maskedKinds(runner, { mlps, neurons: true });
  }

  /**
   * Final residual streams at some positions, for each circuit `[items, rows, d_model]`.
   * @param masks `[circuit][layer]`
   */
  async run(
    base: MaskBase,
    masks: readonly (readonly LayerMask[])[],
    rows: readonly number[],
    context: ClimbContext,
  ): Promise<Float32Array[]> {
    const { nLayers } = this.runner.config;
    let branches: Branch[] = [{ x: null, circuits: masks.map((_, circuit) => circuit) }];
    for (let layer = 0; layer < nLayers; layer += 1) {
      throwIfCancelled(context.signal);
      await context.giveWay?.();
      const kept: Branch[] = [];
      const jobs: Job[] = [];
      for (const { x, circuits } of branches) {
        for (const group of byKey(circuits, (circuit) => masks[circuit][layer].key)) {
          const mask = masks[group[0]][layer];
          if (x === null && mask.all) kept.push({ x, circuits: group });
          else jobs.push({ x: x ?? base.residual(layer), mask, circuits: group });
        }
      }
      this.blockPositions += jobs.length * base.items * base.count;
      const results =
        layer === nLayers - 1
          ? await this.tails(base, layer, jobs, rows, context)
          : await this.blocks(base, layer, jobs, context);
      branches = [...kept, ...jobs.map(({ circuits }, i) => ({ x: results[i], circuits }))];
    }
    const clean = rowsOf(base.residual(nLayers), base, rows);
    const result: Float32Array[] = new Array(masks.length);
    for (const { x, circuits } of branches) {
      for (const circuit of circuits) result[circuit] = x ?? clean;
    }
    return result;
  }

  private kindsFor(jobs: readonly Job[]): Kinds {
    return jobs.some(({ mask }) => mask.neurons !== undefined) ? this.neuronKinds : this.kinds;
  }

  private async blocks(
    base: MaskBase,
    layer: number,
    jobs: readonly Job[],
    { signal }: ClimbContext,
  ): Promise<Float32Array[]> {
    if (jobs.length === 0) return [];
    const edits: LayerEdits = {
      kind: this.kindsFor(jobs).block,
      hooks: [],
      whole: true,
      feeds: ({ firstItem, items }) => this.feeds(base, layer, jobs, firstItem, items),
      residPre: (x) => x,
      residPost: (x) => x,
    };
    const { x } = await this.runner.blocks.forward({
      x: concatenate(jobs.map((job) => job.x)),
      batch: jobs.length * base.items,
      count: base.count,
      start: 0,
      fromLayer: layer,
      toLayer: layer + 1,
      edits: () => edits,
      editedFrom: layer,
      signal,
    });
    return pieces(x, jobs.length);
  }

  private async tails(
    base: MaskBase,
    layer: number,
    jobs: readonly Job[],
    rows: readonly number[],
    { signal }: ClimbContext,
  ): Promise<Float32Array[]> {
    const { dModel } = this.runner.config;
    const width = base.count * dModel;
    const x = concatenate(jobs.map((job) => job.x));
    const all = jobs.length * base.items;
    const result = new Float32Array(all * rows.length * dModel);
    const step = Math.max(1, Math.floor(TAIL_POSITIONS / base.count));
    for (let first = 0; first < all; first += step) {
      const items = Math.min(step, all - first);
      const own = x.subarray(first * width, (first + items) * width);
      const block = { x: own, items, count: base.count, start: 0, past: NO_KEYS_VALUES };
      const edits = { kind: this.kindsFor(jobs).tail, feeds: this.feeds(base, layer, jobs, first, items, rows) };
      result.set(await this.runner.tail.run(layer, block, rows, signal, edits), first * rows.length * dModel);
    }
    return pieces(result, jobs.length);
  }

  /** Masks and values of batch items `first …`; item i of job j is number j · items + i. */
  private feeds(
    base: MaskBase,
    layer: number,
    jobs: readonly Job[],
    first: number,
    count: number,
    rows?: readonly number[],
  ): Feeds {
    const { nHeads, dHead, dModel } = this.runner.config;
    const values = base.values(layer);
    const numbers = Array.from({ length: count }, (_, i) => first + i);
    const own = numbers.map((n) => ({ mask: jobs[Math.floor(n / base.items)].mask, item: n % base.items }));
    const byPosition = own.some(({ mask }) => mask.positions > 1);
    const positions = byPosition ? (rows ?? Array.from({ length: base.count }, (_, i) => i)) : [0];
    const [z, mlp] = [new Float32Array(count * positions.length * nHeads), new Float32Array(count * positions.length)];
    own.forEach(({ mask, item }, i) => {
      positions.forEach((position, p) => {
        const row = (mask.items === 1 ? 0 : item) * mask.positions + (mask.positions === 1 ? 0 : position);
        const at = row * (nHeads + 1);
        z.set(mask.keep.subarray(at, at + nHeads), (i * positions.length + p) * nHeads);
        mlp[i * positions.length + p] = mask.keep[at + nHeads];
      });
    });
    const feeds: Feeds = {
      [MASK_INPUTS.zKeep]: floatTensor(z, [count, positions.length, nHeads, 1]),
      [MASK_INPUTS.zValues]: floatTensor(values.z, [values.count, base.count, nHeads, dHead]),
      [MASK_INPUTS.items]: integerTensor(own.map(({ item }) => (values.count === 1 ? 0 : item))),
    };
    if (!this.mlps) return feeds;
    const all = {
      ...feeds,
      [MASK_INPUTS.mlpKeep]: floatTensor(mlp, [count, positions.length, 1]),
      [MASK_INPUTS.mlpValues]: floatTensor(values.mlp, [values.count, base.count, dModel]),
    };
    if (this.kindsFor(jobs) === this.kinds) return all;
    return { ...all, ...this.neuronFeeds(own, positions, values, base.count) };
  }

  private neuronFeeds(
    own: readonly { readonly mask: LayerMask; readonly item: number }[],
    positions: readonly number[],
    values: LayerValues,
    count: number,
  ): Feeds {
    const { dMlp } = this.runner.config;
    if (values.post === undefined) throw new Error('What stands in for neurons was not made.');
    const keep = new Float32Array(own.length * positions.length * dMlp).fill(1);
    own.forEach(({ mask, item }, i) => {
      const { neurons } = mask;
      if (neurons === undefined) return;
      positions.forEach((position, p) => {
        const row = (mask.items === 1 ? 0 : item) * mask.positions + (mask.positions === 1 ? 0 : position);
        keep.set(neurons.subarray(row * dMlp, (row + 1) * dMlp), (i * positions.length + p) * dMlp);
      });
    });
    return {
      [MASK_INPUTS.neuronKeep]: floatTensor(keep, [own.length, positions.length, dMlp]),
      [MASK_INPUTS.neuronValues]: floatTensor(values.post, [values.count, count, dMlp]),
    };
  }

  /** Frees the graphs of the model; they are made again when needed. */
  async release(): Promise<void> {
    const kinds = [...Object.values(this.kinds), ...Object.values(this.neuronKinds)];
    for (const kind of kinds) await this.runner.pool.release(kind);
  }
}

function byKey(circuits: readonly number[], keyOf: (circuit: number) => string): number[][] {
  const groups = new Map<string, number[]>();
  for (const circuit of circuits) {
    const key = keyOf(circuit);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [circuit]);
    else group.push(circuit);
  }
  return [...groups.values()];
}

function pieces(data: Float32Array, count: number): Float32Array[] {
  const size = data.length / Math.max(1, count);
  return Array.from({ length: count }, (_, i) => data.subarray(i * size, (i + 1) * size));
}

/** Rows of `[items, pos, d_model]`. */
function rowsOf(x: Float32Array, { items, count }: MaskBase, rows: readonly number[]): Float32Array {
  const width = x.length / (items * count);
  const result = new Float32Array(items * rows.length * width);
  for (let item = 0; item < items; item += 1) {
    rows.forEach((row, i) => {
      const at = (item * count + row) * width;
      result.set(x.subarray(at, at + width), (item * rows.length + i) * width);
    });
  }
  return result;
}
