import type { MemoryForecast } from '../../shared/modelInfo.ts';
import type { ModelConfig } from './modelConfig.ts';

/** Tokens of the prompt that the forecast is made for. */
const forecastTokens = 64;

/** What the process takes with no model: Node, onnxruntime, a tokenizer. */
const processBytes = 160 * 2 ** 20;

/**
 * Memory that the engine process will take for a model: its weights in float32, the share that onnxruntime packs anew for
 * its matrix products, the activations of a 64-token prompt with everything cached, and the process itself.
 *
 * @param parameters of all tensors that are in use
 * @param availableBytes what the machine can give
 */
export function memoryForecast(config: ModelConfig, parameters: number, availableBytes: number): MemoryForecast {
  const neededBytes = Math.ceil(parameters * 4 * 1.1 + activationBytes(config, forecastTokens) + processBytes);
  return { neededBytes, availableBytes, fits: neededBytes <= availableBytes };
}

/** Activations of one prompt at every hook point of every layer, and its logits, in float32 bytes. */
export function activationBytes(config: ModelConfig, tokens: number): number {
  const { nLayers, nHeads, nKeyValueHeads, dModel, dHead, dMlp, dVocab } = config;
  const residual = 8 * dModel;
  const heads = (2 * nHeads + 2 * nKeyValueHeads) * dHead;
  const patterns = 2 * nHeads * tokens;
  const mlp = (config.mlp.gated ? 3 : 2) * dMlp;
  return 4 * tokens * (nLayers * (residual + heads + patterns + mlp) + dVocab);
}
