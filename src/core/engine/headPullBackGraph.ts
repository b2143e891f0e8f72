import type { ModelConfig } from '../models/modelConfig.ts';
import type { BlockWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from './graphBuilder.ts';

/** W_V of each key-value head, `[kvHead, d_head, d_model]`, from wherever the model keeps it. */
function valueMaps(graph: GraphBuilder, config: ModelConfig, { attention: { qkv } }: BlockWeights): string {
  const { nHeads, nKeyValueHeads, dHead, dModel } = config;
  const { weight, layout } = qkv.kind === 'separate' ? qkv.v : qkv.qkv;
  const stored = graph.weight(weight);
  /** `[d_model, kvHead, d_head]` */
  const fromInputs = (x: string) => graph.transpose(x, [1, 2, 0]);
  if (qkv.kind === 'fused-by-head') {
    const third = graph.integers([2]);
    const split = graph.reshape(stored, layout === 'in_out' ? [dModel, nHeads, 3, dHead] : [nHeads, 3, dHead, dModel]);
    const values = graph.op('Gather', [split, third], { axis: layout === 'in_out' ? 2 : 1 });
    return layout === 'in_out'
      ? fromInputs(graph.reshape(values, [dModel, nHeads, dHead]))
      : graph.reshape(values, [nHeads, dHead, dModel]);
  }
  const width = nKeyValueHeads * dHead;
  const own =
    qkv.kind === 'separate'
      ? stored
      : graph.many('Split', [stored, graph.integers([nHeads * dHead, width, width])], 3, {
          axis: layout === 'in_out' ? 1 : 0,
        })[2];
  return layout === 'in_out'
    ? fromInputs(graph.reshape(own, [dModel, nKeyValueHeads, dHead]))
    : graph.reshape(own, [nKeyValueHeads, dHead, dModel]);
}

/**
 * Directions at what a layer's heads write, taken back to what they read: `directions` `[n, d_model]` → `norms`, the lengths of
 * W_V W_O d at the normed input, and `gainedNorms`, those of the same times the gain of the layer's norm; each `[head, n]`. All heads in
 * two products.
 */
export function buildHeadPullBackGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { nHeads, nKeyValueHeads, dHead, dModel } = config;
  const graph = new GraphBuilder(`head pull-back ${layer}`);
  const directions = graph.input('directions', 'float32', ['n', dModel]);
  const { out } = weights.attention;
  const stored = graph.weight(out.weight);
  const read =
    out.layout === 'in_out'
      ? graph.op('FusedMatMul', [directions, stored], { transB: 1 }, MICROSOFT)
      : graph.op('MatMul', [directions, stored]);
  const byHead = graph.transpose(graph.reshape(read, [-1, nHeads, dHead]), [1, 0, 2]);
  // Query heads that share keys and values stand next to each other: one product for each group.
  const grouped = graph.reshape(byHead, [nKeyValueHeads, -1, dHead]);
  const product = graph.op('MatMul', [grouped, valueMaps(graph, config, weights)]);
  const vectors = graph.reshape(product, [nHeads, -1, dModel]);
  const gained = graph.op('Mul', [vectors, graph.weight(weights.norm1.gain)]);
  const last = graph.integers([-1]);
  for (const [name, tensor] of [
    ['norms', vectors],
    ['gainedNorms', gained],
  ] as const) {
    graph.output(graph.op('ReduceL2', [tensor, last], { keepdims: 0 }), name, 'float32', [nHeads, 'n']);
  }
  return graph.finish();
}
