import type { ModelConfig, RotaryPositions } from '../models/modelConfig.ts';
import type { BlockWeights } from '../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from './graphBuilder.ts';
import { HookReader, type HookSink, passHook, passNorm } from './hookSink.ts';
import { mlp } from './mlpFormula.ts';
import { queryKeyValue } from './queryKeyValue.ts';

/**
 * Inputs of a block graph.
 * `x` `[batch, new, d_model]`: resid_pre of the new positions. `pastKeys`, `pastValues` `[batch or 1, kvHead, past, d_head]`:
 * rotated keys and values of the positions before them (past may be 0). `mask` `[batch or 1, 1, new, past + new]` is added
 * to the scores. `cos`, `sin` `[batch or 1, new, 1, rotaryDims / 2]` for rotary models.
 */
export const BLOCK_INPUTS = {
  x: 'x',
  pastKeys: 'past.keys',
  pastValues: 'past.values',
  mask: 'mask',
  cos: 'cos',
  sin: 'sin',
} as const;

/** Outputs of a block graph: resid_post, and keys (rotated) and values of the new positions `[batch, kvHead, new, d_head]`. */
export const BLOCK_OUTPUTS = { y: 'y', keys: 'keys', values: 'values' } as const;

/** Rotary embedding of `[batch, new, head, d_head]`; cos and sin are `[…, new, 1, rotaryDims / 2]`. */
export function rotate(
  graph: GraphBuilder,
  positions: RotaryPositions,
  dHead: number,
  x: string,
  tables: { readonly cos: string; readonly sin: string } = BLOCK_INPUTS,
): string {
  const { rotaryDims } = positions;
  const half = rotaryDims / 2;
  const [rotated, rest] =
    rotaryDims === dHead
      ? [x, null]
      : graph.many('Split', [x, graph.integers([rotaryDims, dHead - rotaryDims])], 2, { axis: -1 });
  const adjacent = positions.pairing === 'adjacent';
  const paired = adjacent ? graph.reshape(rotated, [0, 0, 0, half, 2]) : rotated;
  const halves = graph.many('Split', [paired, graph.integers(adjacent ? [1, 1] : [half, half])], 2, { axis: -1 });
  const [first, second] = adjacent ? halves.map((part) => graph.reshape(part, [0, 0, 0, half])) : halves;
  const times = (a: string, b: string) => graph.op('Mul', [a, b]);
  const newFirst = graph.op('Sub', [times(first, tables.cos), times(second, tables.sin)]);
  const newSecond = graph.op('Add', [times(second, tables.cos), times(first, tables.sin)]);
  let result: string;
  if (adjacent) {
    const stacked = [newFirst, newSecond].map((part) => graph.reshape(part, [0, 0, 0, half, 1]));
    result = graph.reshape(graph.op('Concat', stacked, { axis: -1 }), [0, 0, 0, rotaryDims]);
  } else {
    result = graph.op('Concat', [newFirst, newSecond], { axis: -1 });
  }
  return rest === null ? result : graph.op('Concat', [result, rest], { axis: -1 });
}

/** Past and new keys or values, `[batch, kvHead, past + new, d_head]`; a past of batch 1 serves every item. */
export function withPast(graph: GraphBuilder, past: string, batch: string, current: string): string {
  const shape = graph.op('Concat', [batch, graph.integers([1, 1, 1])], { axis: 0 });
  return graph.op('Concat', [graph.op('Expand', [past, shape]), current], { axis: 2 });
}

/** Masked attention; returns z as `[batch, new, head, d_head]`. Query heads of one key-value head share one product. */
export function attend(
  graph: GraphBuilder,
  config: ModelConfig,
  reader: HookSink,
  q: string,
  kv: KeysAndValues,
): string {
  const { nHeads, nKeyValueHeads, dHead } = config;
  const grouped = nHeads !== nKeyValueHeads;
  const shaped = (x: string, ...dims: string[]) => graph.op('Reshape', [x, graph.op('Concat', dims, { axis: 0 })]);
  const queryCount = graph.op('Shape', [q], { start: 1, end: 2 });
  const keyCount = graph.op('Shape', [kv.keys], { start: 2, end: 3 });
  const heads = graph.integers([0, nHeads]);

  const queries = graph.transpose(q, [0, 2, 1, 3]);
  const groups = grouped ? graph.reshape(queries, [0, nKeyValueHeads, -1, dHead]) : queries;
  const scaled = { transB: 1, alpha: { float: config.attention.scale } };
  const products = graph.op('FusedMatMul', [groups, kv.keys], scaled, MICROSOFT);
  const byHead = grouped ? shaped(products, heads, queryCount, keyCount) : products;
  const scores = passHook(reader, 'attn.hook_attn_scores', graph.op('Add', [byHead, BLOCK_INPUTS.mask]));
  const pattern = passHook(reader, 'attn.hook_pattern', graph.op('Softmax', [scores], { axis: -1 }));

  const byGroup = grouped ? shaped(pattern, graph.integers([0, nKeyValueHeads, -1]), keyCount) : pattern;
  const mixed = graph.op('MatMul', [byGroup, kv.values]);
  const z = grouped ? shaped(mixed, heads, queryCount, graph.integers([dHead])) : mixed;
  return graph.transpose(z, [0, 2, 1, 3]);
}

interface KeysAndValues {
  readonly keys: string;
  readonly values: string;
}

/** The attention layer from its normed input to attn_out; also makes the key and value outputs. */
function attention(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: BlockWeights,
  reader: HookSink,
  normed: string,
): string {
  const { nKeyValueHeads, dHead, positions } = config;
  const [plainQ, plainK, plainV] = queryKeyValue(graph, config, weights, normed);
  const q = passHook(reader, 'attn.hook_q', plainQ);
  const k = passHook(reader, 'attn.hook_k', plainK);
  const v = passHook(reader, 'attn.hook_v', plainV);
  let [queries, keys] = [q, k];
  if (positions.kind === 'rotary') {
    queries = passHook(reader, 'attn.hook_rot_q', rotate(graph, positions, dHead, q));
    keys = passHook(reader, 'attn.hook_rot_k', rotate(graph, positions, dHead, k));
  }
  const past = ['batch of past', nKeyValueHeads, 'past', dHead];
  graph.input(BLOCK_INPUTS.pastKeys, 'float32', past);
  graph.input(BLOCK_INPUTS.pastValues, 'float32', past);
  const [newKeys, newValues] = [keys, v].map((x) => graph.transpose(x, [0, 2, 1, 3]));
  const current = ['batch', nKeyValueHeads, 'new', dHead];
  graph.output(newKeys, BLOCK_OUTPUTS.keys, 'float32', current);
  graph.output(newValues, BLOCK_OUTPUTS.values, 'float32', current);
  const batch = graph.op('Shape', [BLOCK_INPUTS.x], { start: 0, end: 1 });
  const mixed = attend(graph, config, reader, queries, {
    keys: withPast(graph, BLOCK_INPUTS.pastKeys, batch, newKeys),
    values: withPast(graph, BLOCK_INPUTS.pastValues, batch, newValues),
  });
  const z = passHook(reader, 'attn.hook_z', mixed);
  const out = graph.linear(graph.reshape(z, [0, 0, -1]), weights.attention.out);
  return passHook(reader, 'hook_attn_out', reader.editResults?.(z, out, weights.attention.out) ?? out);
}

/**
 * Adds the block's inputs and formulas to a graph, and keys and values as outputs.
 * @returns resid_post `[batch, new, d_model]`
 */
export function blockForward(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: BlockWeights,
  reader: HookSink,
): string {
  const x = graph.input(BLOCK_INPUTS.x, 'float32', ['batch', 'new', config.dModel]);
  graph.input(BLOCK_INPUTS.mask, 'float32', ['batch of mask', 1, 'new', 'keys']);
  if (config.positions.kind === 'rotary') {
    const dims = ['batch of positions', 'new', 1, config.positions.rotaryDims / 2];
    for (const name of [BLOCK_INPUTS.cos, BLOCK_INPUTS.sin]) graph.input(name, 'float32', dims);
  }
  const normed1 = passNorm(reader, 'ln1', x, graph.norm(x, weights.norm1, config.norm), weights.norm1);
  const attnOut = attention(graph, config, weights, reader, normed1);
  const sum = graph.op('Add', [x, attnOut]);
  const mid = config.parallelResidual ? sum : passHook(reader, 'hook_resid_mid', sum);
  const mlpInput = config.parallelResidual ? x : mid;
  const norm2 = graph.norm(mlpInput, weights.norm2, config.norm);
  const mlpOut = mlp(graph, config, weights, reader, passNorm(reader, 'ln2', mlpInput, norm2, weights.norm2));
  return graph.op('Add', [mid, mlpOut]);
}

/**
 * The graph of one transformer block, for any number of new positions after any number of past ones.
 * One graph serves every reading question (see `HookReader`), so the weights are packed once.
 */
export function buildBlockGraph(config: ModelConfig, weights: BlockWeights, layer: number): GraphBytes {
  const graph = new GraphBuilder(`block ${layer}`);
  const y = blockForward(graph, config, weights, new HookReader(graph, config));
  graph.output(y, BLOCK_OUTPUTS.y, 'float32', ['batch', 'new', config.dModel]);
  return graph.finish();
}
