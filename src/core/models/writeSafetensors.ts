import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { throwIfCancelled } from '../../shared/errors.ts';
import { writeFailure } from './fileErrors.ts';
import { elementCount } from './storedTensor.ts';

/** A float32 tensor that is produced piece by piece. The pieces together hold exactly the elements of `shape`. */
export interface TensorSource {
  readonly name: string;
  readonly shape: readonly number[];
  chunks(): AsyncIterable<Float32Array>;
}

/** Header of a float32 `.safetensors` file, padded so that the data starts at a multiple of 64 bytes. */
function float32Header(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  let offset = 0;
  const entries: [string, unknown][] = [['__metadata__', metadata]];
  for (const { name, shape } of tensors) {
    const end = offset + elementCount(shape) * 4;
    entries.push([name, { dtype: 'F32', shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)), 'utf8');
  const padded = Math.ceil((8 + json.length) / 64) * 64;
  const header = Buffer.alloc(padded, ' ');
  header.writeBigUInt64LE(BigInt(padded - 8), 0);
  json.copy(header, 8);
  return header;
}

/**
 * Writes a float32 `.safetensors` file tensor by tensor: no more than one piece is in memory. The file appears under its
 * name only when it is whole; after a failure or a cancel nothing is left behind.
 *
 * @throws disk-full, cancelled, and whatever a source throws
 */
export async function writeSafetensors(
  file: string,
  tensors: readonly TensorSource[],
  options: {
    readonly metadata?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal;
    readonly onBytes?: (written: number) => void;
  } = {},
): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.part`;
  let handle: FileHandle | null = null;
  try {
    await mkdir(dirname(file), { recursive: true });
    handle = await open(temporary, 'wx');
    await writeAll(handle, float32Header(tensors, options.metadata ?? {}));
    for (const tensor of tensors) {
      let left = elementCount(tensor.shape);
      for await (const chunk of tensor.chunks()) {
        throwIfCancelled(options.signal);
        left -= chunk.length;
        await writeAll(handle, Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
        options.onBytes?.(chunk.byteLength);
      }
      if (left !== 0) throw new Error(`The source of ${tensor.name} made ${left} elements too few.`);
    }
    await handle.sync();
    await handle.close();
    handle = null;
    await rename(temporary, file);
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw writeFailure(file, error);
  }
}

async function writeAll(handle: FileHandle, buffer: Buffer): Promise<void> {
  let done = 0;
  while (done < buffer.length) done += (await handle.write(buffer, done, buffer.length - done)).bytesWritten;
}
