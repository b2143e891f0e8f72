import type { ModelConfig } from '../models/modelConfig.ts';
import type { BlockWeights, LinearWeights } from '../models/modelWeights.ts';
import { type GraphBuilder, MICROSOFT } from './graphBuilder.ts';

/** The fused map [q | k | v] as two: the queries', and that of keys and values. Folded when the graph is loaded. */
function splitFused(graph: GraphBuilder, config: ModelConfig, { weight, layout, bias }: LinearWeights) {
  const { nHeads, nKeyValueHeads, dHead } = config;
  const sizes = graph.integers([nHeads * dHead, 2 * nKeyValueHeads * dHead]);
  const matrices = graph.many('Split', [graph.weight(weight), sizes], 2, { axis: layout === 'in_out' ? 1 : 0 });
  const biases = bias === null ? null : graph.many('Split', [graph.weight(bias), sizes], 2, { axis: 0 });
  return [0, 1].map((part) => (x: string) => {
    const product =
      layout === 'in_out'
        ? graph.op('MatMul', [x, matrices[part]])
        : graph.op('FusedMatMul', [x, matrices[part]], { transB: 1 }, MICROSOFT);
    return biases === null ? product : graph.op('Add', [product, biases[part]]);
  });
}

/**
 * q, k, v as `[batch, new, head, d_head]` from the normed input.
 * @param some the rows of which queries are wanted, `[batch, rows, d_model]`; all when absent
 */
export function queryKeyValue(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: BlockWeights,
  all: string,
  some = all,
): string[] {
  const { nHeads, nKeyValueHeads, dHead } = config;
  const { qkv } = weights.attention;
  const byHead = (parts: readonly string[]) =>
    parts.map((part, i) => graph.reshape(part, [0, 0, i === 0 ? nHeads : nKeyValueHeads, dHead]));
  const width = nKeyValueHeads * dHead;
  switch (qkv.kind) {
    case 'separate':
      return byHead([graph.linear(some, qkv.q), graph.linear(all, qkv.k), graph.linear(all, qkv.v)]);
    case 'fused': {
      if (some === all) {
        const sizes = graph.integers([nHeads * dHead, width, width]);
        return byHead(graph.many('Split', [graph.linear(all, qkv.qkv), sizes], 3, { axis: -1 }));
      }
      const [query, keyValue] = splitFused(graph, config, qkv.qkv);
      const [k, v] = graph.many('Split', [keyValue(all), graph.integers([width, width])], 2, { axis: -1 });
      return byHead([query(some), k, v]);
    }
    case 'fused-by-head': {
      const split = (x: string) => {
        const heads = graph.reshape(graph.linear(x, qkv.qkv), [0, 0, nHeads, 3 * dHead]);
        return graph.many('Split', [heads, graph.integers([dHead, dHead, dHead])], 3, { axis: -1 });
      };
      const whole = split(all);
      return some === all ? whole : [split(some)[0], ...whole.slice(1)];
    }
  }
}
