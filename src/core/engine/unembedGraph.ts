import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from './graphBuilder.ts';

/** The unembedding: `normed` `[rows, d_model]` (after the final norm) → `logits` `[rows, d_vocab]`, and nothing else. */
export function buildUnembedGraph(config: ModelConfig, unembed: LinearWeights): GraphBytes {
  const graph = new GraphBuilder('unembed');
  const normed = graph.input('normed', 'float32', ['rows', config.dModel]);
  graph.output(graph.linear(normed, unembed), 'logits', 'float32', ['rows', config.dVocab]);
  return graph.finish();
}

/**
 * What is asked of whole rows of logits. A graph of its own, without weights: asking for one output of a graph computes all of
 * them, and plain logits must not pay for this. Inputs: `logits` `[rows, d_vocab]`, `k` int64 `[1]`.
 * Outputs: `topLogits` and `topIds` `[rows, k]` (largest first), `logprobs` `[rows, d_vocab]`, `logSumExp` `[rows, 1]`.
 */
export function buildRankGraph(config: ModelConfig): GraphBytes {
  const graph = new GraphBuilder('rank');
  const logits = graph.input('logits', 'float32', ['rows', config.dVocab]);
  const k = graph.input('k', 'int64', [1]);
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
