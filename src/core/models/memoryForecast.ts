import type { MemoryForecast } from '../../shared/modelInfo.ts';
import type { ModelConfig } from './modelConfig.ts';

/** Tokens of the prompt that the forecast is made for. */
const forecastTokens = 64;

/** What the process takes with a model of hardly any weights: Node, onnxruntime, a tokenizer. Measured: 110 MB. */
const processBytes = 110e6;

/** Share of the weights that is held twice for a moment while a model is opened. Measured: 0.16. */
const openingShare = 0.17;

/** What of a config the forecast needs. */
export type MemoryShape = Pick<
  ModelConfig,
  'nLayers' | 'nHeads' | 'nKeyValueHeads' | 'dModel' | 'dHead' | 'dMlp' | 'dVocab'
> & { readonly mlp: Pick<ModelConfig['mlp'], 'gated'> };

/**
 * Memory that the engine process will take at its peak: the weights in float32, the process itself, and the larger of
 * what opening holds twice and the activations of a 64-token prompt with everything cached, as the latter take the place
 * of the former. Against the kernel's own peak after such a prompt: SmolLM2-135M 752 MB for 733, GPT-2 small 692 for 686,
 * small-world 115 for 112 (docs/benchmarks.md; Linux x64).
 *
 * @param parameters of all tensors that are in use
 * @param availableBytes what the machine can give
 */
export function memoryForecast(config: MemoryShape, parameters: number, availableBytes: number): MemoryForecast {
  const weights = parameters * 4;
  const more = Math.max(weights * openingShare, activationBytes(config, forecastTokens));
  const neededBytes = Math.ceil(weights + more + processBytes);
  return { neededBytes, availableBytes, fits: neededBytes <= availableBytes };
}

/** Activations of one prompt at every hook point of every layer, and its logits, in float32 bytes. */
export function activationBytes(config: MemoryShape, tokens: number): number {
  const { nLayers, nHeads, nKeyValueHeads, dModel, dHead, dMlp, dVocab } = config;
  const residual = 8 * dModel;
  const heads = (2 * nHeads + 2 * nKeyValueHeads) * dHead;
  const patterns = 2 * nHeads * tokens;
  const mlp = (config.mlp.gated ? 3 : 2) * dMlp;
  return 4 * tokens * (nLayers * (residual + heads + patterns + mlp) + dVocab);
}
