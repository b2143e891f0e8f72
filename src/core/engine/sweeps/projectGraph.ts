import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights } from '../../models/modelWeights.ts';
import { BLOCK_INPUTS, rotate } from '../blockGraph.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import { queryKeyValue } from '../queryKeyValue.ts';

/** What heads read: `x` `[batch, new, d_model]` → rotated `q`, `k`, and `v`, each `[batch, new, head, d_head]`. */
export function buildProjectGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { dModel, dHead, nHeads, nKeyValueHeads, positions } = config;
  const graph = new GraphBuilder(`projections ${layer}`);
  const x = graph.input(BLOCK_INPUTS.x, 'float32', ['batch', 'new', dModel]);
  const { normed } = graph.norm(x, weights.norm1, config.norm);
  let [q, k, v] = queryKeyValue(graph, config, weights, normed);
  if (positions.kind === 'rotary') {
    for (const name of [BLOCK_INPUTS.cos, BLOCK_INPUTS.sin]) {
      graph.input(name, 'float32', [1, 'new', 1, positions.rotaryDims / 2]);
    }
    [q, k] = [q, k].map((tensor) => rotate(graph, positions, dHead, tensor));
  }
  graph.output(q, 'q', 'float32', ['batch', 'new', nHeads, dHead]);
  graph.output(k, 'k', 'float32', ['batch', 'new', nKeyValueHeads, dHead]);
  graph.output(v, 'v', 'float32', ['batch', 'new', nKeyValueHeads, dHead]);
  return graph.finish();
}
