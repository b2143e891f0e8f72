import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from './graphBuilder.ts';

/** W_O by head, `[head, d_head, d_model]`. */
export function outputByHead(graph: GraphBuilder, config: ModelConfig, { weight, layout }: LinearWeights): string {
  const { nHeads, dHead, dModel } = config;
  const stored = graph.weight(weight);
  return layout === 'in_out'
    ? graph.reshape(stored, [nHeads, dHead, dModel])
    : graph.transpose(graph.reshape(stored, [dModel, nHeads, dHead]), [1, 2, 0]);
}

/** What each head writes, `[…, pos, head, d_model]`, from z `[…, pos, head, d_head]`; without the bias b_O. */
export function headResults(graph: GraphBuilder, config: ModelConfig, out: LinearWeights, z: string): string {
  const results = graph.op('MatMul', [graph.transpose(z, [0, 2, 1, 3]), outputByHead(graph, config, out)]);
  return graph.transpose(results, [0, 2, 1, 3]);
}

/**
 * `hook_result`: z by head `[batch, rows, head, d_head]` → `results` `[batch, rows, head, d_model]`.
 */
export function buildHeadResultGraph(config: ModelConfig, out: LinearWeights, layer: number): GraphBytes {
  const { nHeads, dHead, dModel } = config;
  const graph = new GraphBuilder(`head results ${layer}`);
  const z = graph.input('z', 'float32', ['batch', 'rows', nHeads, dHead]);
  const results = headResults(graph, config, out, z);
  graph.output(results, 'results', 'float32', ['batch', 'rows', nHeads, dModel]);
  return graph.finish();
}
