import type { ModelConfig } from '../../models/modelConfig.ts';
import { AttentionInputs } from '../attentionInputs.ts';
import { type BlockRows, maskRows } from '../blockTail.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';
import { allFinite, checkFinite, finiteNumbers, isNonFinite } from '../nonFinite.ts';
import { type Feeds, floatTensor, integerTensor, type SessionKind } from '../sessionPool.ts';
import { buildTailGraph, TAIL_INPUTS } from '../tailGraph.ts';
import { buildAttendGraph } from './attendGraph.ts';
import { buildHeadDeltaGraph } from './headDeltaGraph.ts';
import { buildMlpGraph, buildReadMlpGraph, mlpHooks } from './mlpGraph.ts';
import { buildProjectGraph } from './projectGraph.ts';
import { bundleInputs } from './sharedPast.ts';

/** The parts of blocks that sweeps run. Most leave their weights in the file's pages: whole blocks are worth a packed copy. */
export class SweepStack {
  readonly config: ModelConfig;
  private readonly inputs: AttentionInputs;
  private readonly mlpKind: SessionKind;
  private readonly readMlpKind: SessionKind;
  private readonly projectKind: SessionKind;
  private readonly tailKind: SessionKind;
  private readonly deltaKinds = new Map<number, SessionKind>();
  private readonly attendKinds = new Map<number, SessionKind>();

  constructor(readonly runner: ModelRunner) {
    const { config, weights } = runner;
    this.config = config;
    this.inputs = new AttentionInputs(config);
    this.mlpKind = {
      name: 'sweep mlp',
      packed: false,
      build: (layer) => buildMlpGraph(config, weights.blocks[layer], layer),
    };
    this.readMlpKind = {
      name: 'sweep mlp, read',
      packed: false,
      build: (layer) => buildReadMlpGraph(config, weights.blocks[layer], layer),
    };
    // One layer of one model: a sweep runs it for every cell, and a packed copy saves a sixth of it.
    this.tailKind = {
      name: 'sweep tail',
      packed: true,
      ownedByCaller: true,
      build: (layer) => buildTailGraph(config, weights.blocks[layer], layer),
    };
    this.projectKind = {
      name: 'sweep projections',
      packed: false,
      build: (layer) => buildProjectGraph(config, weights.blocks[layer], layer),
    };
  }

  private deltaKind(headsPerGroup: number): SessionKind {
    const { config, weights } = this.runner;
    const kind = this.deltaKinds.get(headsPerGroup) ?? {
      name: `sweep head deltas of ${headsPerGroup}`,
      packed: false,
      build: (layer: number) => buildHeadDeltaGraph(config, weights.blocks[layer].attention.out, layer, headsPerGroup),
    };
    this.deltaKinds.set(headsPerGroup, kind);
    return kind;
  }

  /**
   * What changes of z change in attn_out. `dz` `[cells, rows, width]`, `width` = d_head of one head, or of the neighbouring
   * heads of group `groups[cell]`. Result `[cells, rows, d_model]`.
   */
  async headDelta(
    layer: number,
    dz: Float32Array,
    groups: readonly number[],
    width: number,
    context: RunContext,
  ): Promise<Float32Array> {
    const rows = dz.length / (groups.length * width);
    const feeds = { dz: floatTensor(dz, [groups.length, rows, width]), groups: integerTensor(groups) };
    const kind = this.deltaKind(width / this.config.dHead);
    return await this.one(kind, layer, feeds, 'delta', `blocks.${layer}.hook_attn_out`, context);
  }

  private attendKind(heads: number): SessionKind {
    const kind = this.attendKinds.get(heads) ?? {
      name: `sweep attention of ${heads}`,
      packed: false,
      build: () => buildAttendGraph(this.config, heads),
    };
    this.attendKinds.set(heads, kind);
    return kind;
  }

  /**
   * z of single heads from given queries, keys and values. `q` `[cells, rows, heads · d_head]` of query heads that share the
   * key-value head of their cell, `k`, `v` `[cells, keys, d_head]`; `rows`: absolute positions of the queries.
   * @returns `[cells, rows, heads · d_head]`
   */
  async attend(
    layer: number,
    cells: number,
    { q, k, v }: Readonly<Record<'q' | 'k' | 'v', Float32Array>>,
    rows: readonly number[],
    context: RunContext,
  ): Promise<Float32Array> {
    const { dHead } = this.config;
    const heads = q.length / (cells * rows.length * dHead);
    const keys = k.length / (cells * dHead);
    const { [TAIL_INPUTS.mask]: mask } = this.inputs.feeds(layer, 0, keys);
    const feeds = {
      q: floatTensor(q, [cells, rows.length, heads, dHead]),
      k: floatTensor(k, [cells, keys, dHead]),
      v: floatTensor(v, [cells, keys, dHead]),
      mask: maskRows(mask, rows),
    };
    const attention = `blocks.${layer}.attn`;
    const { z } = await this.runner.pool.run(this.attendKind(heads), 0, feeds, ['z'], context);
    if (!allFinite(z.data as Float32Array)) {
      const scores = scoresOf({ q, k }, cells, rows, dHead, this.config.attention.scale);
      checkFinite(scores, `${attention}.hook_attn_scores`);
    }
    return finiteNumbers(z, `${attention}.hook_z`);
  }

  /** Rotated queries and keys, and values, of all heads, of positions from `start` on: each `[items, pos, heads · d_head]`. */
  async project(
    layer: number,
    x: Float32Array,
    items: number,
    start: number,
    context: RunContext,
  ): Promise<Readonly<Record<'q' | 'k' | 'v', Float32Array>>> {
    const { dModel } = this.config;
    const count = x.length / (items * dModel);
    const { [TAIL_INPUTS.mask]: _mask, ...angles } = this.inputs.feeds(layer, start, count);
    const feeds = { ...angles, x: floatTensor(x, [items, count, dModel]) };
    const result = await this.runner.pool.run(this.projectKind, layer, feeds, ['q', 'k', 'v'], context);
    const of = (name: 'q' | 'k' | 'v') => finiteNumbers(result[name], `blocks.${layer}.attn.hook_${name}`);
    return { q: of('q'), k: of('k'), v: of('v') };
  }

  /** mlp_out `[rows, d_model]` for rows of resid_mid (of resid_pre in parallel models). */
  async mlp(layer: number, input: Float32Array, context: RunContext): Promise<Float32Array> {
    const { dModel, parallelResidual } = this.config;
    const block = `blocks.${layer}`;
    checkFinite(input, `${block}.${parallelResidual ? 'hook_resid_pre' : 'hook_resid_mid'}`);
    const feeds = { input: floatTensor(input, [input.length / dModel, dModel]) };
    const { out } = await this.runner.pool.run(this.mlpKind, layer, feeds, ['out'], context);
    if (!allFinite(out.data as Float32Array)) {
      const hooks = mlpHooks(this.config);
      const read = await this.runner.pool.run(this.readMlpKind, layer, feeds, hooks, context);
      for (const hook of hooks) finiteNumbers(read[hook], `${block}.${hook}`);
    }
    return finiteNumbers(out, `${block}.hook_mlp_out`);
  }

  /** resid_post of a whole block, `[items, count, d_model]`. @throws MechanistError `model-corrupt` naming the first hook */
  async block(layer: number, { x, items, count, start, past }: BlockRows, context: RunContext): Promise<Float32Array> {
    const { signal } = context;
    const pass = { x, batch: items, count, start, past: () => past, fromLayer: layer, toLayer: layer + 1, signal };
    return (await this.runner.blocks.forward(pass)).x;
  }

  /**
   * The same, but a NaN goes on: every layer above, and so the last, has it too. For bundles, too: each item holds the `count`
   * new positions of `copies` runs of one prompt, one run after the other; they share its past and do not see one another.
   * @param into room for `[items, copies · count, d_model]`, used where one run does it all
   */
  async uncheckedBlock(
    layer: number,
    block: BlockRows,
    copies: number,
    into: Float32Array,
    context: RunContext,
  ): Promise<Float32Array> {
    const { blocks } = this.runner;
    const { count, start } = block;
    if (copies === 1 && !blocks.inOnePiece(block)) return await this.block(layer, block, context);
    const single = this.inputs.feeds(layer, start, count);
    const inputs = copies === 1 ? single : bundleInputs(single, copies);
    return await blocks.plainBlock(layer, { ...block, count: copies * count }, inputs, into, context.signal);
  }

  /** resid_post at some of the new positions only, `[items, rows, d_model]`. `rows`: indices into the new positions. */
  async tail(layer: number, block: BlockRows, rows: readonly number[], context: RunContext): Promise<Float32Array> {
    try {
      const edits = { kind: this.tailKind, feeds: {} };
      return await this.runner.tail.run(layer, block, rows, context.signal, edits);
    } catch (error) {
      // The whole block says at which of its hooks.
      if (isNonFinite(error)) await this.block(layer, block, context);
      throw error;
    }
  }

  /** Frees the graphs; the stack can be used again. */
  async release(): Promise<void> {
    const { pool } = this.runner;
    for (const kind of [
      this.tailKind,
      this.mlpKind,
      this.readMlpKind,
      this.projectKind,
      ...this.deltaKinds.values(),
      ...this.attendKinds.values(),
    ])
      await pool.release(kind);
  }

  /** Runs a graph for its one output. @throws MechanistError `model-corrupt` */
  private async one(
    kind: SessionKind,
    layer: number,
    feeds: Feeds,
    output: string,
    hook: string,
    { signal }: RunContext,
  ): Promise<Float32Array> {
    return finiteNumbers((await this.runner.pool.run(kind, layer, feeds, [output], { signal }))[output], hook);
  }
}

/** Scores of each query with the keys that it may look at, one after another, float32: to say where a number is not finite. */
function scoresOf(
  { q, k }: { readonly q: Float32Array; readonly k: Float32Array },
  cells: number,
  rows: readonly number[],
  dHead: number,
  scale: number,
): Float32Array {
  const [perCell, keys] = [q.length / (cells * rows.length * dHead), k.length / (cells * dHead)];
  const scores: number[] = [];
  for (let query = 0; query < q.length / dHead; query += 1) {
    const row = rows[Math.floor(query / perCell) % rows.length];
    const cell = Math.floor(query / (perCell * rows.length));
    for (let key = 0; key <= row; key += 1) {
      let sum = 0;
      for (let i = 0; i < dHead; i += 1) sum += q[query * dHead + i] * k[(cell * keys + key) * dHead + i];
      scores.push(scale * sum);
    }
  }
  return Float32Array.from(scores);
}
