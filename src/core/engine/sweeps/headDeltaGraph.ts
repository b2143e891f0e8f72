import type { ModelConfig } from '../../models/modelConfig.ts';
import type { LinearWeights } from '../../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';

/**
 * What a change of z changes in attn_out, for one group of neighbouring heads a cell: `dz` `[cells, rows, heads · d_head]`
 * and the group of each cell, int64 `[cells]` → `delta` `[cells, rows, d_model]`. 1/n_heads of the whole output map.
 */
export function buildHeadDeltaGraph(
  config: ModelConfig,
  out: LinearWeights,
  layer: number,
  headsPerGroup: number,
): GraphBytes {
  const { nHeads, dHead, dModel } = config;
  const width = headsPerGroup * dHead;
  const graph = new GraphBuilder(`head deltas ${layer}`);
  const dz = graph.input('dz', 'float32', ['cells', 'rows', width]);
  const groups = graph.input('groups', 'int64', ['cells']);
  const stored = graph.weight(out.weight);
  const inFirst = out.layout === 'in_out' ? stored : graph.transpose(stored, [1, 0]);
  const byGroup = graph.reshape(inFirst, [nHeads / headsPerGroup, width, dModel]);
  const delta = graph.op('MatMul', [dz, graph.op('Gather', [byGroup, groups], { axis: 0 })]);
  graph.output(delta, 'delta', 'float32', ['cells', 'rows', dModel]);
  return graph.finish();
}
