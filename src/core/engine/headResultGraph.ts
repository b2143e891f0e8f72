import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from './graphBuilder.ts';

/**
 * `hook_result`: z by head `[rows, head, d_head]` → what each head writes `[rows, head, d_model]`, without the bias b_O.
 */
export function buildHeadResultGraph(config: ModelConfig, out: LinearWeights, layer: number): GraphBytes {
  const { nHeads, dHead, dModel } = config;
  const graph = new GraphBuilder(`head results ${layer}`);
  const z = graph.input('z', 'float32', ['rows', nHeads, dHead]);
  const stored = graph.weight(out.weight);
  const byHead =
    out.layout === 'in_out'
      ? graph.reshape(stored, [nHeads, dHead, dModel])
      : graph.transpose(graph.reshape(stored, [dModel, nHeads, dHead]), [1, 2, 0]);
  const results = graph.op('MatMul', [graph.transpose(z, [1, 0, 2]), byHead]);
  graph.output(graph.transpose(results, [1, 0, 2]), 'results', 'float32', ['rows', nHeads, dModel]);
  return graph.finish();
}
