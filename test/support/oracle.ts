import { readFileSync } from 'node:fs';
import type { ModelConfig } from '../../src/core/models/modelConfig.ts';
import type {
  BlockWeights,
  LinearWeights,
  ModelWeights,
  NormWeights,
  TensorLocation,
} from '../../src/core/models/modelWeights.ts';

/** `[row][column]` */
export type Matrix = number[][];

/**
 * A plain, slow forward pass in float64, written from the papers' formulas and independent of the graphs: the thing
 * that the engine is compared with. One prompt at a time; every activation is kept under its TransformerLens name as
 * `[pos][…]` matrices (heads flattened into the columns), patterns as `blocks.L.attn.hook_pattern.H` `[query][key]`.
 */
export interface OracleRun {
  readonly activations: ReadonlyMap<string, Matrix>;
  /** `[pos][d_vocab]` */
  readonly logits: Matrix;
}

function readTensor({ file, offset, byteLength }: TensorLocation): number[] {
  const bytes = readFileSync(file).subarray(offset, offset + byteLength);
  return Array.from({ length: byteLength / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

function readMatrix(location: TensorLocation): Matrix {
  const flat = readTensor(location);
  const [rows, columns] = location.shape;
  return Array.from({ length: rows }, (_, r) => flat.slice(r * columns, (r + 1) * columns));
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const add = (a: Matrix, b: Matrix): Matrix => a.map((row, r) => row.map((value, c) => value + b[r][c]));
const transpose = (m: Matrix): Matrix => m[0].map((_, c) => m.map((row) => row[c]));

function linear(x: Matrix, { weight, layout, bias }: LinearWeights): Matrix {
  const stored = readMatrix(weight);
  const outputs = layout === 'in_out' ? transpose(stored) : stored;
  const offset = bias === null ? null : readTensor(bias);
  return x.map((row) => outputs.map((w, j) => dot(row, w) + (offset?.[j] ?? 0)));
}

function normalise(x: Matrix, { gain, bias }: NormWeights, norm: ModelConfig['norm']) {
  const [g, b] = [readTensor(gain), bias === null ? null : readTensor(bias)];
  const centred = x.map((row) => {
    const mean = norm.kind === 'layernorm' ? row.reduce((sum, value) => sum + value, 0) / row.length : 0;
    return row.map((value) => value - mean);
  });
  const scale = centred.map((row) => [Math.sqrt(dot(row, row) / row.length + norm.eps)]);
  const unit = centred.map((row, r) => row.map((value) => value / scale[r][0]));
  const out = unit.map((row) => row.map((value, i) => value * g[i] + (b?.[i] ?? 0)));
  return { scale, normalized: norm.kind === 'layernorm' ? out : unit, out };
}

function erf(x: number): number {
  // Series of erf, summed until it stops changing; |x| stays small in tests.
  let term = x;
  let sum = x;
  for (let n = 1; n < 400 && Math.abs(term) > 1e-18; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return Math.abs(x) > 5 ? Math.sign(x) : (2 / Math.sqrt(Math.PI)) * sum;
}

const ACTIVATIONS: Readonly<Record<ModelConfig['mlp']['activation'], (x: number) => number>> = {
  relu: (x) => Math.max(0, x),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  gelu_new: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** q, k, v as `[pos][head][d_head]`. */
function queryKeyValue(x: Matrix, config: ModelConfig, weights: BlockWeights): number[][][][] {
  const { nHeads, nKeyValueHeads, dHead } = config;
  const { qkv } = weights.attention;
  const heads = (m: Matrix, count: number) =>
    m.map((row) => Array.from({ length: count }, (_, h) => row.slice(h * dHead, (h + 1) * dHead)));
  if (qkv.kind === 'separate') {
    return [
      heads(linear(x, qkv.q), nHeads),
      heads(linear(x, qkv.k), nKeyValueHeads),
      heads(linear(x, qkv.v), nKeyValueHeads),
    ];
  }
  const all = heads(linear(x, qkv.qkv), nHeads + 2 * nKeyValueHeads);
  if (qkv.kind === 'fused') {
    const cuts = [0, nHeads, nHeads + nKeyValueHeads, nHeads + 2 * nKeyValueHeads];
    return [0, 1, 2].map((part) => all.map((row) => row.slice(cuts[part], cuts[part + 1])));
  }
  return [0, 1, 2].map((part) => all.map((row) => row.filter((_, i) => i % 3 === part)));
}

function rotate(x: number[][][], config: ModelConfig): number[][][] {
  const { positions } = config;
  if (positions.kind === 'learned') return x;
  const half = positions.rotaryDims / 2;
  const pair = (i: number) => (positions.pairing === 'half' ? [i, i + half] : [2 * i, 2 * i + 1]);
  return x.map((heads, pos) =>
    heads.map((vector) => {
      const result = [...vector];
      for (let i = 0; i < half; i += 1) {
        const [a, b] = pair(i);
        const angle = pos * positions.inverseFrequencies[i];
        const [c, s] = [Math.cos(angle) * positions.attentionFactor, Math.sin(angle) * positions.attentionFactor];
        result[a] = vector[a] * c - vector[b] * s;
        result[b] = vector[b] * c + vector[a] * s;
      }
      return result;
    }),
  );
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

type Keep = (name: string, value: Matrix) => void;
const flat = (x: number[][][]): Matrix => x.map((row) => row.flat());

function attention(x: Matrix, config: ModelConfig, weights: BlockWeights, layer: number, keep: Keep): Matrix {
  const { nHeads, nKeyValueHeads } = config;
  const [q, k, v] = queryKeyValue(x, config, weights);
  const [queries, keys] = [rotate(q, config), rotate(k, config)];
  keep('attn.hook_q', flat(q));
  keep('attn.hook_k', flat(k));
  keep('attn.hook_v', flat(v));
  keep('attn.hook_rot_q', flat(queries));
  keep('attn.hook_rot_k', flat(keys));
  const window = config.attention.windows[layer] ?? Number.POSITIVE_INFINITY;
  const z: number[][][] = x.map(() => []);
  for (let head = 0; head < nHeads; head += 1) {
    const shared = Math.floor(head / (nHeads / nKeyValueHeads));
    const pattern = x.map((_, query) => {
      const scores = x.map((__, key) =>
        key > query || query - key >= window
          ? Number.NEGATIVE_INFINITY
          : config.attention.scale * dot(queries[query][head], keys[key][shared]),
      );
      return softmax(scores);
    });
    keep(`attn.hook_pattern.${head}`, pattern);
    pattern.forEach((row, query) => {
      z[query].push(
        v[0][shared].map((_, i) =>
          dot(
            row,
            v.map((position) => position[shared][i]),
          ),
        ),
      );
    });
  }
  keep('attn.hook_z', flat(z));
  return linear(flat(z), weights.attention.out);
}

function mlp(x: Matrix, config: ModelConfig, weights: BlockWeights, keep: Keep): Matrix {
  const { in: up, gate, out } = weights.mlp;
  const act = ACTIVATIONS[config.mlp.activation];
  const plain = linear(x, up);
  const pre = gate === null ? plain : linear(x, gate);
  keep('mlp.hook_pre', pre);
  if (gate !== null) keep('mlp.hook_pre_linear', plain);
  const post = pre.map((row, r) => row.map((value, c) => act(value) * (gate === null ? 1 : plain[r][c])));
  keep('mlp.hook_post', post);
  return linear(post, out);
}

/** The whole model on one prompt; `embeddings` replaces the token embedding where it is given. */
export function oracleRun(
  config: ModelConfig,
  weights: ModelWeights,
  tokens: readonly number[],
  embeddings: ReadonlyMap<number, readonly number[]> = new Map(),
): OracleRun {
  const activations = new Map<string, Matrix>();
  const table = readMatrix(weights.embed);
  let x = tokens.map((id, pos) => [...(embeddings.get(pos) ?? table[id])]);
  activations.set('hook_embed', x);
  if (weights.positionEmbed !== null) {
    const positions = readMatrix(weights.positionEmbed).slice(0, tokens.length);
    activations.set('hook_pos_embed', positions);
    x = add(x, positions);
  }
  weights.blocks.forEach((block, layer) => {
    const keep: Keep = (name, value) => activations.set(`blocks.${layer}.${name}`, value);
    keep('hook_resid_pre', x);
    const norm1 = normalise(x, block.norm1, config.norm);
    keep('ln1.hook_scale', norm1.scale);
    keep('ln1.hook_normalized', norm1.normalized);
    const attnOut = attention(norm1.out, config, block, layer, keep);
    keep('hook_attn_out', attnOut);
    const mid = add(x, attnOut);
    keep('hook_resid_mid', mid);
    const norm2 = normalise(config.parallelResidual ? x : mid, block.norm2, config.norm);
    keep('ln2.hook_scale', norm2.scale);
    keep('ln2.hook_normalized', norm2.normalized);
    const mlpOut = mlp(norm2.out, config, block, keep);
    keep('hook_mlp_out', mlpOut);
    x = add(mid, mlpOut);
    keep('hook_resid_post', x);
  });
  const final = normalise(x, weights.finalNorm, config.norm);
  activations.set('ln_final.hook_scale', final.scale);
  activations.set('ln_final.hook_normalized', final.normalized);
  return { activations, logits: linear(final.out, weights.unembed) };
}

/** Mean of the token embeddings over the vocabulary. */
export function oracleMeanEmbedding(weights: ModelWeights): number[] {
  const table = readMatrix(weights.embed);
  return table[0].map((_, i) => table.reduce((sum, row) => sum + row[i], 0) / table.length);
}
