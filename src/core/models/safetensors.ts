import { type FileHandle, open } from 'node:fs/promises';
import { MechanistError } from '../../shared/errors.ts';
import { corrupt, readFailure, unsupported } from './fileErrors.ts';
import { elementCount, type StoredTensor } from './storedTensor.ts';

/** Header limit of the reference implementation. */
const maxHeaderBytes = 100_000_000;

/** Bits per element of every type the format defines (safetensors 0.8). */
const typeBits = new Map<string, number>([
  ['BOOL', 8],
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E5M2FNUZ', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E8M0', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
  ['C64', 64],
]);

/** Names, types, shapes and places of the tensors of one `.safetensors` file. */
export interface SafetensorsHeader {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads and checks the header of a `.safetensors` file; no weight is read.
 * Checked: header length, JSON, types, shapes, and that the tensors tile the rest of the file without gap or overlap.
 *
 * @throws model-not-found, model-corrupt, model-unsupported (unknown type)
 */
export async function readSafetensorsHeader(file: string): Promise<SafetensorsHeader> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw readFailure(file, error);
  }
  try {
    const { size } = await handle.stat();
    if (size < 8) throw corrupt(file, `${size} bytes are too few for a safetensors file`);
    const headerBytes = Number((await readExactly(handle, file, 0, 8)).readBigUInt64LE(0));
    if (headerBytes > maxHeaderBytes || headerBytes < 2 || headerBytes > size - 8) {
      throw corrupt(file, `the header claims ${headerBytes} bytes in a file of ${size}`);
    }
    const header = await readExactly(handle, file, 8, headerBytes);
    return parseHeader(file, header, size - 8 - headerBytes);
  } catch (error) {
    throw readFailure(file, error);
  } finally {
    await handle.close();
  }
}

async function readExactly(handle: FileHandle, file: string, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) throw corrupt(file, `it ends at byte ${position + done}`);
    done += bytesRead;
  }
  return buffer;
}

function parseHeader(file: string, header: Buffer, dataBytes: number): SafetensorsHeader {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(header));
  } catch {
    throw corrupt(file, 'the header is not JSON');
  }
  if (!isObject(json)) throw corrupt(file, 'the header is not a JSON object');
  const tensors = new Map<string, StoredTensor>();
  const metadata = new Map<string, string>();
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') {
      if (isObject(entry)) for (const [key, value] of Object.entries(entry)) metadata.set(key, String(value));
    } else {
      tensors.set(name, parseEntry(file, name, entry, 8 + header.length, dataBytes));
    }
  }
  checkTiling(file, [...tensors.values()], 8 + header.length, dataBytes);
  return { file, tensors, metadata };
}

function parseEntry(file: string, name: string, entry: unknown, base: number, dataBytes: number): StoredTensor {
  if (!isObject(entry)) throw corrupt(file, `the entry of tensor "${name}" is not an object`, { tensor: name });
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string') throw corrupt(file, `tensor "${name}" has no type`, { tensor: name });
  const bits = typeBits.get(dtype);
  if (bits === undefined) {
    throw unsupported(
      file,
      `tensor "${name}" has the type ${dtype.slice(0, 40)}, which is not known. Convert the model to F32, F16 or BF16.`,
      { tensor: name, dtype },
    );
  }
  if (!isSizes(shape)) throw corrupt(file, `tensor "${name}" has no valid shape`, { tensor: name });
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    throw corrupt(file, `tensor "${name}" has no valid offsets`, { tensor: name });
  }
  const [begin, end] = offsets;
  if (end > dataBytes) {
    throw corrupt(file, `tensor "${name}" ends at byte ${end}, but there are ${dataBytes} bytes of data`, {
      tensor: name,
    });
  }
  const expected = (elementCount(shape) * bits) / 8;
  if (end - begin !== expected) {
    throw corrupt(file, `tensor "${name}" takes ${end - begin} bytes, ${dtype} [${shape}] needs ${expected}`, {
      tensor: name,
    });
  }
  return { name, file, offset: base + begin, byteLength: end - begin, shape, type: dtype };
}

function checkTiling(file: string, tensors: StoredTensor[], base: number, dataBytes: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = base;
  for (const { name, offset, byteLength } of tensors) {
    if (offset < end) throw corrupt(file, `tensor "${name}" overlaps the one before it`, { tensor: name });
    if (offset > end) throw corrupt(file, `there is a hole before tensor "${name}"`, { tensor: name });
    end = offset + byteLength;
  }
  if (end !== base + dataBytes) {
    throw corrupt(file, `the tensors take ${end - base} bytes, but there are ${dataBytes} bytes of data`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** The tensors of a checkpoint that is cut into shards, checked against its `model.safetensors.index.json`. */
export async function readShards(
  indexFile: string,
  weightMap: ReadonlyMap<string, string>,
  shardPath: (name: string) => string,
): Promise<{ readonly files: readonly string[]; readonly tensors: ReadonlyMap<string, StoredTensor> }> {
  const files: string[] = [];
  const tensors = new Map<string, StoredTensor>();
  const shards = [...new Set(weightMap.values())].sort();
  for (const shard of shards) {
    const path = shardPath(shard);
    const header = await readSafetensorsHeader(path).catch((error: unknown) => {
      if (!(error instanceof MechanistError) || error.code !== 'model-not-found') throw error;
      throw corrupt(indexFile, `the shard ${shard} that it names is missing`, { shard });
    });
    files.push(path);
    for (const [name, tensor] of header.tensors) if (weightMap.get(name) === shard) tensors.set(name, tensor);
  }
  for (const [name, shard] of weightMap) {
    if (!tensors.has(name)) {
      throw corrupt(indexFile, `tensor "${name}" is not in the shard ${shard}`, { tensor: name, shard });
    }
  }
  return { files, tensors };
}
