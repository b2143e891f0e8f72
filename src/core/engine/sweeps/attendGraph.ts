import type { ModelConfig } from '../../models/modelConfig.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from '../graphBuilder.ts';

/**
 * Attention of single heads, from projected and rotated inputs; no weights. Each cell has `heads` query heads that share
 * one key-value head. `q` `[cells, rows, heads, d_head]`, `k`, `v` `[cells, keys, d_head]`, `mask` `[1, 1, rows, keys]` →
 * `z` `[cells, rows, heads, d_head]`.
 */
export function buildAttendGraph(config: ModelConfig, heads: number): GraphBytes {
  const { dHead, attention } = config;
  const graph = new GraphBuilder('attend');
  const q = graph.input('q', 'float32', ['cells', 'rows', heads, dHead]);
  const [k, v] = ['k', 'v'].map((name) => graph.input(name, 'float32', ['cells', 'keys', dHead]));
  const mask = graph.input('mask', 'float32', [1, 1, 'rows', 'keys']);
  const size = (tensor: string, axis: number) => graph.op('Shape', [tensor], { start: axis, end: axis + 1 });
  const shape = (...dims: string[]) => graph.op('Concat', dims, { axis: 0 });
  const [cells, rows, keys] = [size(q, 0), size(q, 1), size(k, 1)];
  const queries = graph.reshape(graph.transpose(q, [0, 2, 1, 3]), [0, -1, dHead]);
  const scaled = { transB: 1, alpha: { float: attention.scale } };
  const products = graph.op('FusedMatMul', [queries, k], scaled, MICROSOFT);
  const byHead = graph.op('Reshape', [products, shape(cells, graph.integers([heads]), rows, keys)]);
  const pattern = graph.op('Softmax', [graph.op('Add', [byHead, mask])], { axis: -1 });
  const flat = graph.op('Reshape', [pattern, shape(cells, graph.integers([-1]), keys)]);
  const z = graph.op('Reshape', [
    graph.op('MatMul', [flat, v]),
    shape(cells, graph.integers([heads]), rows, graph.integers([dHead])),
  ]);
  graph.output(graph.transpose(z, [0, 2, 1, 3]), 'z', 'float32', ['cells', 'rows', heads, dHead]);
  return graph.finish();
}
