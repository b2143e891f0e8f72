import type { PathPatchRequest } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import { concatenate } from '../engine/keysValues.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import { type CellRun, type GroupRuns, pickRows } from './gridPlan.ts';
import { queryHook } from './patchHeads.ts';

export type Receiver = Exclude<PathPatchRequest['receivers'], 'final'>[number];

/** Replaced inputs of one layer. */
interface Replaced {
  /** Index into `cells` of `Receivers` for each run that has them. */
  readonly runs: ReadonlyMap<CellRun, number>;
  /** `[runs, pos from the first change on, heads · d_head]` */
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Activations of a layer of run 2 before the receivers' inputs are replaced, for all cells. */
interface Present {
  /** `[cells, pos, head · d_head]` */
  readonly q: Float32Array;
  readonly z: Float32Array;
  /** Rotated keys, and values, `[cells, kvHead, pos, d_head]`. */
  readonly keys: Float32Array;
  readonly values: Float32Array;
  /** resid_mid; resid_post in parallel models. `[cells, pos, d_model]` */
  readonly stream: Float32Array;
}

/** Run 2 of path patching: the base run with the receivers' q, k or v from run 1. */
export class Receivers {
  private readonly replaced = new Map<number, Replaced>();

  constructor(
    private readonly stack: SweepStack,
    private readonly runs: GroupRuns,
    private readonly cells: readonly CellRun[],
    private readonly receivers: readonly Receiver[],
    /** Position before which nothing differs from the base run: it is not run again. */
    private readonly first: number,
    private readonly context: ClimbContext,
  ) {}

  hasLayer(layer: number): boolean {
    return this.receivers.some((receiver) => receiver.layer === layer);
  }

  /** Takes the inputs of a layer's heads from run 1: its stream before the layer from the first change on. */
  async read(layer: number, cells: readonly CellRun[], stream: Float32Array): Promise<void> {
    const inputs = await this.stack.project(layer, stream, cells.length, this.first, this.context);
    this.replaced.set(layer, { runs: new Map(cells.map((cell, i) => [cell, i])), ...inputs });
  }

  /** The stream of run 2 after the highest receiver, at the positions named, `[cells, positions, d_model]`. */
  async run(highest: number, positions: readonly number[]): Promise<Float32Array> {
    const { base } = this.runs;
    const changed = Array.from({ length: base.count - this.first }, (_, i) => this.first + i);
    const lowest = Math.min(...this.replaced.keys());
    let x: Float32Array | null = null;
    for (let layer = lowest; layer < highest; layer += 1) {
      await this.context.giveWay?.();
      const rows: Float32Array | null = this.replaced.has(layer)
        ? await this.receive(layer, x, changed)
        : x && (await this.stack.block(layer, this.rowsOf(layer, x), this.context));
      x = rows && this.over(pickRows(base.residual(layer + 1), base, this.cells, this.everywhere), rows);
    }
    return await this.receive(highest, x, positions);
  }

  private get everywhere(): number[] {
    return Array.from({ length: this.runs.base.count }, (_, position) => position);
  }

  /** Writes rows from the first change on, `[cells, pos, …]`, over those of whole prompts. */
  private over(whole: Float32Array, rows: Float32Array): Float32Array {
    const [size, own] = [whole.length / this.cells.length, rows.length / this.cells.length];
    this.cells.forEach((_, c) => {
      whole.set(rows.subarray(c * own, (c + 1) * own), (c + 1) * size - own);
    });
    return whole;
  }

  private rowsOf(layer: number, x: Float32Array) {
    const { base } = this.runs;
    const { dModel } = this.stack.config;
    const count = base.count - this.first;
    const changed = Array.from({ length: count }, (_, i) => this.first + i);
    const items = this.cells.map(({ item }) => item);
    const past = base.past(layer, this.first, items);
    return { x: this.pick(x, dModel, changed), items: items.length, count, start: this.first, past };
  }

  /** A layer with receivers: what its heads do with the replaced inputs instead of their own. */
  private async receive(layer: number, x: Float32Array | null, positions: readonly number[]): Promise<Float32Array> {
    const { config } = this.stack;
    const now = x === null ? this.ofBase(layer) : await this.present(layer, x);
    const stream = this.pick(now.stream, config.dModel, positions);
    const replaced = this.replaced.get(layer);
    const groups = new Set(this.receivers.filter((one) => one.layer === layer).map(({ head }) => this.groupOf(head)));
    for (const group of groups) {
      if (replaced === undefined) break;
      const delta = await this.groupDelta(layer, group, now, replaced, positions);
      for (let i = 0; i < stream.length; i += 1) stream[i] += delta[i];
    }
    if (config.parallelResidual) return stream;
    const out = await this.stack.mlp(layer, stream, this.context);
    return stream.map((value, i) => value + out[i]);
  }

  private groupOf(head: number): number {
    const { nHeads, nKeyValueHeads } = this.stack.config;
    return Math.floor(head / (nHeads / nKeyValueHeads));
  }

  /** What the heads of one key-value head write more than before, `[cells, positions, d_model]`. */
  private async groupDelta(
    layer: number,
    group: number,
    now: Present,
    replaced: Replaced,
    positions: readonly number[],
  ): Promise<Float32Array> {
    const { dHead, nHeads, nKeyValueHeads } = this.stack.config;
    const perGroup = nHeads / nKeyValueHeads;
    const width = perGroup * dHead;
    const all = Array.from({ length: this.runs.base.count }, (_, position) => position);
    const heads = (data: Float32Array, at: readonly number[]) =>
      this.columns(data, nHeads * dHead, group * width, width, at);
    const q = heads(now.q, positions);
    const [k, v] = [now.keys, now.values].map((data) => this.keyHead(data, group));
    for (const { head, input } of this.at(layer, group)) {
      if (input === 'q')
        this.replace(q, width, (head % perGroup) * dHead, replaced, replaced.q, head * dHead, positions);
      else {
        const [own, other] = input === 'k' ? [k, replaced.k] : [v, replaced.v];
        this.replace(own, dHead, 0, replaced, other, group * dHead, all);
      }
    }
    const z = await this.stack.attend(layer, this.cells.length, { q, k, v }, positions, this.context);
    const own = heads(now.z, positions);
    for (let i = 0; i < z.length; i += 1) z[i] -= own[i];
    return await this.stack.headDelta(layer, z, [group], width, this.context);
  }

  private at(layer: number, group: number): Receiver[] {
    return this.receivers.filter((one) => one.layer === layer && this.groupOf(one.head) === group);
  }

  /** Writes d_head columns of run 1's inputs over those of the cells that have them. */
  private replace(
    target: Float32Array,
    width: number,
    at: number,
    { runs }: Replaced,
    source: Float32Array,
    from: number,
    positions: readonly number[],
  ): void {
    const { dHead } = this.stack.config;
    const count = this.runs.base.count - this.first;
    const sourceWidth = source.length / (runs.size * count);
    this.cells.forEach((cell, c) => {
      const run = runs.get(cell);
      if (run === undefined) return;
      positions.forEach((position, p) => {
        // Before the first change, run 1 has what is there already.
        if (position < this.first) return;
        const start = (run * count + position - this.first) * sourceWidth + from;
        target.set(source.subarray(start, start + dHead), (c * positions.length + p) * width + at);
      });
    });
  }

  /** Columns of `[cells, pos, all]` at some positions: `[cells, positions, width]`. */
  private columns(
    data: Float32Array,
    all: number,
    from: number,
    width: number,
    positions: readonly number[],
  ): Float32Array {
    const { count } = this.runs.base;
    const result = new Float32Array(this.cells.length * positions.length * width);
    this.cells.forEach((_, c) => {
      positions.forEach((position, p) => {
        const start = (c * count + position) * all + from;
        result.set(data.subarray(start, start + width), (c * positions.length + p) * width);
      });
    });
    return result;
  }

  private pick(data: Float32Array, width: number, positions: readonly number[]): Float32Array {
    return this.columns(data, width, 0, width, positions);
  }

  /** The same for `[cells, kvHead, pos, d_head]`. */
  private overHeads(whole: Float32Array, rows: Float32Array): Float32Array {
    const heads = this.cells.length * this.stack.config.nKeyValueHeads;
    const [size, own] = [whole.length / heads, rows.length / heads];
    for (let head = 0; head < heads; head += 1) {
      whole.set(rows.subarray(head * own, (head + 1) * own), (head + 1) * size - own);
    }
    return whole;
  }

  /** One head of `[cells, kvHead, pos, d_head]`: `[cells, pos, d_head]`. */
  private keyHead(data: Float32Array, head: number): Float32Array {
    const { nKeyValueHeads, dHead } = this.stack.config;
    const size = this.runs.base.count * dHead;
    return concatenate(
      this.cells.map((_, c) => {
        const from = (c * nKeyValueHeads + head) * size;
        return data.subarray(from, from + size);
      }),
    );
  }

  /** While nothing has changed below: the base run's own activations, one copy a cell. */
  private ofBase(layer: number): Present {
    const { base } = this.runs;
    const { config } = this.stack;
    const of = (data: Float32Array) => pickRows(data, base, this.cells, this.everywhere);
    const { keys, values } = base.keysValuesOf(layer);
    const size = keys.length / base.items;
    const items = (data: Float32Array) =>
      concatenate(this.cells.map(({ item }) => data.subarray(item * size, (item + 1) * size)));
    const stream = config.parallelResidual ? base.residual(layer + 1) : base.at(layer, 'hook_resid_mid');
    return {
      q: of(base.at(layer, queryHook(config))),
      z: of(base.at(layer, 'attn.hook_z')),
      keys: items(keys),
      values: items(values),
      stream: of(stream),
    };
  }

  /** The same of a layer whose input has changed: a block run with its hooks read. */
  private async present(layer: number, x: Float32Array): Promise<Present> {
    const { config, runner } = this.stack;
    const mid: BlockHook[] = config.parallelResidual ? [] : ['hook_resid_mid'];
    const hooks: BlockHook[] = [queryHook(config), 'attn.hook_z', ...mid];
    const { x: rows, items, count, start, past } = this.rowsOf(layer, x);
    const result = await runner.blocks.forward({
      ...{ x: rows, batch: items, count, start, past: () => past, fromLayer: layer, toLayer: layer + 1 },
      reads: { hooks: new Map([[layer, hooks]]), rows: Int32Array.from({ length: count }, (_, row) => row) },
      keepKeysValues: true,
      signal: this.context.signal,
    });
    const of = (hook: BlockHook) => result.reads.get(layer, hook).data;
    const [{ keys, values }] = result.keysValues;
    const whole = this.ofBase(layer);
    return {
      q: this.over(whole.q, of(queryHook(config))),
      z: this.over(whole.z, of('attn.hook_z')),
      keys: this.overHeads(whole.keys, keys),
      values: this.overHeads(whole.values, values),
      stream: this.over(whole.stream, config.parallelResidual ? result.x : of('hook_resid_mid')),
    };
  }
}
