import type { ModelFamily } from './modelConfig.ts';

/**
 * Names that a file format gives to the weights of a family, without the endings `.weight` and `.bias`.
 * `prefixes` are tried in order before every name.
 */
export interface WeightNames {
  readonly prefixes: readonly string[];
  readonly embed: string;
  readonly positionEmbed: string | null;
  readonly finalNorm: string;
  readonly unembed: readonly string[];
  /** How the linear maps of the blocks are stored. The unembedding is always `[out, in]`. */
  readonly layout: 'in_out' | 'out_in';
  block(layer: number): BlockNames;
}

export interface BlockNames {
  readonly norm1: string;
  readonly qkv:
    | { readonly kind: 'separate'; readonly q: string; readonly k: string; readonly v: string }
    | { readonly kind: 'fused' | 'fused-by-head'; readonly name: string };
  readonly out: string;
  readonly norm2: string;
  readonly mlp: { readonly in: string; readonly gate: string | null; readonly out: string };
}

const gpt2: WeightNames = {
  prefixes: ['', 'transformer.', 'model.'],
  embed: 'wte',
  positionEmbed: 'wpe',
  finalNorm: 'ln_f',
  unembed: ['lm_head'],
  layout: 'in_out',
  block: (l) => ({
    norm1: `h.${l}.ln_1`,
    qkv: { kind: 'fused', name: `h.${l}.attn.c_attn` },
    out: `h.${l}.attn.c_proj`,
    norm2: `h.${l}.ln_2`,
    mlp: { in: `h.${l}.mlp.c_fc`, gate: null, out: `h.${l}.mlp.c_proj` },
  }),
};

const gptNeo: WeightNames = {
  ...gpt2,
  layout: 'out_in',
  block: (l) => ({
    norm1: `h.${l}.ln_1`,
    qkv: {
      kind: 'separate',
      q: `h.${l}.attn.attention.q_proj`,
      k: `h.${l}.attn.attention.k_proj`,
      v: `h.${l}.attn.attention.v_proj`,
    },
    out: `h.${l}.attn.attention.out_proj`,
    norm2: `h.${l}.ln_2`,
    mlp: { in: `h.${l}.mlp.c_fc`, gate: null, out: `h.${l}.mlp.c_proj` },
  }),
};

const gptNeox: WeightNames = {
  prefixes: ['', 'gpt_neox.', 'model.'],
  embed: 'embed_in',
  positionEmbed: null,
  finalNorm: 'final_layer_norm',
  unembed: ['embed_out', 'lm_head'],
  layout: 'out_in',
  block: (l) => ({
    norm1: `layers.${l}.input_layernorm`,
    qkv: { kind: 'fused-by-head', name: `layers.${l}.attention.query_key_value` },
    out: `layers.${l}.attention.dense`,
    norm2: `layers.${l}.post_attention_layernorm`,
    mlp: { in: `layers.${l}.mlp.dense_h_to_4h`, gate: null, out: `layers.${l}.mlp.dense_4h_to_h` },
  }),
};

const llama: WeightNames = {
  prefixes: ['model.', '', 'transformer.'],
  embed: 'embed_tokens',
  positionEmbed: null,
  finalNorm: 'norm',
  unembed: ['lm_head'],
  layout: 'out_in',
  block: (l) => ({
    norm1: `layers.${l}.input_layernorm`,
    qkv: {
      kind: 'separate',
      q: `layers.${l}.self_attn.q_proj`,
      k: `layers.${l}.self_attn.k_proj`,
      v: `layers.${l}.self_attn.v_proj`,
    },
    out: `layers.${l}.self_attn.o_proj`,
    norm2: `layers.${l}.post_attention_layernorm`,
    mlp: { in: `layers.${l}.mlp.up_proj`, gate: `layers.${l}.mlp.gate_proj`, out: `layers.${l}.mlp.down_proj` },
  }),
};

/** Names in a Hugging Face checkpoint. */
export function huggingFaceNames(family: ModelFamily): WeightNames {
  return { gpt2, gpt_neo: gptNeo, gpt_neox: gptNeox, llama, mistral: llama, qwen2: llama }[family];
}

const ggufLlama: WeightNames = {
  prefixes: [''],
  embed: 'token_embd',
  positionEmbed: null,
  finalNorm: 'output_norm',
  unembed: ['output'],
  layout: 'out_in',
  block: (l) => ({
    norm1: `blk.${l}.attn_norm`,
    qkv: { kind: 'separate', q: `blk.${l}.attn_q`, k: `blk.${l}.attn_k`, v: `blk.${l}.attn_v` },
    out: `blk.${l}.attn_output`,
    norm2: `blk.${l}.ffn_norm`,
    mlp: { in: `blk.${l}.ffn_up`, gate: `blk.${l}.ffn_gate`, out: `blk.${l}.ffn_down` },
  }),
};

/** GGUF stores GPT-2's linear maps as `[out, in]`: the converter turns the Conv1D matrices. */
const ggufGpt2: WeightNames = {
  ...ggufLlama,
  positionEmbed: 'position_embd',
  block: (l) => ({
    ...ggufLlama.block(l),
    qkv: { kind: 'fused', name: `blk.${l}.attn_qkv` },
    mlp: { in: `blk.${l}.ffn_up`, gate: null, out: `blk.${l}.ffn_down` },
  }),
};

/** Names in a GGUF file. */
export function ggufNames(family: 'gpt2' | 'llama' | 'qwen2'): WeightNames {
  return family === 'gpt2' ? ggufGpt2 : ggufLlama;
}
