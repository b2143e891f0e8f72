import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ModelConfig, ModelFamily } from '../../src/core/models/modelConfig.ts';
import type { LinearWeights, ModelWeights, NormWeights, TensorLocation } from '../../src/core/models/modelWeights.ts';
import type { OpenModel } from '../../src/core/models/openModel.ts';
import { wordTokenizer } from './wordTokenizer.ts';

/** A reproducible stream of standard normal numbers (mulberry32, Box–Muller). */
export function normals(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform() + 1e-12)) * Math.cos(2 * Math.PI * uniform());
}

const rotary = (rotaryDims: number, pairing: 'half' | 'adjacent', attentionFactor = 1) => ({
  kind: 'rotary' as const,
  rotaryDims,
  inverseFrequencies: Array.from({ length: rotaryDims / 2 }, (_, i) => 10_000 ** ((-2 * i) / rotaryDims)),
  attentionFactor,
  pairing,
});

const base: ModelConfig = {
  family: 'gpt2',
  nLayers: 3,
  nHeads: 4,
  nKeyValueHeads: 4,
  dModel: 24,
  dHead: 6,
  dMlp: 40,
  dVocab: 53,
  nCtx: 64,
  norm: { kind: 'layernorm', eps: 1e-5 },
  positions: { kind: 'learned' },
  attention: { scale: 1 / Math.sqrt(6), windows: [null, null, null] },
  mlp: { gated: false, activation: 'gelu_new' },
  parallelResidual: false,
};

/** One small shape per family and switch. */
export const SHAPES: Readonly<Record<string, ModelConfig>> = {
  gpt2: base,
  gptNeo: { ...base, family: 'gpt_neo', attention: { scale: 1, windows: [null, 5, null] } },
  gptNeoX: {
    ...base,
    family: 'gpt_neox',
    positions: rotary(4, 'half'),
    mlp: { gated: false, activation: 'gelu' },
    parallelResidual: true,
  },
  llama: {
    ...base,
    family: 'llama',
    nKeyValueHeads: 2,
    norm: { kind: 'rmsnorm', eps: 1e-5 },
    positions: rotary(6, 'half'),
    mlp: { gated: true, activation: 'silu' },
  },
  llamaAdjacent: {
    ...base,
    family: 'llama',
    nHeads: 6,
    nKeyValueHeads: 2,
    norm: { kind: 'rmsnorm', eps: 1e-6 },
    positions: rotary(4, 'adjacent', 1.2),
    mlp: { gated: true, activation: 'gelu_new' },
  },
  mistral: {
    ...base,
    family: 'mistral',
    nKeyValueHeads: 1,
    norm: { kind: 'rmsnorm', eps: 1e-5 },
    positions: rotary(6, 'half'),
    attention: { scale: 1 / Math.sqrt(6), windows: [4, 4, 4] },
    mlp: { gated: true, activation: 'silu' },
  },
  qwen2: {
    ...base,
    family: 'qwen2',
    nKeyValueHeads: 2,
    norm: { kind: 'rmsnorm', eps: 1e-6 },
    positions: rotary(6, 'half'),
    mlp: { gated: true, activation: 'relu' },
  },
};

/** Which linear layers have biases, how they are stored, and whether the unembedding is its own matrix. */
function style(family: ModelFamily) {
  return {
    layout: family === 'gpt2' ? ('in_out' as const) : ('out_in' as const),
    qkv:
      family === 'gpt2'
        ? ('fused' as const)
        : family === 'gpt_neox'
          ? ('fused-by-head' as const)
          : ('separate' as const),
    qkvBias: !['gpt_neo', 'llama', 'mistral'].includes(family),
    otherBias: ['gpt2', 'gpt_neo', 'gpt_neox'].includes(family),
    untied: ['gpt_neox', 'mistral'].includes(family),
  };
}

/** Writes tensors one after another into one file, as an unpadded file of float32 numbers with a short header. */
class TensorFile {
  private readonly parts: Float32Array[] = [];
  private offset = 12;

  constructor(
    private readonly file: string,
    private readonly random: () => number,
  ) {}

  tensor(shape: readonly number[], deviation: number, mean = 0): TensorLocation {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).map(() => mean + deviation * this.random());
    const location = { file: this.file, offset: this.offset, byteLength: values.byteLength, shape };
    this.parts.push(values);
    this.offset += values.byteLength;
    return location;
  }

  linear(inputs: number, outputs: number, layout: LinearWeights['layout'], bias: boolean): LinearWeights {
    const shape = layout === 'in_out' ? [inputs, outputs] : [outputs, inputs];
    return {
      weight: this.tensor(shape, 1 / Math.sqrt(inputs)),
      layout,
      bias: bias ? this.tensor([outputs], 0.3) : null,
    };
  }

  norm(width: number, kind: ModelConfig['norm']['kind']): NormWeights {
    return { gain: this.tensor([width], 0.3, 1), bias: kind === 'layernorm' ? this.tensor([width], 0.3) : null };
  }

  write(): void {
    writeFileSync(this.file, Buffer.concat([Buffer.alloc(12), ...this.parts.map((p) => Buffer.from(p.buffer))]));
  }
}

function randomWeights(config: ModelConfig, file: TensorFile): ModelWeights {
  const { dModel, dMlp, dVocab, nCtx, nHeads, nKeyValueHeads, dHead, norm } = config;
  const { layout, qkv, qkvBias, otherBias, untied } = style(config.family);
  const [q, kv] = [nHeads * dHead, nKeyValueHeads * dHead];
  const linear = (inputs: number, outputs: number, bias: boolean) => file.linear(inputs, outputs, layout, bias);
  const embed = file.tensor([dVocab, dModel], 1);
  return {
    embed,
    positionEmbed: config.positions.kind === 'learned' ? file.tensor([nCtx, dModel], 0.5) : null,
    blocks: Array.from({ length: config.nLayers }, () => ({
      norm1: file.norm(dModel, norm.kind),
      attention: {
        qkv:
          qkv === 'separate'
            ? {
                kind: qkv,
                q: linear(dModel, q, qkvBias),
                k: linear(dModel, kv, qkvBias),
                v: linear(dModel, kv, qkvBias),
              }
            : { kind: qkv, qkv: linear(dModel, q + 2 * kv, qkvBias) },
        out: linear(q, dModel, otherBias),
      },
      norm2: file.norm(dModel, norm.kind),
      mlp: {
        in: linear(dModel, dMlp, otherBias),
        gate: config.mlp.gated ? linear(dModel, dMlp, false) : null,
        out: linear(dMlp, dModel, otherBias),
      },
    })),
    finalNorm: file.norm(dModel, norm.kind),
    unembed: untied ? file.linear(dModel, dVocab, 'out_in', true) : { weight: embed, layout: 'out_in', bias: null },
  };
}

/** A model with random weights in a temporary folder, and how to delete it. */
export function randomModel(config: ModelConfig, seed = 1): { model: OpenModel; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'mechanist-model-'));
  const file = new TensorFile(join(folder, 'weights.bin'), normals(seed));
  const weights = randomWeights(config, file);
  file.write();
  const hash = createHash('sha256')
    .update(`${JSON.stringify(config)} ${seed}`)
    .digest('hex');
  const { family, nLayers, nHeads, nKeyValueHeads, dModel, dHead, dMlp, dVocab, nCtx } = config;
  const info = {
    ...{
      ref: folder,
      label: `random ${family}`,
      family,
      nLayers,
      nHeads,
      nKeyValueHeads,
      dModel,
      dHead,
      dMlp,
      dVocab,
      nCtx,
    },
    ...{ parameters: 0, storedAs: 'F32', licence: null, hash },
    memory: { neededBytes: 0, availableBytes: 0, fits: true },
  };
  const model = { info, config, weights, tokenizer: wordTokenizer(dVocab) };
  return { model, remove: () => rmSync(folder, { recursive: true }) };
}
