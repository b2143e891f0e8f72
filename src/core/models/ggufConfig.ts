import { type Architecture, sameBias } from './architecture.ts';
import { ConfigReader } from './configReader.ts';
import { corrupt, unsupported } from './fileErrors.ts';
import type { GgufFile } from './ggufFile.ts';
import { checkShapes } from './huggingFaceConfig.ts';
import type { ModelConfig, ModelFamily, RotaryPositions } from './modelConfig.ts';
import { rotaryPositions } from './rotary.ts';
import { familyNamed, refuseFamily } from './supportedFamilies.ts';

/** Families whose GGUF layout is known here. */
const ggufFamilies = ['gpt2', 'llama', 'qwen2'] as const;
type GgufFamily = (typeof ggufFamilies)[number];

/** What a GGUF file says of its model. */
export interface GgufArchitecture extends Architecture {
  readonly family: GgufFamily;
}

/**
 * The architecture in the metadata of a GGUF file.
 *
 * @param ropeFactors divisors of the rotary frequencies `[dims / 2]` (tensor `rope_freqs.weight`, Llama 3.1), or null
 * @throws model-corrupt, model-unsupported
 */
export function ggufArchitecture(gguf: GgufFile, ropeFactors: readonly number[] | null = null): GgufArchitecture {
  const reader = new ConfigReader(gguf.file, gguf.metadata);
  const name = reader.text('general.architecture', '');
  if (name === '') throw corrupt(gguf.file, '"general.architecture" is missing');
  const family = familyNamed(name);
  if (!isGgufFamily(family)) refuseFamily(gguf.file, name, ggufFamilies);
  const vocabulary = gguf.tensors.get('token_embd.weight')?.shape[0];
  if (!vocabulary) throw corrupt(gguf.file, 'the tensor "token_embd.weight" is missing');
  const config = family === 'gpt2' ? gpt2(reader, vocabulary) : llama(reader, family, vocabulary, ropeFactors);
  checkShapes(gguf.file, config);
  return { family, config, tied: 'if-absent', bias: sameBias(family === 'gpt2' ? 'required' : 'if-stored') };
}

function isGgufFamily(family: ModelFamily | null): family is GgufFamily {
  return ggufFamilies.some((known) => known === family);
}

function gpt2(reader: ConfigReader, dVocab: number): ModelConfig {
  const dModel = reader.size('gpt2.embedding_length');
  const nHeads = reader.size('gpt2.attention.head_count');
  const nLayers = layerCount(reader, 'gpt2');
  return {
    family: 'gpt2',
    nLayers,
    nHeads,
    nKeyValueHeads: nHeads,
    dModel,
    dHead: dModel / nHeads,
    dMlp: reader.size('gpt2.feed_forward_length'),
    dVocab,
    nCtx: reader.size('gpt2.context_length'),
    norm: { kind: 'layernorm', eps: shortest(reader.number('gpt2.attention.layer_norm_epsilon')) },
    positions: { kind: 'learned' },
    attention: { scale: (dModel / nHeads) ** -0.5, windows: new Array<null>(nLayers).fill(null) },
    mlp: { gated: false, activation: 'gelu_new' },
    parallelResidual: false,
  };
}

function llama(
  reader: ConfigReader,
  family: 'llama' | 'qwen2',
  dVocab: number,
  ropeFactors: readonly number[] | null,
): ModelConfig {
  const key = (name: string) => `${family}.${name}`;
  if (reader.has(key('expert_count')) && reader.number(key('expert_count')) > 0) {
    throw unsupported(reader.file, 'mixtures of experts are not supported. Take a dense model.');
  }
  const dModel = reader.size(key('embedding_length'));
  const nHeads = reader.size(key('attention.head_count'));
  const nLayers = layerCount(reader, family);
  const dHead = reader.size(key('attention.key_length'), dModel / nHeads);
  if (reader.size(key('attention.value_length'), dHead) !== dHead) {
    throw unsupported(reader.file, 'keys and values of different width are not supported. Take another model.');
  }
  const window = reader.has(key('attention.sliding_window')) ? reader.size(key('attention.sliding_window')) : null;
  return {
    family,
    nLayers,
    nHeads,
    nKeyValueHeads: reader.size(key('attention.head_count_kv'), nHeads),
    dModel,
    dHead,
    dMlp: reader.size(key('feed_forward_length')),
    dVocab,
    nCtx: reader.size(key('context_length')),
    norm: { kind: 'rmsnorm', eps: shortest(reader.number(key('attention.layer_norm_rms_epsilon'))) },
    positions: rotary(reader, key, dHead, ropeFactors),
    attention: { scale: dHead ** -0.5, windows: new Array<number | null>(nLayers).fill(window) },
    mlp: { gated: true, activation: 'silu' },
    parallelResidual: false,
  };
}

function rotary(
  reader: ConfigReader,
  key: (name: string) => string,
  dHead: number,
  ropeFactors: readonly number[] | null,
): RotaryPositions {
  const dims = reader.size(key('rope.dimension_count'), dHead);
  if (dims !== dHead || dims % 2 !== 0) {
    throw unsupported(
      reader.file,
      `rotary positions on ${dims} of ${dHead} dimensions are not supported in GGUF files. Take the Hugging Face folder.`,
    );
  }
  const type = reader.text(key('rope.scaling.type'), 'none');
  if (type !== 'none' && type !== 'linear' && type !== 'yarn') {
    throw unsupported(
      reader.file,
      `rotary positions of the type "${type.slice(0, 40)}" are not supported. Supported: none, linear, yarn.`,
    );
  }
  const context = reader.size(key('context_length'));
  const positions = rotaryPositions({
    type: type === 'none' ? 'default' : type,
    theta: positive(reader, key('rope.freq_base'), 10000),
    dims,
    factor: positive(reader, key('rope.scaling.factor'), 1),
    lowFreqFactor: 1,
    highFreqFactor: 1,
    originalContext: reader.size(key('rope.scaling.original_context_length'), context),
    betaFast: positive(reader, key('rope.scaling.yarn_beta_fast'), 32),
    betaSlow: positive(reader, key('rope.scaling.yarn_beta_slow'), 1),
    attentionFactor: null,
    mscale: null,
    mscaleAllDim: null,
    truncate: true,
  });
  if (type === 'yarn' && reader.number(key('rope.scaling.attn_factor'), 1) !== 1) {
    throw unsupported(
      reader.file,
      'YaRN with its own attention factor is not supported. Take the Hugging Face folder.',
    );
  }
  if (!ropeFactors) return positions;
  if (ropeFactors.length !== dims / 2 || !ropeFactors.every((factor) => factor > 0)) {
    throw corrupt(reader.file, 'the tensor "rope_freqs.weight" does not fit the rotary dimensions');
  }
  return {
    ...positions,
    inverseFrequencies: positions.inverseFrequencies.map((frequency, i) => frequency / ropeFactors[i]),
  };
}

function positive(reader: ConfigReader, key: string, fallback: number): number {
  const value = reader.number(key, fallback);
  if (value <= 0) throw corrupt(reader.file, `"${key}" is ${value}`, { key });
  return value;
}

function layerCount(reader: ConfigReader, family: GgufFamily): number {
  const count = reader.size(`${family}.block_count`);
  if (count > 10_000) throw corrupt(reader.file, `${count} layers`);
  return count;
}

/** GGUF holds float32: 9.99999975e-6 was written as 1e-5 in the config, and is computed as such by the reference. */
function shortest(value: number): number {
  return Number(value.toPrecision(7));
}
