import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { MechanistError } from '../../shared/errors.ts';
import type { Architecture } from './architecture.ts';
import { corrupt, readFailure, systemErrorCode, unsupported } from './fileErrors.ts';
import { ggufArchitecture } from './ggufConfig.ts';
import { readGguf } from './ggufFile.ts';
import { ggufTokenizer } from './ggufTokenizer.ts';
import { huggingFaceArchitecture } from './huggingFaceConfig.ts';
import { huggingFaceTokenizer } from './huggingFaceTokenizer.ts';
import { type MappedWeights, mapWeights } from './mapWeights.ts';
import { readWholeTensor } from './readTensor.ts';
import { readSafetensorsHeader, readShards } from './safetensors.ts';
import type { StoredTensor } from './storedTensor.ts';
import type { Tokenizer } from './tokenizer.ts';
import { ggufNames, huggingFaceNames, type WeightNames } from './weightNames.ts';

/** A model on disk after its headers are read and checked, whatever its format. No weight has been read. */
export interface ModelSource {
  /** Absolute folder or file. */
  readonly path: string;
  /** Named in errors about tensors. */
  readonly headerFile: string;
  readonly architecture: Architecture;
  readonly names: WeightNames;
  readonly mapped: MappedWeights;
  readonly weightFiles: readonly string[];
  /** Of all weight files. */
  readonly weightBytes: number;
  readonly licence: string | null;
  /** Tensors whose rows lie in llama.cpp's order, with their number of heads. */
  readonly permutedHeads: ReadonlyMap<string, number>;
  tokenizer(): Promise<Tokenizer>;
}

/**
 * Reads the headers of a Hugging Face folder or a `.gguf` file and finds every weight of the model in them.
 *
 * @throws model-not-found, model-corrupt, model-unsupported
 */
export async function readModelSource(path: string): Promise<ModelSource> {
  const absolute = resolve(path);
  try {
    const stats = await stat(absolute);
    if (stats.isDirectory()) return await folderSource(absolute);
    if (stats.isFile()) return await fileSource(absolute);
  } catch (error) {
    throw readFailure(absolute, error);
  }
  throw new MechanistError('model-not-found', `${absolute} is neither a folder nor a file.`, { path: absolute });
}

async function fileSource(path: string): Promise<ModelSource> {
  if (!path.toLowerCase().endsWith('.gguf')) {
    throw unsupported(path, 'only .gguf files can be opened alone. For a Hugging Face model, name its folder.');
  }
  return ggufSource(path);
}

async function ggufSource(path: string): Promise<ModelSource> {
  const gguf = await readGguf(path);
  const factors = gguf.tensors.get('rope_freqs.weight');
  if (factors && factors.byteLength > 1 << 20) throw corrupt(path, 'the tensor "rope_freqs.weight" is too large');
  const architecture = ggufArchitecture(gguf, factors ? [...(await readWholeTensor(factors))] : null);
  const names = ggufNames(architecture.family);
  const mapped = mapWeights(path, architecture, names, gguf.tensors);
  const licence = gguf.metadata.get('general.license');
  return {
    path,
    headerFile: path,
    architecture,
    names,
    mapped,
    weightFiles: [path],
    weightBytes: await totalSize([path]),
    licence: typeof licence === 'string' ? licence : null,
    permutedHeads: architecture.family === 'llama' ? permutedByLlamaCpp(architecture, mapped) : new Map(),
    tokenizer: async () => ggufTokenizer(gguf),
  };
}

/** llama.cpp's converter reorders the query and key rows of the family `llama`, and of no other that is read here. */
function permutedByLlamaCpp({ config }: Architecture, { weights }: MappedWeights): ReadonlyMap<string, number> {
  const heads = new Map<StoredTensor | object, number>();
  for (const { attention } of weights.blocks) {
    if (attention.qkv.kind !== 'separate') continue;
    const { q, k } = attention.qkv;
    for (const tensor of [q.weight, q.bias]) if (tensor) heads.set(tensor, config.nHeads);
    for (const tensor of [k.weight, k.bias]) if (tensor) heads.set(tensor, config.nKeyValueHeads);
  }
  return new Map([...heads].map(([tensor, count]) => [nameOf(tensor), count]));
}

function nameOf(tensor: object): string {
  return 'name' in tensor && typeof tensor.name === 'string' ? tensor.name : '';
}

async function folderSource(path: string): Promise<ModelSource> {
  const configFile = join(path, 'config.json');
  const json = await readJsonFile(configFile);
  if (json === null) {
    throw new MechanistError(
      'model-not-found',
      `${path} has no config.json. Name the folder of a Hugging Face model, or a .gguf file.`,
      { path },
    );
  }
  const architecture = huggingFaceArchitecture(configFile, json);
  const { headerFile, files, tensors } = await readFolderTensors(path);
  const names = huggingFaceNames(architecture.config.family);
  return {
    path,
    headerFile,
    architecture,
    names,
    mapped: mapWeights(headerFile, architecture, names, tensors),
    weightFiles: files,
    weightBytes: await totalSize(files),
    licence: await licenceOf(path),
    permutedHeads: new Map(),
    tokenizer: () => huggingFaceTokenizer(path, architecture.config.dVocab),
  };
}

async function readFolderTensors(path: string): Promise<{
  readonly headerFile: string;
  readonly files: readonly string[];
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}> {
  const single = join(path, 'model.safetensors');
  if (await exists(single)) {
    return { headerFile: single, files: [single], tensors: (await readSafetensorsHeader(single)).tensors };
  }
  const indexFile = join(path, 'model.safetensors.index.json');
  const index = await readJsonFile(indexFile);
  if (index === null) {
    if ((await exists(join(path, 'pytorch_model.bin'))) || (await exists(join(path, 'pytorch_model.bin.index.json')))) {
      throw unsupported(path, 'the weights are a PyTorch pickle. Save the model again as safetensors.');
    }
    throw corrupt(path, 'there is neither model.safetensors nor model.safetensors.index.json in it');
  }
  const weightMap = parseWeightMap(indexFile, index);
  const { files, tensors } = await readShards(indexFile, weightMap, (shard) => join(path, shard));
  return { headerFile: indexFile, files, tensors };
}

function parseWeightMap(indexFile: string, index: unknown): ReadonlyMap<string, string> {
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : null;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw corrupt(indexFile, 'it has no "weight_map"');
  const weightMap = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // Shards lie beside the index; anything else would read files outside of the model's folder.
    if (typeof shard !== 'string' || shard === '' || basename(shard) !== shard || shard.includes('\\')) {
      throw corrupt(indexFile, `the shard of tensor "${name}" is not a file name`, { tensor: name });
    }
    weightMap.set(name, shard);
  }
  return weightMap;
}

async function readJsonFile(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw readFailure(file, error);
  }
  try {
    return JSON.parse(text);
  } catch {
    throw corrupt(file, 'it is not JSON');
  }
}

async function totalSize(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** `license:` in the front matter of the model card. */
async function licenceOf(folder: string): Promise<string | null> {
  const card = await readFile(join(folder, 'README.md'), 'utf8').catch(() => '');
  const frontMatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(card.slice(0, 20_000))?.[1] ?? '';
  return /^license:\s*["']?([^"'\r\n]+?)["']?\s*$/m.exec(frontMatter)?.[1] ?? null;
}
