import type { ModelConfig } from '../models/modelConfig.ts';
import type { BlockWeights } from '../models/modelWeights.ts';
import type { HookSink } from './blockGraph.ts';
import type { GraphBuilder } from './graphBuilder.ts';

function activate(graph: GraphBuilder, activation: ModelConfig['mlp']['activation'], x: string): string {
  switch (activation) {
    case 'gelu':
      return graph.op('Gelu', [x], { approximate: 'none' });
    case 'gelu_new':
      return graph.op('Gelu', [x], { approximate: 'tanh' });
    case 'silu':
      return graph.op('Mul', [x, graph.op('Sigmoid', [x])]);
    case 'relu':
      return graph.op('Relu', [x]);
  }
}

/** The MLP from its normed input to mlp_out. */
export function mlp(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: BlockWeights,
  reader: HookSink,
  normed: string,
): string {
  const { in: up, gate, out } = weights.mlp;
  const linear = graph.linear(normed, up);
  let post: string;
  if (gate === null) {
    reader.read('mlp.hook_pre', linear);
    post = activate(graph, config.mlp.activation, linear);
  } else {
    const pre = graph.linear(normed, gate);
    reader.read('mlp.hook_pre', pre);
    reader.read('mlp.hook_pre_linear', linear);
    post = graph.op('Mul', [activate(graph, config.mlp.activation, pre), linear]);
  }
  reader.read('mlp.hook_post', post);
  const result = graph.linear(post, out);
  reader.read('hook_mlp_out', result);
  return result;
}
