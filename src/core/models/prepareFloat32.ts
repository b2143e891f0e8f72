import { type FileHandle, mkdir, open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import { readFailure, writeFailure } from './fileErrors.ts';
import { readTensor } from './readTensor.ts';
import { readSafetensorsHeader } from './safetensors.ts';
import { elementCount, type StoredTensor } from './storedTensor.ts';
import { type TensorSource, writeSafetensors } from './writeSafetensors.ts';

/** Raised when what is written changes, so that files of older versions are made again. */
const layoutVersion = '1';

export interface PrepareOptions {
  readonly cacheDir: string;
  /** sha256 of the source weights: names the prepared file. */
  readonly hash: string;
  /** Rows of these tensors lie in llama.cpp's order and are put back: name → number of heads. */
  readonly permutedHeads: ReadonlyMap<string, number>;
  readonly signal?: AbortSignal;
  /** Bytes written so far; nothing when the file is there already. */
  readonly onBytes?: (written: number) => void;
}

/**
 * Casts the tensors to float32 once, into `<cacheDir>/prepared/<hash>/model.safetensors`, and returns where they lie
 * there. A file that is already there and holds the same tensors is used as it is. At most one piece of 4 MiB, or one
 * query or key matrix, is in memory.
 *
 * @throws disk-full (checked before the first byte is written), cancelled, model-corrupt
 */
export async function prepareFloat32(
  tensors: readonly StoredTensor[],
  options: PrepareOptions,
): Promise<ReadonlyMap<string, StoredTensor>> {
  const file = join(options.cacheDir, 'prepared', options.hash, 'model.safetensors');
  const ready = await readPrepared(file, tensors);
  if (ready) return ready;
  const total = tensors.reduce((sum, tensor) => sum + elementCount(tensor.shape) * 4, 0);
  await checkDiskSpace(file, total);
  await removeLeftovers(dirname(file));
  const handles = new Map<string, FileHandle>();
  let done = 0;
  try {
    for (const path of new Set(tensors.map((tensor) => tensor.file))) handles.set(path, await open(path, 'r'));
    const sources = tensors.map(
      (tensor): TensorSource => ({
        name: tensor.name,
        shape: tensor.shape,
        chunks: () => chunksOf(tensor, handles, options.permutedHeads.get(tensor.name)),
      }),
    );
    await writeSafetensors(file, sources, {
      metadata: { format: 'pt', source_sha256: options.hash, mechanist_layout: layoutVersion },
      signal: options.signal,
      onBytes: (written) => {
        done += written;
        options.onBytes?.(done);
      },
    });
  } catch (error) {
    throw readFailure(file, error);
  } finally {
    for (const handle of handles.values()) await handle.close().catch(() => undefined);
  }
  throwIfCancelled(options.signal);
  const written = await readPrepared(file, tensors);
  if (!written) throw new MechanistError('internal', `${file} is not what was written. Please report this.`);
  return written;
}

async function readPrepared(
  file: string,
  tensors: readonly StoredTensor[],
): Promise<ReadonlyMap<string, StoredTensor> | null> {
  try {
    const header = await readSafetensorsHeader(file);
    const same = tensors.every(({ name, shape }) => {
      const stored = header.tensors.get(name);
      return stored?.type === 'F32' && stored.shape.join() === shape.join();
    });
    return same && header.metadata.get('mechanist_layout') === layoutVersion ? header.tensors : null;
  } catch {
    return null;
  }
}

async function* chunksOf(
  tensor: StoredTensor,
  handles: ReadonlyMap<string, FileHandle>,
  permutedHeads: number | undefined,
): AsyncGenerator<Float32Array> {
  const handle = handles.get(tensor.file);
  if (!handle) throw new MechanistError('internal', `${tensor.file} is not open.`);
  for await (const piece of readTensor(handle, tensor, permutedHeads !== undefined)) {
    yield permutedHeads === undefined ? piece : unpermuteRows(piece, tensor.shape[0], permutedHeads);
  }
}

/**
 * llama.cpp stores the query and key rows of Llama so that rotary dimension pairs are adjacent: within a head, row 2j + i
 * is row i · d_head / 2 + j of the Hugging Face model. This puts them back, so that `hook_q` and `hook_k` equal HF's.
 *
 * @param values `[rows, …]`, rows = heads · d_head
 */
function unpermuteRows(values: Float32Array, rows: number, heads: number): Float32Array {
  const dHead = rows / heads;
  const width = values.length / rows;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const within = row % dHead;
    const to = row - within + (within % 2) * (dHead / 2) + (within >> 1);
    out.set(values.subarray(row * width, (row + 1) * width), to * width);
  }
  return out;
}

/** Half-written files of processes that were killed; a running one never takes a day. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.endsWith('.part')) continue;
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > 24 * 3600 * 1000) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function checkDiskSpace(file: string, neededBytes: number): Promise<void> {
  const folder = dirname(file);
  let freeBytes: number;
  try {
    await mkdir(folder, { recursive: true });
    const { bavail, bsize } = await statfs(folder);
    freeBytes = bavail * bsize;
  } catch (error) {
    throw writeFailure(folder, error);
  }
  if (freeBytes < neededBytes) {
    throw new MechanistError(
      'disk-full',
      `The float32 weights need ${bytes(neededBytes)} in ${folder}, but only ${bytes(freeBytes)} are free. Free some space, or move the cache with MECHANIST_CACHE.`,
      { neededBytes, freeBytes },
    );
  }
}
