import type { ModelConfig } from '../models/modelConfig.ts';
import type { BlockWeights } from '../models/modelWeights.ts';
import type { GraphBuilder } from './graphBuilder.ts';
import { type HookSink, passHook } from './hookSink.ts';

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
  const plain = graph.linear(normed, up);
  let post: string;
  if (gate === null) {
    post = activate(graph, config.mlp.activation, passHook(reader, 'mlp.hook_pre', plain));
  } else {
    const pre = passHook(reader, 'mlp.hook_pre', graph.linear(normed, gate));
    const linear = passHook(reader, 'mlp.hook_pre_linear', plain);
    post = graph.op('Mul', [activate(graph, config.mlp.activation, pre), linear]);
  }
  return passHook(reader, 'hook_mlp_out', graph.linear(passHook(reader, 'mlp.hook_post', post), out));
}
