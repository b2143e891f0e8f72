import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { ModelConfig } from './modelConfig.ts';
import type { ModelWeights } from './modelWeights.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A model on disk, ready for the engine: every weight is float32 in a file at a known place. Holds no weights itself. */
export interface OpenModel {
  readonly info: ModelInfo & { readonly hash: string };
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  readonly tokenizer: Tokenizer;
}
