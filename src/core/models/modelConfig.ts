/** Model families that share one config with switches. */
export type ModelFamily = 'gpt2' | 'gpt_neo' | 'gpt_neox' | 'llama' | 'mistral' | 'qwen2';

export type Activation = 'gelu' | 'gelu_new' | 'silu' | 'relu';

/** Frequencies of a rotary embedding after the config's scaling has been applied. */
export interface RotaryPositions {
  readonly kind: 'rotary';
  /** Dimensions of each head that are rotated; the first ones. */
  readonly rotaryDims: number;
  /** `[rotaryDims / 2]`: radians per position, scaling (linear, llama3, yarn …) already applied. */
  readonly inverseFrequencies: readonly number[];
  /** Factor on cos and sin (yarn); 1 otherwise. */
  readonly attentionFactor: number;
  /** `half`: dimension i pairs with i + rotaryDims / 2 (HF). `adjacent`: 2i pairs with 2i + 1 (GGUF llama as stored). */
  readonly pairing: 'half' | 'adjacent';
}

/** Architecture of a decoder-only transformer, in the words of the field. No weights. */
export interface ModelConfig {
  readonly family: ModelFamily;
  readonly nLayers: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dModel: number;
  readonly dHead: number;
  readonly dMlp: number;
  readonly dVocab: number;
  readonly nCtx: number;
  readonly norm: { readonly kind: 'layernorm' | 'rmsnorm'; readonly eps: number };
  readonly positions: { readonly kind: 'learned' } | RotaryPositions;
  readonly attention: {
    /** Factor on q·k: 1/√d_head, or 1 for GPT-Neo. */
    readonly scale: number;
    /** `[layer]`: how many positions back a query may look, itself included; null = all. */
    readonly windows: readonly (number | null)[];
  };
  readonly mlp: { readonly gated: boolean; readonly activation: Activation };
  /** GPT-NeoX: attention and MLP both read resid_pre; hook_resid_mid does not exist. */
  readonly parallelResidual: boolean;
}
