import type { PathNode } from '../../shared/features.ts';
import type { AnalysisContext } from '../analyses/analysisContext.ts';
import type { PositionReadout, PromptActivations } from '../engine/activationCache.ts';
import { PathWeights } from './pathWeights.ts';
import { rowAt } from './vectors.ts';

/** What features are made with. */
export type FeatureContext = Pick<AnalysisContext, 'runner' | 'cache' | 'signal'> & {
  /** Weights that paths share. Absent: each reads its own. */
  readonly pathWeights?: PathWeights;
};

/** For paths that go through the same weights: each is read once. */
export function sharingWeights({ runner, cache, signal, pathWeights = new PathWeights(runner) }: FeatureContext) {
  return { runner, cache, signal, pathWeights };
}

/** Raw activations of one prompt, row by row, from the activation cache. */
export class PromptReader {
  constructor(
    private readonly context: FeatureContext,
    private prompt: PromptActivations,
  ) {}

  /** At most one forward pass, less what the cache knows. @param position that is read out with it */
  static async read(context: FeatureContext, ids: Int32Array, position: number): Promise<PromptReader> {
    const { signal } = context;
    return new PromptReader(context, await context.cache.get(ids, position, { signal }));
  }

  get length(): number {
    return this.prompt.tokens.length;
  }

  private row(rows: Float32Array, position: number): Float64Array {
    return rowAt(rows, position, this.context.runner.config.dModel);
  }

  /** resid_pre of a layer, `[pos, d_model]`. */
  private rowsBefore(layer: number): Promise<Float32Array> {
    return this.context.cache.residualBefore(this.prompt, layer, { signal: this.context.signal });
  }

  /** What the MLP of a layer reads before its norm, `[pos, d_model]`. One block, once. */
  private rowsMid(layer: number): Promise<Float32Array> {
    return this.context.cache.residualMid(this.prompt, layer, { signal: this.context.signal });
  }

  async before(layer: number, position: number): Promise<Float64Array> {
    return this.row(await this.rowsBefore(layer), position);
  }

  /** One row of `rowsMid`: from resid_post and what the MLP wrote, where that is known. */
  async mid(layer: number, position: number): Promise<Float64Array> {
    const { nLayers, parallelResidual } = this.context.runner.config;
    const readout = this.prompt.readouts.get(position);
    if (parallelResidual || readout === undefined) return this.row(await this.rowsMid(layer), position);
    const after = layer + 1 < nLayers ? await this.before(layer + 1, position) : this.final(position);
    return after.map((value, i) => value - readout.mlpOut[layer][i]);
  }

  /** What a node of a path reads, before its norm, `[pos, d_model]`. */
  inputRows(node: PathNode): Promise<Float32Array> {
    return node.kind === 'mlp' ? this.rowsMid(node.layer) : this.rowsBefore(node.kind === 'head' ? node.layer : 0);
  }

  /** One row of `inputRows`. */
  input(node: PathNode, position: number): Promise<Float64Array> {
    if (node.kind === 'mlp') return this.mid(node.layer, position);
    return this.before(node.kind === 'head' ? node.layer : 0, position);
  }

  /** resid_post of the last layer. */
  final(position: number): Float64Array {
    return this.row(this.prompt.final, position);
  }

  /** A position's rows of attention, and what each MLP wrote; one position of a forward pass where nobody asked before. */
  async readout(position: number): Promise<PositionReadout> {
    const known = this.prompt.readouts.get(position);
    if (known !== undefined) return known;
    this.prompt = await this.context.cache.get(this.prompt.tokens, position, { signal: this.context.signal });
    const found = this.prompt.readouts.get(position);
    if (found === undefined) throw new Error(`Position ${position} was not read.`);
    return found;
  }

  /** A head's attention from a query over the positions it may read, `[query + 1]`. */
  async attention(layer: number, head: number, query: number): Promise<Float32Array> {
    const { pattern } = await this.readout(query);
    return pattern[layer].subarray(head * (query + 1), (head + 1) * (query + 1));
  }

  /**
   * The attention of a path's heads, multiplied.
   * @param path nearest the logits first, with tokens
   * @param from where the observable is read
   */
  async attentionAlong(path: readonly PathNode[], from: number): Promise<number> {
    let [share, at] = [1, from];
    for (const node of path) {
      const reads = node.position ?? at;
      if (node.kind === 'head') share *= (await this.attention(node.layer, node.head, at))[reads];
      at = reads;
    }
    return share;
  }

  /** The value vector that a head reads at a position, bias included. `[d_head]` */
  value(layer: number, head: number, position: number): Float32Array {
    const { nHeads, nKeyValueHeads, dHead } = this.context.runner.config;
    const { values, length } = this.prompt.keysValues[layer];
    const at = (Math.floor(head / (nHeads / nKeyValueHeads)) * length + position) * dHead;
    return values.subarray(at, at + dHead);
  }
}
