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

function normalise(
  x: Matrix,
  { gain, bias }: NormWeights,
  norm: ModelConfig['norm'],
  keep: Keep,
  name: 'ln1' | 'ln2' | 'ln_final',
): Matrix {
  const [g, b] = [readTensor(gain), bias === null ? null : readTensor(bias)];
  const centred = x.map((row) => {
    const mean = norm.kind === 'layernorm' ? row.reduce((sum, value) => sum + value, 0) / row.length : 0;
    return row.map((value) => value - mean);
  });
  const scale = keep(
    `${name}.hook_scale`,
    centred.map((row) => [Math.sqrt(dot(row, row) / row.length + norm.eps)]),
  );
  const unit = centred.map((row, r) => row.map((value) => value / scale[r][0]));
  const affine = (m: Matrix) => m.map((row) => row.map((value, i) => value * g[i] + (b?.[i] ?? 0)));
  const hook = `${name}.hook_normalized`;
  return norm.kind === 'layernorm' ? keep(hook, affine(unit)) : affine(keep(hook, unit));
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

/** Stores an activation and returns what stands in its place. */
type Keep = (name: string, value: Matrix) => Matrix;
const flat = (x: number[][][]): Matrix => x.map((row) => row.flat());

/** What each head writes, `[pos][head · d_model]`. */
function headResults(z: Matrix, { nHeads, dHead }: ModelConfig, out: LinearWeights): Matrix {
  const byInput = out.layout === 'in_out' ? readMatrix(out.weight) : transpose(readMatrix(out.weight));
  const heads = Array.from({ length: nHeads }, (_, head) => byInput.slice(head * dHead, (head + 1) * dHead));
  return z.map((row) =>
    heads.flatMap((rows, head) =>
      rows[0].map((_, i) => rows.reduce((sum, weights, d) => sum + row[head * dHead + d] * weights[i], 0)),
    ),
  );
}

function attention(x: Matrix, config: ModelConfig, weights: BlockWeights, layer: number, keep: Keep): Matrix {
  const { nHeads, nKeyValueHeads, dHead } = config;
  const kept = (name: string, value: number[][][]) =>
    keep(name, flat(value)).map((row) => value[0].map((_, head) => row.slice(head * dHead, (head + 1) * dHead)));
  const [q, k, v] = queryKeyValue(x, config, weights).map((part, i) => kept(`attn.hook_${'qkv'[i]}`, part));
  const [queries, keys] = [q, k].map((part, i) => kept(`attn.hook_rot_${'qk'[i]}`, rotate(part, config)));
  const window = config.attention.windows[layer] ?? Number.POSITIVE_INFINITY;
  const z: number[][][] = x.map(() => []);
  for (let head = 0; head < nHeads; head += 1) {
    const shared = Math.floor(head / (nHeads / nKeyValueHeads));
    const scores = x.map((_, query) =>
      x.map((__, key) =>
        key > query || query - key >= window
          ? Number.NEGATIVE_INFINITY
          : config.attention.scale * dot(queries[query][head], keys[key][shared]),
      ),
    );
    const pattern = keep(`attn.hook_pattern.${head}`, keep(`attn.hook_attn_scores.${head}`, scores).map(softmax));
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
  const mixed = keep('attn.hook_z', flat(z));
  const results = headResults(mixed, config, weights.attention.out);
  const changed = keep('attn.hook_result', results);
  const { dModel } = config;
  return linear(mixed, weights.attention.out).map((row, pos) =>
    row.map((value, i) =>
      changed[pos].reduce((sum, own, c) => sum + (c % dModel === i ? own - results[pos][c] : 0), value),
    ),
  );
}

function mlp(x: Matrix, config: ModelConfig, weights: BlockWeights, keep: Keep): Matrix {
  const { in: up, gate, out } = weights.mlp;
  const act = ACTIVATIONS[config.mlp.activation];
  const pre = keep('mlp.hook_pre', linear(x, gate ?? up));
  const factor = gate === null ? null : keep('mlp.hook_pre_linear', linear(x, up));
  const post = pre.map((row, r) => row.map((value, c) => act(value) * (factor?.[r][c] ?? 1)));
  return linear(keep('mlp.hook_post', post), out);
}

/**
 * The whole model on one prompt; `embeddings` replaces the token embedding where it is given, `edit` says what stands at
 * each hook point instead of what was computed.
 */
export function oracleRun(
  config: ModelConfig,
  weights: ModelWeights,
  tokens: readonly number[],
  embeddings: ReadonlyMap<number, readonly number[]> = new Map(),
  edit: Keep = (_, value) => value,
): OracleRun {
  const activations = new Map<string, Matrix>();
  const table = readMatrix(weights.embed);
  const keep: Keep = (name, value) => {
    const edited = edit(name, value);
    activations.set(name, edited);
    return edited;
  };
  let x = keep(
    'hook_embed',
    tokens.map((id, pos) => [...(embeddings.get(pos) ?? table[id])]),
  );
  if (weights.positionEmbed !== null) {
    x = add(x, keep('hook_pos_embed', readMatrix(weights.positionEmbed).slice(0, tokens.length)));
  }
  weights.blocks.forEach((block, layer) => {
    const at: Keep = (name, value) => keep(`blocks.${layer}.${name}`, value);
    x = at('hook_resid_pre', x);
    const attnInput = normalise(x, block.norm1, config.norm, at, 'ln1');
    const attnOut = at('hook_attn_out', attention(attnInput, config, block, layer, at));
    const mid = at('hook_resid_mid', add(x, attnOut));
    const mlpInput = normalise(config.parallelResidual ? x : mid, block.norm2, config.norm, at, 'ln2');
    const mlpOut = at('hook_mlp_out', mlp(mlpInput, config, block, at));
    x = at('hook_resid_post', add(mid, mlpOut));
  });
  const final = normalise(x, weights.finalNorm, config.norm, keep, 'ln_final');
  return { activations, logits: linear(final, weights.unembed) };
}

/** Mean of the token embeddings over the vocabulary. */
export function oracleMeanEmbedding(weights: ModelWeights): number[] {
  const table = readMatrix(weights.embed);
  return table[0].map((_, i) => table.reduce((sum, row) => sum + row[i], 0) / table.length);
}
