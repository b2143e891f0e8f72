import { type FileHandle, open } from 'node:fs/promises';
import { GGMLQuantizationType, type GGUFParseOutput, gguf } from '@huggingface/gguf';
import { MechanistError } from '../../shared/errors.ts';
import { storageType, supportedTypes } from './dequantize.ts';
import { corrupt, readFailure, unsupported } from './fileErrors.ts';
import { elementCount, type StoredTensor } from './storedTensor.ts';

/** Metadata and tensor places of a GGUF file. */
export interface GgufFile {
  readonly file: string;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** Fewest bytes that a metadata entry and a tensor entry can take in the header. */
const minEntryBytes = 13;
const minTensorBytes = 24;

/**
 * Reads and checks the header of a GGUF file; no weight is read. The parser is `@huggingface/gguf`; what it trusts
 * (counts, offsets, sizes) is checked here against the size of the file.
 *
 * @throws model-not-found, model-corrupt, model-unsupported (storage type, byte order, split file)
 */
export async function readGguf(file: string): Promise<GgufFile> {
  const fileBytes = await checkStart(file);
  let parsed: GGUFParseOutput<{ strict: false }>;
  try {
    parsed = await gguf(file, { allowLocalFile: true });
  } catch (error) {
    const failure = readFailure(file, error);
    if (failure instanceof MechanistError) throw failure;
    throw corrupt(
      file,
      `the GGUF header cannot be read (${error instanceof Error ? error.message : 'unknown reason'})`,
    );
  }
  const metadata = new Map<string, unknown>(Object.entries(parsed.metadata));
  if (!parsed.littleEndian) throw unsupported(file, 'it is big-endian. Take the little-endian file.');
  if (Number(metadata.get('split.count') ?? 1) > 1) {
    throw unsupported(file, 'it is one part of a split GGUF file. Join the parts with llama-gguf-split --merge.');
  }
  const alignment = Number(metadata.get('general.alignment') ?? 32);
  if (!Number.isInteger(alignment) || alignment < 1 || alignment > 2 ** 20) {
    throw corrupt(file, `the alignment is ${alignment}`);
  }
  const dataStart = Math.ceil(parsed.tensorInfoByteRange[1] / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const info of parsed.tensorInfos) {
    const tensor = placeTensor(file, info, dataStart, fileBytes);
    if (tensors.has(tensor.name)) throw corrupt(file, `tensor "${tensor.name}" is there twice`);
    tensors.set(tensor.name, tensor);
  }
  checkOverlaps(file, [...tensors.values()]);
  return { file, metadata, tensors };
}

/** Checks magic, version and counts, so that the parser never walks through more entries than the file can hold. */
async function checkStart(file: string): Promise<number> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    throw readFailure(file, error);
  }
  try {
    const { size } = await handle.stat();
    const head = Buffer.alloc(24);
    const { bytesRead } = await handle.read(head, 0, 24, 0);
    if (bytesRead < 24) throw corrupt(file, `${size} bytes are too few for a GGUF file`);
    if (head.toString('latin1', 0, 4) !== 'GGUF') throw corrupt(file, 'it is not a GGUF file');
    const version = head.readUInt32LE(4);
    if (head.readUInt16LE(4) === 0 && version !== 0)
      throw unsupported(file, 'it is big-endian. Take the little-endian file.');
    if (version < 2 || version > 3)
      throw unsupported(file, `GGUF version ${version} is not supported. Take version 2 or 3.`);
    const tensorCount = Number(head.readBigUInt64LE(8));
    const entryCount = Number(head.readBigUInt64LE(16));
    if (tensorCount * minTensorBytes + entryCount * minEntryBytes > size) {
      throw corrupt(file, `${tensorCount} tensors and ${entryCount} entries cannot be in ${size} bytes`);
    }
    return size;
  } catch (error) {
    throw readFailure(file, error);
  } finally {
    await handle.close();
  }
}

function placeTensor(
  file: string,
  info: GGUFParseOutput['tensorInfos'][number],
  dataStart: number,
  fileBytes: number,
): StoredTensor {
  const { name } = info;
  const type = GGMLQuantizationType[info.dtype] ?? `number ${info.dtype}`;
  const storage = storageType(type);
  if (!storage) {
    throw unsupported(
      file,
      `tensor "${name}" is stored as ${type}. Supported: ${supportedTypes.join(', ')}. Take a file in one of these.`,
      { tensor: name, type },
    );
  }
  const shape = info.shape.map(Number).reverse();
  const elements = elementCount(shape);
  const rowLength = shape.at(-1) ?? 1;
  if (!Number.isSafeInteger(elements) || elements === 0 || rowLength % storage.blockElements !== 0) {
    throw corrupt(file, `tensor "${name}" has the shape [${shape}], which ${type} cannot store`, { tensor: name });
  }
  const byteLength = (elements / storage.blockElements) * storage.blockBytes;
  const offset = dataStart + Number(info.offset);
  if (!(offset + byteLength <= fileBytes)) {
    throw corrupt(file, `tensor "${name}" ends at byte ${offset + byteLength}, but the file has ${fileBytes}`, {
      tensor: name,
    });
  }
  return { name, file, offset, byteLength, shape, type };
}

function checkOverlaps(file: string, tensors: StoredTensor[]): void {
  tensors.sort((a, b) => a.offset - b.offset);
  let end = 0;
  for (const { name, offset, byteLength } of tensors) {
    if (offset < end) throw corrupt(file, `tensor "${name}" overlaps the one before it`, { tensor: name });
    end = offset + byteLength;
  }
}
