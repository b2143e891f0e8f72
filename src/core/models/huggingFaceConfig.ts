import { type Architecture, sameBias } from './architecture.ts';
import { ConfigReader } from './configReader.ts';
import { corrupt, unsupported } from './fileErrors.ts';
import type { Activation, ModelConfig, ModelFamily, RotaryPositions } from './modelConfig.ts';
import { type RotarySettings, rotaryPositions, rotaryTypes } from './rotary.ts';
import { familyNamed, refuseFamily } from './supportedFamilies.ts';

const activations = new Map<string, Activation>([
  ['gelu', 'gelu'],
  ['gelu_new', 'gelu_new'],
  ['gelu_fast', 'gelu_new'],
  ['gelu_pytorch_tanh', 'gelu_new'],
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['relu', 'relu'],
]);

/**
 * The architecture that a Hugging Face `config.json` describes. Reads what transformers 4 writes (`rope_theta`,
 * `rope_scaling`) and what transformers 5 writes (`rope_parameters`).
 *
 * @param json the parsed file
 * @throws model-corrupt, model-unsupported
 */
export function huggingFaceArchitecture(file: string, json: unknown): Architecture {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw corrupt(file, 'it is not a JSON object');
  const reader = new ConfigReader(file, new Map(Object.entries(json)));
  const name = reader.has('model_type') ? reader.text('model_type', '') : architectureName(reader);
  const family = familyNamed(name);
  if (!family) refuseFamily(file, name);
  if (reader.has('quantization_config')) {
    throw unsupported(file, 'the weights are quantised for a GPU library. Take the unquantised model, or a GGUF file.');
  }
  const architecture = parsers[family](reader);
  checkShapes(file, architecture.config);
  return architecture;
}

/** `LlamaForCausalLM` → `llama`, for configs without `model_type`. */
function architectureName(reader: ConfigReader): string {
  const list = reader.raw('architectures');
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  if (typeof first !== 'string') throw corrupt(reader.file, '"model_type" is missing');
  const stem = first.replace(/(LMHeadModel|ForCausalLM|Model)$/, '').toLowerCase();
  return stem === 'gptneo' ? 'gpt_neo' : stem === 'gptneox' ? 'gpt_neox' : stem;
}

const parsers: Record<ModelFamily, (reader: ConfigReader) => Architecture> = {
  gpt2: gpt2Architecture,
  gpt_neo: gptNeoArchitecture,
  gpt_neox: gptNeoxArchitecture,
  llama: llamaArchitecture,
  mistral: llamaArchitecture,
  qwen2: llamaArchitecture,
};

function gpt2Architecture(reader: ConfigReader): Architecture {
  if (reader.flag('scale_attn_by_inverse_layer_idx', false) || reader.flag('add_cross_attention', false)) {
    throw unsupported(
      reader.file,
      'attention scaled by layer, or cross-attention, is not supported. Use a plain GPT-2 model.',
    );
  }
  const dModel = reader.size('n_embd', 768);
  const nHeads = reader.size('n_head', 12);
  const nLayers = reader.size('n_layer', 12);
  const config: ModelConfig = {
    family: 'gpt2',
    nLayers,
    nHeads,
    nKeyValueHeads: nHeads,
    dModel,
    dHead: dModel / nHeads,
    dMlp: reader.size('n_inner', 4 * dModel),
    dVocab: reader.size('vocab_size', 50257),
    nCtx: reader.size('n_positions', reader.size('n_ctx', 1024)),
    norm: { kind: 'layernorm', eps: reader.number('layer_norm_epsilon', 1e-5) },
    positions: { kind: 'learned' },
    attention: {
      scale: reader.flag('scale_attn_weights', true) ? (dModel / nHeads) ** -0.5 : 1,
      windows: layers(nLayers, null),
    },
    mlp: { gated: false, activation: activation(reader, 'activation_function', 'gelu_new') },
    parallelResidual: false,
  };
  return { config, tied: tied(reader, true), bias: sameBias('required') };
}

function gptNeoArchitecture(reader: ConfigReader): Architecture {
  const dModel = reader.size('hidden_size', 2048);
  const nHeads = reader.size('num_heads', 16);
  const nLayers = reader.size('num_layers', 24);
  const window = reader.size('window_size', 256);
  const kinds = reader.raw('attention_layers');
  if (
    !Array.isArray(kinds) ||
    kinds.length !== nLayers ||
    !kinds.every((kind) => kind === 'global' || kind === 'local')
  ) {
    throw corrupt(reader.file, `"attention_layers" does not say global or local for each of ${nLayers} layers`);
  }
  const config: ModelConfig = {
    family: 'gpt_neo',
    nLayers,
    nHeads,
    nKeyValueHeads: nHeads,
    dModel,
    dHead: dModel / nHeads,
    dMlp: reader.size('intermediate_size', 4 * dModel),
    dVocab: reader.size('vocab_size', 50257),
    nCtx: reader.size('max_position_embeddings', 2048),
    norm: { kind: 'layernorm', eps: reader.number('layer_norm_epsilon', 1e-5) },
    positions: { kind: 'learned' },
    attention: { scale: 1, windows: kinds.map((kind) => (kind === 'local' ? window : null)) },
    mlp: { gated: false, activation: activation(reader, 'activation_function', 'gelu_new') },
    parallelResidual: false,
  };
  return { config, tied: tied(reader, true), bias: { qkv: 'none', out: 'required', mlp: 'required' } };
}

function gptNeoxArchitecture(reader: ConfigReader): Architecture {
  const dModel = reader.size('hidden_size', 6144);
  const nHeads = reader.size('num_attention_heads', 64);
  const nLayers = reader.size('num_hidden_layers', 44);
  const nCtx = reader.size('max_position_embeddings', 2048);
  const dHead = dModel / nHeads;
  const config: ModelConfig = {
    family: 'gpt_neox',
    nLayers,
    nHeads,
    nKeyValueHeads: nHeads,
    dModel,
    dHead,
    dMlp: reader.size('intermediate_size', 4 * dModel),
    dVocab: reader.size('vocab_size', 50432),
    nCtx,
    norm: { kind: 'layernorm', eps: reader.number('layer_norm_eps', 1e-5) },
    positions: rotary(reader, dHead, nCtx, reader.number('rotary_pct', 0.25), reader.number('rotary_emb_base', 10000)),
    attention: { scale: dHead ** -0.5, windows: layers(nLayers, null) },
    mlp: { gated: false, activation: activation(reader, 'hidden_act', 'gelu') },
    parallelResidual: reader.flag('use_parallel_residual', true),
  };
  const attentionBias = reader.flag('attention_bias', true) ? 'required' : 'none';
  return { config, tied: tied(reader, false), bias: { qkv: attentionBias, out: attentionBias, mlp: 'required' } };
}

/** Llama, Mistral (sliding window) and Qwen2 (biases on query, key and value). */
function llamaArchitecture(reader: ConfigReader): Architecture {
  const family = familyNamed(reader.text('model_type', 'llama')) ?? 'llama';
  const dModel = reader.size('hidden_size');
  const nHeads = reader.size('num_attention_heads');
  const nLayers = reader.size('num_hidden_layers');
  const nCtx = reader.size('max_position_embeddings', 2048);
  const dHead = reader.size('head_dim', Math.floor(dModel / nHeads));
  const config: ModelConfig = {
    family,
    nLayers,
    nHeads,
    nKeyValueHeads: reader.size('num_key_value_heads', nHeads),
    dModel,
    dHead,
    dMlp: reader.size('intermediate_size'),
    dVocab: reader.size('vocab_size'),
    nCtx,
    norm: { kind: 'rmsnorm', eps: reader.number('rms_norm_eps', 1e-6) },
    positions: rotary(reader, dHead, nCtx, 1, reader.number('rope_theta', 10000)),
    attention: { scale: dHead ** -0.5, windows: slidingWindows(reader, family, nLayers) },
    mlp: { gated: true, activation: activation(reader, 'hidden_act', 'silu') },
    parallelResidual: false,
  };
  const attentionBias = reader.flag('attention_bias', false) ? 'required' : 'none';
  return {
    config,
    tied: tied(reader, false),
    bias: {
      qkv: family === 'qwen2' ? 'required' : attentionBias,
      out: family === 'qwen2' ? 'none' : attentionBias,
      mlp: reader.flag('mlp_bias', false) ? 'required' : 'none',
    },
  };
}

function slidingWindows(reader: ConfigReader, family: ModelFamily, nLayers: number): (number | null)[] {
  const inUse = family === 'mistral' || (family === 'qwen2' && reader.flag('use_sliding_window', false));
  if (!inUse || !reader.has('sliding_window')) return layers(nLayers, null);
  const window = reader.size('sliding_window');
  const from = family === 'qwen2' ? reader.number('max_window_layers', 28) : 0;
  return layers(nLayers, window).map((value, layer) => (layer >= from ? value : null));
}

function rotary(reader: ConfigReader, dHead: number, nCtx: number, share: number, theta: number): RotaryPositions {
  const scaling = reader.object(reader.has('rope_parameters') ? 'rope_parameters' : 'rope_scaling');
  const type = scaling.text('rope_type', scaling.text('type', 'default'));
  if (!rotaryTypes.includes(type)) {
    throw unsupported(
      reader.file,
      `rotary positions of the type "${type.slice(0, 40)}" are not supported. Supported: ${rotaryTypes.join(', ')}.`,
    );
  }
  const dims = Math.floor(
    dHead * scaling.number('partial_rotary_factor', reader.number('partial_rotary_factor', share)),
  );
  if (dims < 2 || dims % 2 !== 0)
    throw corrupt(reader.file, `${dims} rotated dimensions per head are not an even number`);
  const original = scaling.size(
    'original_max_position_embeddings',
    reader.size('original_max_position_embeddings', nCtx),
  );
  const needsFactor = type !== 'default' && !(type === 'yarn' && !scaling.has('factor'));
  const settings: RotarySettings = {
    type,
    theta: scaling.number('rope_theta', theta),
    dims,
    factor: needsFactor ? scaling.number('factor') : nCtx / original,
    lowFreqFactor: type === 'llama3' ? scaling.number('low_freq_factor') : 1,
    highFreqFactor: type === 'llama3' ? scaling.number('high_freq_factor') : 1,
    originalContext: original,
    betaFast: scaling.number('beta_fast', 32) || 32,
    betaSlow: scaling.number('beta_slow', 1) || 1,
    attentionFactor: scaling.optionalNumber('attention_factor'),
    mscale: scaling.optionalNumber('mscale'),
    mscaleAllDim: scaling.optionalNumber('mscale_all_dim'),
    truncate: scaling.flag('truncate', true),
  };
  if (settings.theta <= 0 || settings.factor <= 0)
    throw corrupt(reader.file, 'the rotary base or factor is not positive');
  return rotaryPositions(settings);
}

function activation(reader: ConfigReader, key: string, fallback: string): Activation {
  const name = reader.text(key, fallback);
  const known = activations.get(name);
  if (known) return known;
  throw unsupported(
    reader.file,
    `the activation "${name.slice(0, 40)}" is not supported. Supported: ${[...activations.keys()].join(', ')}.`,
  );
}

function tied(reader: ConfigReader, fallback: boolean): 'yes' | 'no' {
  return reader.flag('tie_word_embeddings', fallback) ? 'yes' : 'no';
}

function layers(nLayers: number, window: number | null): (number | null)[] {
  if (nLayers > 10_000) return [];
  return new Array<number | null>(nLayers).fill(window);
}

/** Refuses sizes that contradict each other. @throws model-corrupt */
export function checkShapes(file: string, config: ModelConfig): void {
  const { nLayers, nHeads, nKeyValueHeads, dHead, dModel } = config;
  if (nLayers > 10_000) throw corrupt(file, `${nLayers} layers`);
  if (!Number.isInteger(dHead)) throw corrupt(file, `d_model ${dModel} is not divisible by ${nHeads} heads`);
  if (nHeads % nKeyValueHeads !== 0) {
    throw corrupt(file, `${nHeads} heads cannot share ${nKeyValueHeads} key-value heads`);
  }
  if (!(config.norm.eps >= 0)) throw corrupt(file, `the epsilon of the norm is ${config.norm.eps}`);
}
