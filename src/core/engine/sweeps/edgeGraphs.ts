import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights, LinearWeights, NormWeights } from '../../models/modelWeights.ts';
import { attend, BLOCK_INPUTS, rotate } from '../blockGraph.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from '../graphBuilder.ts';
import type { HookSink } from '../hookSink.ts';
import { mlp } from '../mlpFormula.ts';

/** Inputs of the graphs of this file besides those of a block. */
export const EDGE_INPUTS = {
  /** What writers add less what would stand in for it, `[writers, batch, pos, d_model]`. */
  deltas: 'deltas',
  /** 1 where a reader does not read a writer, `[readers, writers]`. */
  removed: 'removed',
  z: 'z',
  /** What stands in for z `[1 or batch, pos, head, d_head]`, or for mlp_out. */
  standIn: 'stand.in',
  /** What mlp_out is added to, `[batch, pos, d_model]`. */
  sum: 'sum',
  dq: 'd.q',
  dk: 'd.k',
  dv: 'd.v',
  /** Gradients of the stream before and after the MLP. */
  dBefore: 'd.before',
  dAfter: 'd.after',
} as const;

const UNREAD: HookSink = { read: () => undefined, readNorm: () => undefined };

interface ByHead {
  /** `[head, d_model, d_head]` */
  readonly weight: string;
  /** `[head, 1, d_head]` */
  readonly bias: string | null;
}

/** A linear map into heads, taken apart by head. */
function byHead(
  graph: GraphBuilder,
  config: ModelConfig,
  { weight, layout, bias }: LinearWeights,
  heads: number,
): ByHead {
  const { dModel, dHead } = config;
  const stored = graph.weight(weight);
  return {
    weight:
      layout === 'in_out'
        ? graph.transpose(graph.reshape(stored, [dModel, heads, dHead]), [1, 0, 2])
        : graph.transpose(graph.reshape(stored, [heads, dHead, dModel]), [0, 2, 1]),
    bias: bias === null ? null : graph.reshape(graph.weight(bias), [heads, 1, dHead]),
  };
}

/** The maps to q, k and v by head. Reshaping weights is done once, when the graph is loaded. */
export function headMaps(graph: GraphBuilder, config: ModelConfig, { attention }: BlockWeights): ByHead[] {
  const { nHeads, nKeyValueHeads, dModel, dHead } = config;
  const { qkv } = attention;
  if (qkv.kind === 'separate') {
    return [
      byHead(graph, config, qkv.q, nHeads),
      byHead(graph, config, qkv.k, nKeyValueHeads),
      byHead(graph, config, qkv.v, nKeyValueHeads),
    ];
  }
  const { weight, layout, bias } = qkv.qkv;
  const whole = layout === 'in_out' ? graph.transpose(graph.weight(weight), [1, 0]) : graph.weight(weight);
  const neox = qkv.kind === 'fused-by-head';
  const sizes = neox ? [dHead, dHead, dHead] : [nHeads, nKeyValueHeads, nKeyValueHeads].map((heads) => heads * dHead);
  const apart = (tensor: string, width: number) => {
    const grouped = neox ? graph.reshape(tensor, [nHeads, 3 * dHead, width]) : graph.reshape(tensor, [-1, width]);
    const parts = graph.many('Split', [grouped, graph.integers(sizes)], 3, { axis: neox ? 1 : 0 });
    return parts.map((part) => graph.reshape(part, [-1, dHead, width]));
  };
  const weights = apart(whole, dModel).map((part) => graph.transpose(part, [0, 2, 1]));
  const biases = bias === null ? null : apart(graph.weight(bias), 1).map((part) => graph.reshape(part, [-1, 1, dHead]));
  return weights.map((own, i) => ({ weight: own, bias: biases?.[i] ?? null }));
}

/** What heads write, `[head, batch · pos, d_model]`, from `z` `[batch, pos, head, d_head]`; without b_O. */
function headOutputs(graph: GraphBuilder, config: ModelConfig, out: LinearWeights, z: string): string {
  const { nHeads, dHead, dModel } = config;
  const stored = graph.weight(out.weight);
  const weights =
    out.layout === 'in_out'
      ? graph.reshape(stored, [nHeads, dHead, dModel])
      : graph.transpose(graph.reshape(stored, [dModel, nHeads, dHead]), [1, 2, 0]);
  const rows = graph.transpose(graph.reshape(z, [-1, nHeads, dHead]), [1, 0, 2]);
  return graph.op('MatMul', [rows, weights]);
}

/** x less the removed writers' deltas, for each reader: `[readers, batch · pos, d_model]`. */
function readerInputs(graph: GraphBuilder, config: ModelConfig, x: string, readers: number): string {
  const { dModel } = config;
  const deltas = graph.input(EDGE_INPUTS.deltas, 'float32', ['writers', 'batch', 'new', dModel]);
  const removed = graph.input(EDGE_INPUTS.removed, 'float32', [readers, 'writers']);
  const flat = graph.reshape(deltas, [0, -1]);
  const missing = graph.reshape(graph.op('MatMul', [removed, flat]), [readers, -1, dModel]);
  return graph.op('Sub', [graph.reshape(x, [1, -1, dModel]), missing]);
}

/**
 * Attention of a block in which every head's q, k and v has an input of its own: `x` (resid_pre) less the deltas of removed
 * writers. Outputs `mid` = x + attn_out `[batch, new, d_model]`, and `delta` `[head, batch · new, d_model]`: what each head
 * writes less what would stand in for it.
 */
export function buildEdgeAttentionGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { nHeads, nKeyValueHeads, dHead, dModel, positions } = config;
  const graph = new GraphBuilder(`edges into attention ${layer}`);
  const x = graph.input(BLOCK_INPUTS.x, 'float32', ['batch', 'new', dModel]);
  graph.input(BLOCK_INPUTS.mask, 'float32', ['batch of mask', 1, 'new', 'keys']);
  const inputs = readerInputs(graph, config, x, nHeads + 2 * nKeyValueHeads);
  const { normed } = graph.norm(inputs, weights.norm1, config.norm);
  const counts = graph.integers([nHeads, nKeyValueHeads, nKeyValueHeads]);
  const read = graph.many('Split', [normed, counts], 3, { axis: 0 });
  const rows = graph.op('Shape', [x], { start: 0, end: 2 });
  const maps = headMaps(graph, config, weights);
  let [q, k, v] = maps.map((map, i) => {
    const product = graph.op('MatMul', [read[i], map.weight]);
    const own = map.bias === null ? product : graph.op('Add', [product, map.bias]);
    const heads = graph.integers([i === 0 ? nHeads : nKeyValueHeads]);
    const shape = graph.op('Concat', [heads, rows, graph.integers([dHead])], { axis: 0 });
    return graph.transpose(graph.op('Reshape', [own, shape]), [1, 2, 0, 3]);
  });
  if (positions.kind === 'rotary') {
    const dims = ['batch of positions', 'new', 1, positions.rotaryDims / 2];
    for (const name of [BLOCK_INPUTS.cos, BLOCK_INPUTS.sin]) graph.input(name, 'float32', dims);
    [q, k] = [q, k].map((tensor) => rotate(graph, positions, dHead, tensor));
  }
  const [keys, values] = [k, v].map((tensor) => graph.transpose(tensor, [0, 2, 1, 3]));
  const z = attend(graph, config, UNREAD, q, { keys, values });
  const attnOut = graph.linear(graph.reshape(z, [0, 0, -1]), weights.attention.out);
  const standIn = graph.input(EDGE_INPUTS.standIn, 'float32', ['values', 'new', nHeads, dHead]);
  const delta = headOutputs(graph, config, weights.attention.out, graph.op('Sub', [z, standIn]));
  graph.output(graph.op('Add', [x, attnOut]), 'mid', 'float32', ['batch', 'new', dModel]);
  graph.output(delta, 'delta', 'float32', [nHeads, 'rows', dModel]);
  return graph.finish();
}

/**
 * The MLP of a block from an input of its own: `x` less the deltas of removed writers. Outputs `y` = sum + mlp_out, and
 * `delta` = mlp_out less what would stand in for it, each `[batch, new, d_model]`.
 */
export function buildEdgeMlpGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { dModel } = config;
  const graph = new GraphBuilder(`edges into MLP ${layer}`);
  const dims = ['batch', 'new', dModel];
  const x = graph.input(BLOCK_INPUTS.x, 'float32', dims);
  const sum = graph.input(EDGE_INPUTS.sum, 'float32', dims);
  const standIn = graph.input(EDGE_INPUTS.standIn, 'float32', ['values', 'new', dModel]);
  const input = graph.op('Reshape', [readerInputs(graph, config, x, 1), graph.op('Shape', [x])]);
  const out = mlp(graph, config, weights, UNREAD, graph.norm(input, weights.norm2, config.norm).normed);
  graph.output(graph.op('Add', [sum, out]), 'y', 'float32', dims);
  graph.output(graph.op('Sub', [out, standIn]), 'delta', 'float32', dims);
  return graph.finish();
}

/** `delta` `[head, batch · pos, d_model]`: what heads write with z less what they write with what stands in. */
export function buildHeadOutputsGraph(config: ModelConfig, out: LinearWeights, layer: number): GraphBytes {
  const { nHeads, dHead, dModel } = config;
  const graph = new GraphBuilder(`head outputs ${layer}`);
  const z = graph.input(EDGE_INPUTS.z, 'float32', ['batch', 'new', nHeads, dHead]);
  const standIn = graph.input(EDGE_INPUTS.standIn, 'float32', ['values', 'new', nHeads, dHead]);
  const delta = headOutputs(graph, config, out, graph.op('Sub', [z, standIn]));
  graph.output(delta, 'delta', 'float32', [nHeads, 'rows', dModel]);
  return graph.finish();
}

/** x̂ of a norm, what its gain multiplies, and 1 / scale, each of `[rows, d_model]` and `[rows, 1]`. */
function unitRows(
  graph: GraphBuilder,
  config: ModelConfig,
  x: string,
  weights: NormWeights,
): { unit: string; inverse: string } {
  const { inverseScale: inverse } = graph.norm(x, weights, config.norm);
  if (config.norm.kind === 'rmsnorm') return { unit: graph.op('Mul', [x, inverse]), inverse };
  const mean = graph.op('ReduceMean', [x, graph.integers([-1])], { keepdims: 1 });
  return { unit: graph.op('Mul', [graph.op('Sub', [x, mean]), inverse]), inverse };
}

/** The maps with the norm's gain, and for a LayerNorm its centring, in them: `[readers, d_model, d_head]`. */
function mapsAfterNorm(graph: GraphBuilder, config: ModelConfig, weights: BlockWeights): string {
  const gain = graph.reshape(graph.weight(weights.norm1.gain), [1, config.dModel, 1]);
  const maps = headMaps(graph, config, weights).map(({ weight }) => weight);
  const gained = graph.op('Mul', [graph.op('Concat', maps, { axis: 0 }), gain]);
  if (config.norm.kind === 'rmsnorm') return gained;
  return graph.op('Sub', [gained, graph.op('ReduceMean', [gained, graph.integers([1])], { keepdims: 1 })]);
}

/**
 * Scores of the edges into a block: the gradient at each reader's own input times each writer's delta, summed over rows:
 * `scores` `[writers, readers + 1]`, the MLP last. Gradients given: at q, k and v `[batch, new, head, d_head]`, at resid_post, and
 * at resid_mid (resid_pre in parallel models), all of the unchanged run, whose resid_pre is `x`.
 * q, k and v: with y = x̂ W (gain and centring in W) and s the norm's scale, dx = (dy Wᵀ − x̂ (dy · y) / d_model) / s, so that the
 * product with x̂ needs no second pass over d_model. The MLP: what the two given gradients of the stream differ by, less what
 * the other readers of the same stream took.
 */
export function buildScoresGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const { nHeads, nKeyValueHeads, dHead, dModel } = config;
  const graph = new GraphBuilder(`scores of edges into block ${layer}`);
  const stream = ['batch', 'new', dModel];
  const x = graph.reshape(graph.input(BLOCK_INPUTS.x, 'float32', stream), [-1, dModel]);
  const { unit, inverse } = unitRows(graph, config, x, weights.norm1);
  const seeds = [EDGE_INPUTS.dq, EDGE_INPUTS.dk, EDGE_INPUTS.dv].map((name, i) => {
    const heads = i === 0 ? nHeads : nKeyValueHeads;
    const seed = graph.input(name, 'float32', ['batch', 'new', heads, dHead]);
    return graph.transpose(graph.reshape(seed, [-1, heads, dHead]), [1, 0, 2]);
  });
  const dy = graph.op('Mul', [graph.op('Concat', seeds, { axis: 0 }), inverse]);
  const maps = mapsAfterNorm(graph, config, weights);
  const y = graph.op('MatMul', [unit, maps]);
  const along = graph.op('ReduceSum', [graph.op('Mul', [dy, y]), graph.integers([-1])], { keepdims: 1 });
  const share = graph.op('Mul', [along, graph.floats(Float32Array.of(1 / dModel), [])]);
  const back = graph.op('FusedMatMul', [dy, maps], { transB: 1 }, MICROSOFT);
  const attention = graph.op('Sub', [back, graph.op('Mul', [share, unit])]);
  const [before, after] = [EDGE_INPUTS.dBefore, EDGE_INPUTS.dAfter].map((name) =>
    graph.reshape(graph.input(name, 'float32', stream), [1, -1, dModel]),
  );
  let mlpGradient = graph.op('Sub', [before, after]);
  if (config.parallelResidual) {
    const others = graph.op('ReduceSum', [attention, graph.integers([0])], { keepdims: 1 });
    mlpGradient = graph.op('Sub', [mlpGradient, others]);
  }
  const gradients = graph.reshape(graph.op('Concat', [attention, mlpGradient], { axis: 0 }), [
    nHeads + 2 * nKeyValueHeads + 1,
    -1,
  ]);
  const deltas = graph.input(EDGE_INPUTS.deltas, 'float32', ['writers', ...stream]);
  // The long thin matrix on the right: the runtime packs that side, and the deltas are read once.
  const scores = graph.op('FusedMatMul', [graph.reshape(deltas, [0, -1]), gradients], { transB: 1 }, MICROSOFT);
  graph.output(scores, 'scores', 'float32', ['writers', nHeads + 2 * nKeyValueHeads + 1]);
  return graph.finish();
}
