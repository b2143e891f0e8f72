import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights } from '../../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import { mlp } from '../mlpFormula.ts';

/** The second half of a block: its `input` `[rows, d_model]` (resid_mid; resid_pre in parallel models) → `out`, mlp_out. */
export function buildMlpGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const graph = new GraphBuilder(`mlp ${layer}`);
  const input = graph.input('input', 'float32', ['rows', config.dModel]);
  const { normed } = graph.norm(input, weights.norm2, config.norm);
  const unread = { read: () => undefined, readNorm: () => undefined };
  graph.output(mlp(graph, config, weights, unread, normed), 'out', 'float32', ['rows', config.dModel]);
  return graph.finish();
}
