import { basename } from 'node:path';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import type { ModelInfo } from '../../shared/modelInfo.ts';
import type { OnProgress } from '../../shared/progress.ts';
import { corrupt } from './fileErrors.ts';
import { mapWeights } from './mapWeights.ts';
import { memoryForecast } from './memoryForecast.ts';
import { type ModelSource, readModelSource } from './modelSource.ts';
import type { ModelWeights } from './modelWeights.ts';
import type { OpenModel } from './openModel.ts';
import { prepareFloat32 } from './prepareFloat32.ts';
import { elementCount, mostCommonType } from './storedTensor.ts';
import { rememberedWeightHash, weightHash } from './weightHash.ts';

export interface ReadModelInfoOptions {
  /** What the person wrote to name the model. */
  readonly ref: string;
  /** Name without the storage type; default: the name of the folder or file. */
  readonly label?: string;
  /** Default: what the model card or the GGUF metadata says. */
  readonly licence?: string | null;
  /** Where prepared weights and hashes are kept. */
  readonly cacheDir: string;
  /** Memory that may be used, in bytes. */
  readonly availableBytes: number;
}

export interface OpenModelOptions extends ReadModelInfoOptions {
  readonly signal?: AbortSignal;
  /** In bytes: of the weights hashed and, where they must be cast, of the float32 weights written. */
  readonly onProgress?: OnProgress;
}

/**
 * What a model on disk is, from its headers alone: no weight is read.
 *
 * @param path Hugging Face folder or `.gguf` file
 * @throws model-not-found, model-corrupt, model-unsupported
 */
export async function readModelInfo(path: string, options: ReadModelInfoOptions): Promise<ModelInfo> {
  const source = await readModelSource(path);
  return describe(source, options, await rememberedWeightHash(source.weightFiles, options.cacheDir));
}

/**
 * Makes a model on disk ready for the engine. Float32 safetensors are used where they lie. F16, BF16 and GGUF weights are
 * cast to float32 once, into `<cacheDir>/prepared/<sha256>/model.safetensors`; the next time this takes milliseconds.
 *
 * @param path Hugging Face folder or `.gguf` file
 * @throws model-not-found, model-corrupt, model-unsupported, model-too-large, disk-full, cancelled
 */
export async function openModelFiles(path: string, options: OpenModelOptions): Promise<OpenModel> {
  const source = await readModelSource(path);
  throwIfCancelled(options.signal);
  const forecast = describe(source, options, null);
  if (!forecast.memory.fits) throw tooLarge(forecast);
  const tokenizer = await source.tokenizer();
  const { dVocab } = source.architecture.config;
  if (tokenizer.dVocab > dVocab) {
    throw corrupt(source.path, `its tokenizer has ${tokenizer.dVocab} tokens, but its embedding ${dVocab} rows`);
  }
  throwIfCancelled(options.signal);
  const progress = openingProgress(source, forecast, options.onProgress);
  const hash = await weightHash(source.weightFiles, { ...options, onBytes: progress.hashed });
  const weights = await float32Weights(source, hash, options, progress.prepared);
  progress.end();
  return { info: { ...forecast, hash }, config: source.architecture.config, weights, tokenizer };
}

function describe(source: ModelSource, options: ReadModelInfoOptions, hash: string | null): ModelInfo {
  const { config } = source.architecture;
  const parameters = source.mapped.used.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0);
  const storedAs = mostCommonType(source.mapped.used);
  const name = options.label ?? basename(source.path).replace(/\.gguf$/i, '');
  return {
    ref: options.ref,
    label: name.toLowerCase().includes(storedAs.toLowerCase()) ? name : `${name} ${storedAs}`,
    family: config.family,
    nLayers: config.nLayers,
    nHeads: config.nHeads,
    nKeyValueHeads: config.nKeyValueHeads,
    dModel: config.dModel,
    dHead: config.dHead,
    dMlp: config.dMlp,
    dVocab: config.dVocab,
    nCtx: config.nCtx,
    parameters,
    storedAs,
    licence: options.licence ?? source.licence,
    hash,
    memory: memoryForecast(config, parameters, options.availableBytes),
  };
}

function tooLarge(info: ModelInfo): MechanistError {
  const { neededBytes, availableBytes } = info.memory;
  return new MechanistError(
    'model-too-large',
    `${info.label} needs ${bytes(neededBytes)} of memory, but ${bytes(availableBytes)} are available. Close other programs, or take a smaller model.`,
    { neededBytes, availableBytes },
  );
}

/** One count over both stages, so that a bar moves once from empty to full. */
function openingProgress(source: ModelSource, info: ModelInfo, report: OnProgress | undefined) {
  const total = source.weightBytes + (usedInPlace(source) ? 0 : info.parameters * 4);
  const step = (done: number, label: string) => report?.({ done, total, label });
  return {
    hashed: (done: number) => step(done, `Checking ${info.label}`),
    prepared: (done: number) => step(source.weightBytes + done, `Preparing ${info.label} in float32`),
    end: () => step(total, info.label),
  };
}

/** A reader of raw float32 needs aligned offsets, which the safetensors format does not promise. */
function usedInPlace({ mapped, permutedHeads }: ModelSource): boolean {
  return permutedHeads.size === 0 && mapped.used.every(({ type, offset }) => type === 'F32' && offset % 4 === 0);
}

async function float32Weights(
  source: ModelSource,
  hash: string,
  options: OpenModelOptions,
  onBytes: (written: number) => void,
): Promise<ModelWeights> {
  const { used, weights } = source.mapped;
  if (usedInPlace(source)) return weights;
  const prepared = await prepareFloat32(used, {
    cacheDir: options.cacheDir,
    hash,
    permutedHeads: source.permutedHeads,
    signal: options.signal,
    onBytes,
  });
  return mapWeights(source.headerFile, source.architecture, source.names, prepared).weights;
}
