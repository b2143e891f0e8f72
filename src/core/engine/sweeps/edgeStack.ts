import { AttentionInputs } from '../attentionInputs.ts';
import { BLOCK_INPUTS } from '../blockGraph.ts';
import type { GraphBytes } from '../graphBuilder.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';
import { finiteNumbers } from '../nonFinite.ts';
import { type Feeds, floatTensor, type SessionKind } from '../sessionPool.ts';
import {
  buildEdgeAttentionGraph,
  buildEdgeMlpGraph,
  buildHeadOutputsGraph,
  buildScoresGraph,
  EDGE_INPUTS,
} from './edgeGraphs.ts';

/** Prompts of one length. */
export interface EdgeShape {
  readonly items: number;
  readonly count: number;
}

/** Values that stand in for an output: `[count, pos, …]`, one for each item or one for all. */
export interface StandIn {
  readonly count: number;
  readonly data: Float32Array;
}

/** What the readers of one layer read. */
export interface EdgeReads extends EdgeShape {
  /** The whole stream where they read, `[items, pos, d_model]`. */
  readonly x: Float32Array;
  /** `[writers, items · pos · d_model]`: writers before this layer, each less what would stand in for it. */
  readonly deltas: Float32Array;
  /** `[readers, writers]`: 1 where a reader does not read a writer. */
  readonly removed: Float32Array;
  readonly standIn: StandIn;
}

/** Gradients of the unchanged run at one layer. */
export interface EdgeGradients extends EdgeShape {
  /** resid_pre */
  readonly x: Float32Array;
  readonly deltas: Float32Array;
  /** `[items, pos, head, d_head]` */
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  /** At the stream before the MLP (resid_mid; resid_pre in parallel models) and after it (resid_post). */
  readonly before: Float32Array;
  readonly after: Float32Array;
}

/** Runs blocks by edges: every reader of the residual stream has an input of its own. Weights stay in the file's pages. */
export class EdgeStack {
  private readonly inputs: AttentionInputs;
  private readonly kinds: Readonly<Record<'attention' | 'mlp' | 'heads' | 'scores', SessionKind>>;

  constructor(private readonly runner: ModelRunner) {
    const { config, weights } = runner;
    this.inputs = new AttentionInputs(config);
    const kind = (name: string, build: (layer: number) => GraphBytes): SessionKind => ({ name, packed: false, build });
    const block = (layer: number) => weights.blocks[layer];
    this.kinds = {
      attention: kind('edge attention', (layer) => buildEdgeAttentionGraph(config, block(layer), layer)),
      mlp: kind('edge mlp', (layer) => buildEdgeMlpGraph(config, block(layer), layer)),
      heads: kind('head outputs', (layer) => buildHeadOutputsGraph(config, block(layer).attention.out, layer)),
      scores: kind('edge scores', (layer) => buildScoresGraph(config, block(layer), layer)),
    };
  }

  private shared({ items, count, x, deltas }: EdgeReads | EdgeGradients): Feeds {
    const { dModel } = this.runner.config;
    const writers = deltas.length / (items * count * dModel);
    return {
      [BLOCK_INPUTS.x]: floatTensor(x, [items, count, dModel]),
      [EDGE_INPUTS.deltas]: floatTensor(deltas, [writers, items, count, dModel]),
    };
  }

  private heads({ count: values, data }: StandIn, count: number) {
    const { nHeads, dHead } = this.runner.config;
    return floatTensor(data, [values, count, nHeads, dHead]);
  }

  /**
   * x + attn_out `[items, pos, d_model]`.
   * @param into takes what each head writes less what would stand in for it, `[head, items · pos · d_model]`
   */
  async attention(layer: number, reads: EdgeReads, into: Float32Array, { signal }: RunContext): Promise<Float32Array> {
    const { nHeads, nKeyValueHeads, dModel } = this.runner.config;
    const { items, count, removed, standIn } = reads;
    const readers = nHeads + 2 * nKeyValueHeads;
    const feeds = {
      ...this.shared(reads),
      ...this.inputs.feeds(layer, 0, count),
      [EDGE_INPUTS.removed]: floatTensor(removed, [readers, removed.length / readers]),
      [EDGE_INPUTS.standIn]: this.heads(standIn, count),
    };
    const delta = floatTensor(into, [nHeads, items * count, dModel]);
    const run = await this.runner.pool.run(this.kinds.attention, layer, feeds, ['mid', 'delta'], {
      signal,
      into: { delta },
    });
    return finiteNumbers(run.mid, `blocks.${layer}.hook_resid_mid`);
  }

  /** `sum` + mlp_out `[items, pos, d_model]`. `into`: mlp_out less what would stand in for it. */
  async mlp(
    layer: number,
    reads: EdgeReads & { readonly sum: Float32Array },
    into: Float32Array,
    { signal }: RunContext,
  ): Promise<Float32Array> {
    const { dModel } = this.runner.config;
    const { items, count, removed, standIn, sum } = reads;
    const dims = [items, count, dModel];
    const feeds = {
      ...this.shared(reads),
      [EDGE_INPUTS.removed]: floatTensor(removed, [1, removed.length]),
      [EDGE_INPUTS.standIn]: floatTensor(standIn.data, [standIn.count, count, dModel]),
      [EDGE_INPUTS.sum]: floatTensor(sum, dims),
    };
    const into_ = { delta: floatTensor(into, dims) };
    const run = await this.runner.pool.run(this.kinds.mlp, layer, feeds, ['y', 'delta'], { signal, into: into_ });
    return finiteNumbers(run.y, `blocks.${layer}.hook_resid_post`);
  }

  /** What heads write with z less what they write with what stands in, `[head, items · pos · d_model]`, into `into`. */
  async headDeltas(
    layer: number,
    { items, count, z, standIn }: EdgeShape & { readonly z: Float32Array; readonly standIn: StandIn },
    into: Float32Array,
    { signal }: RunContext,
  ): Promise<void> {
    const { nHeads, dModel } = this.runner.config;
    const feeds = {
      [EDGE_INPUTS.z]: this.heads({ count: items, data: z }, count),
      [EDGE_INPUTS.standIn]: this.heads(standIn, count),
    };
    const delta = floatTensor(into, [nHeads, items * count, dModel]);
    await this.runner.pool.run(this.kinds.heads, layer, feeds, ['delta'], { signal, into: { delta } });
  }

  /** Σ gradient at each reader's input · delta: `[writers, readers + 1]`, the MLP last. */
  async scores(layer: number, own: EdgeGradients, { signal }: RunContext): Promise<Float32Array> {
    const { nHeads, nKeyValueHeads, dHead, dModel } = this.runner.config;
    const { items, count } = own;
    const heads = (data: Float32Array, number: number) => floatTensor(data, [items, count, number, dHead]);
    const feeds = {
      ...this.shared(own),
      [EDGE_INPUTS.dq]: heads(own.q, nHeads),
      [EDGE_INPUTS.dk]: heads(own.k, nKeyValueHeads),
      [EDGE_INPUTS.dv]: heads(own.v, nKeyValueHeads),
      [EDGE_INPUTS.dBefore]: floatTensor(own.before, [items, count, dModel]),
      [EDGE_INPUTS.dAfter]: floatTensor(own.after, [items, count, dModel]),
    };
    const run = await this.runner.pool.run(this.kinds.scores, layer, feeds, ['scores'], { signal });
    return finiteNumbers(run.scores, `blocks.${layer}.hook_resid_pre (gradient)`);
  }

  /** Frees the graphs; the stack can be used again. */
  async release(): Promise<void> {
    for (const kind of Object.values(this.kinds)) await this.runner.pool.release(kind);
  }
}
