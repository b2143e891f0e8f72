import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights } from '../../models/modelWeights.ts';
import { BLOCK_OUTPUTS, blockForward } from '../blockGraph.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import type { BlockHook } from '../hookPoints.ts';
import type { HookSink } from '../hookSink.ts';
import { buildTailGraph } from '../tailGraph.ts';

/** What can be replaced besides heads: mlp_out, and single neurons (`mlp.hook_post`). */
export interface MaskParts {
  readonly mlps: boolean;
  readonly neurons: boolean;
}

/**
 * Inputs of masked graphs besides those of a block: 1 where a head, MLP or neuron keeps its own output, 0 where another stands
 * in, `[batch, pos or 1, head, 1]`, `[batch, pos or 1, 1]` and `[batch, pos or 1, d_mlp]`; those others,
 * `[values, pos, head, d_head]`, `[values, pos, d_model]` and `[values, pos, d_mlp]`; and which of the values is each batch
 * item's, int64 `[batch]`.
 */
export const MASK_INPUTS = {
  zKeep: 'keep.z',
  zValues: 'values.z',
  mlpKeep: 'keep.mlp',
  mlpValues: 'values.mlp',
  neuronKeep: 'keep.post',
  neuronValues: 'values.post',
  items: 'values.of',
} as const;

/** Puts replacements in the place of heads' z, of neurons and of mlp_out while a block is built. */
class MaskSink implements HookSink {
  private readonly items: string;

  /** @param rows the positions at which the graph computes z and mlp_out; null: all */
  constructor(
    private readonly graph: GraphBuilder,
    private readonly config: ModelConfig,
    private readonly parts: MaskParts,
    private readonly rows: string | null,
  ) {
    this.items = graph.input(MASK_INPUTS.items, 'int64', ['batch']);
  }

  read(): void {}

  readNorm(): void {}

  edit(hook: BlockHook, tensor: string): string {
    const { nHeads, dHead, dModel, dMlp } = this.config;
    const { mlps, neurons } = this.parts;
    if (hook === 'attn.hook_z') return this.masked(tensor, MASK_INPUTS.zKeep, MASK_INPUTS.zValues, [nHeads, dHead]);
    if (hook === 'mlp.hook_post' && neurons) {
      return this.masked(tensor, MASK_INPUTS.neuronKeep, MASK_INPUTS.neuronValues, [dMlp], dMlp);
    }
    if (hook !== 'hook_mlp_out' || !mlps) return tensor;
    return this.masked(tensor, MASK_INPUTS.mlpKeep, MASK_INPUTS.mlpValues, [dModel]);
  }

  /** A choice, not a sum: what is kept keeps every bit, and a NaN of what is not kept goes no further. */
  private masked(own: string, keepName: string, valuesName: string, inner: readonly number[], width = 1): string {
    const { graph } = this;
    const keep = graph.input(keepName, 'float32', ['batch', `rows of ${keepName}`, ...inner.slice(0, -1), width]);
    const stored = graph.input(valuesName, 'float32', ['values', 'positions', ...inner]);
    const some = this.rows === null ? stored : graph.op('Gather', [stored, this.rows], { axis: 1 });
    const values = graph.op('Gather', [some, this.items], { axis: 0 });
    const half = graph.floats(Float32Array.of(0.5), []);
    return graph.op('Where', [graph.op('Greater', [keep, half]), own, values]);
  }
}

/** The graph of a block in which the outputs of heads (and of the MLP, or its neurons) can be replaced, item by item. */
export function buildMaskedBlockGraph(
  config: ModelConfig,
  weights: BlockWeights,
  layer: number,
  parts: MaskParts,
): GraphBytes {
  const graph = new GraphBuilder(`masked block ${layer}`);
  const y = blockForward(graph, config, weights, new MaskSink(graph, config, parts, null));
  graph.output(y, BLOCK_OUTPUTS.y, 'float32', ['batch', 'new', config.dModel]);
  return graph.finish();
}

/** The same for a few rows of a block's output. */
export function buildMaskedTailGraph(
  config: ModelConfig,
  weights: BlockWeights,
  layer: number,
  parts: MaskParts,
): GraphBytes {
  return buildTailGraph(config, weights, layer, (graph, rows) => new MaskSink(graph, config, parts, rows));
}
