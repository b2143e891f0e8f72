import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from './graphBuilder.ts';

/**
 * The unembedding, with everything that reduces a row of logits done inside, so that `[rows, d_vocab]` need not leave
 * the graph, or can be written into memory that is used again. Inputs: `normed` `[rows, d_model]` (after the final norm), `columns` int64 `[columns]`, `k` int64 `[1]`.
 * Outputs: `logits` and `logprobs` `[rows, d_vocab]`, `columnLogits` `[rows, columns]`, `topLogits` and `topIds` `[rows, k]` (largest
 * first), `logSumExp` `[rows, 1]`.
 */
export function buildUnembedGraph(config: ModelConfig, unembed: LinearWeights): GraphBytes {
  const graph = new GraphBuilder('unembed');
  const normed = graph.input('normed', 'float32', ['rows', config.dModel]);
  const columns = graph.input('columns', 'int64', ['columns']);
  const k = graph.input('k', 'int64', [1]);
  const logits = graph.linear(normed, unembed);
  graph.output(logits, 'logits', 'float32', ['rows', config.dVocab]);
  graph.output(graph.op('Gather', [logits, columns], { axis: 1 }), 'columnLogits', 'float32', ['rows', 'columns']);
  const [topLogits, topIds] = graph.many('TopK', [logits, k], 2, { axis: -1, largest: 1, sorted: 1 });
  graph.output(topLogits, 'topLogits', 'float32', ['rows', 'k']);
  graph.output(topIds, 'topIds', 'int64', ['rows', 'k']);
  // One kernel gives the softmax's denominator: a logit minus its log-probability.
  const logprobs = graph.op('LogSoftmax', [logits], { axis: -1 });
  graph.output(logprobs, 'logprobs', 'float32', ['rows', config.dVocab]);
  const first = (x: string) => graph.op('Slice', [x, graph.integers([0]), graph.integers([1]), graph.integers([1])]);
  graph.output(graph.op('Sub', [first(logits), first(logprobs)]), 'logSumExp', 'float32', ['rows', 1]);
  return graph.finish();
}
