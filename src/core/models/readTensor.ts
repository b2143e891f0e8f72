import { type FileHandle, open } from 'node:fs/promises';
import { MechanistError } from '../../shared/errors.ts';
import { storageType, supportedTypes } from './dequantize.ts';
import { corrupt, readFailure, unsupported } from './fileErrors.ts';
import { elementCount, type StoredTensor } from './storedTensor.ts';

/** Elements per piece of a streamed tensor: 4 MiB of float32. */
const pieceElements = 1 << 20;

/**
 * Reads a tensor as float32, piece by piece, in storage order.
 *
 * @param file open file that the tensor lies in
 * @param wholeTensor one piece with everything, for readers that reorder rows
 * @throws model-corrupt when the file is shorter than it was, model-unsupported for a type that is not decoded
 */
export async function* readTensor(
  handle: FileHandle,
  tensor: StoredTensor,
  wholeTensor = false,
): AsyncGenerator<Float32Array> {
  const storage = storageType(tensor.type);
  if (!storage) {
    throw unsupported(
      tensor.file,
      `tensor "${tensor.name}" is stored as ${tensor.type}. Supported: ${supportedTypes.join(', ')}. Convert the model.`,
      { tensor: tensor.name },
    );
  }
  const total = elementCount(tensor.shape);
  const step = wholeTensor ? total : pieceElements;
  const bytes = new Uint8Array((Math.min(step, total) / storage.blockElements) * storage.blockBytes);
  for (let from = 0; from < total; from += step) {
    const elements = Math.min(step, total - from);
    const length = (elements / storage.blockElements) * storage.blockBytes;
    const position = tensor.offset + (from / storage.blockElements) * storage.blockBytes;
    await readInto(handle, tensor, bytes.subarray(0, length), position);
    const out = new Float32Array(elements);
    storage.decode(bytes, out);
    yield out;
  }
}

async function readInto(handle: FileHandle, tensor: StoredTensor, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, position + done);
    if (bytesRead === 0)
      throw corrupt(tensor.file, `it ends inside the tensor "${tensor.name}"`, { tensor: tensor.name });
    done += bytesRead;
  }
}

/** The whole of a small tensor as float32. @throws as `readTensor` */
export async function readWholeTensor(tensor: StoredTensor): Promise<Float32Array> {
  try {
    const handle = await open(tensor.file, 'r');
    try {
      for await (const piece of readTensor(handle, tensor, true)) return piece;
      return new Float32Array(0);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw error instanceof MechanistError ? error : readFailure(tensor.file, error);
  }
}
