import type { ModelConfig } from '../models/modelConfig.ts';
import type { BlockWeights } from '../models/modelWeights.ts';
import { attend, BLOCK_INPUTS, rotate, withPast } from './blockGraph.ts';
import { GraphBuilder, type GraphBytes } from './graphBuilder.ts';
import { type HookSink, passHook } from './hookSink.ts';
import { mlp } from './mlpFormula.ts';
import { queryKeyValue } from './queryKeyValue.ts';

/** Inputs of a tail graph beside those of a block; `mask` has one row for each row of `rows`. */
export const TAIL_INPUTS = { ...BLOCK_INPUTS, rows: 'rows' } as const;

const UNREAD: HookSink = { read: () => undefined, readNorm: () => undefined };

/**
 * A block whose output is wanted at some positions only: keys and values of all new positions, everything else for the
 * rows in `rows` (int64, indices into the new positions). Output `y` `[batch, rows, d_model]`.
 * About 1/6 of a block for one row of many.
 * @param sinkOf what changes z and mlp_out at those rows, if anything
 */
export function buildTailGraph(
  config: ModelConfig,
  weights: BlockWeights,
  layer: number,
  sinkOf: (graph: GraphBuilder, rows: string) => HookSink = () => UNREAD,
): GraphBytes {
  const { dModel, dHead, nKeyValueHeads, positions } = config;
  const graph = new GraphBuilder(`tail ${layer}`);
  const x = graph.input(TAIL_INPUTS.x, 'float32', ['batch', 'new', dModel]);
  graph.input(TAIL_INPUTS.mask, 'float32', ['batch of mask', 1, 'rows', 'keys']);
  const rows = graph.input(TAIL_INPUTS.rows, 'int64', ['rows']);
  const sink = sinkOf(graph, rows);
  const pick = (tensor: string) => graph.op('Gather', [tensor, rows], { axis: 1 });
  const normed = graph.norm(x, weights.norm1, config.norm).normed;
  const own = pick(x);
  let [q, k, v] = queryKeyValue(graph, config, weights, normed, pick(normed));
  if (positions.kind === 'rotary') {
    const dims = [1, 'new', 1, positions.rotaryDims / 2];
    for (const name of [TAIL_INPUTS.cos, TAIL_INPUTS.sin]) graph.input(name, 'float32', dims);
    const ofRows = { cos: pick(TAIL_INPUTS.cos), sin: pick(TAIL_INPUTS.sin) };
    q = rotate(graph, positions, dHead, q, ofRows);
    k = rotate(graph, positions, dHead, k);
  }
  for (const name of [TAIL_INPUTS.pastKeys, TAIL_INPUTS.pastValues]) {
    graph.input(name, 'float32', ['batch of past', nKeyValueHeads, 'past', dHead]);
  }
  const batch = graph.op('Shape', [x], { start: 0, end: 1 });
  const [keys, values] = [k, v].map((tensor) => graph.transpose(tensor, [0, 2, 1, 3]));
  const mixed = attend(graph, config, UNREAD, q, {
    keys: withPast(graph, TAIL_INPUTS.pastKeys, batch, keys),
    values: withPast(graph, TAIL_INPUTS.pastValues, batch, values),
  });
  const z = passHook(sink, 'attn.hook_z', mixed);
  const attnOut = graph.linear(graph.reshape(z, [0, 0, -1]), weights.attention.out);
  const mid = graph.op('Add', [own, attnOut]);
  const mlpInput = config.parallelResidual ? own : mid;
  const mlpOut = mlp(graph, config, weights, sink, graph.norm(mlpInput, weights.norm2, config.norm).normed);
  graph.output(graph.op('Add', [mid, mlpOut]), 'y', 'float32', ['batch', 'rows', dModel]);
  return graph.finish();
}
