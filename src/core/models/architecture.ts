import type { ModelConfig } from './modelConfig.ts';

/** Whether a linear map has a bias: it must, it must not be used even if stored, or it has one if one is stored. */
export type BiasRule = 'required' | 'none' | 'if-stored';

/** A config with what is needed to find the weights that belong to it. */
export interface Architecture {
  readonly config: ModelConfig;
  /** Whether the unembedding is the embedding. `if-absent`: only where no unembedding is stored (GGUF). */
  readonly tied: 'yes' | 'no' | 'if-absent';
  readonly bias: {
    /** Query, key and value maps. */
    readonly qkv: BiasRule;
    /** Output map of the attention. */
    readonly out: BiasRule;
    readonly mlp: BiasRule;
  };
}

/** The same rule for every linear map of a block. */
export function sameBias(rule: BiasRule): Architecture['bias'] {
  return { qkv: rule, out: rule, mlp: rule };
}
