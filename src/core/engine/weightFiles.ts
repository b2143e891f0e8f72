import { readSync } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { MechanistError } from '../../shared/errors.ts';
import type { BlockWeights, LinearWeights, ModelWeights, NormWeights, TensorLocation } from '../models/modelWeights.ts';

const FLOAT_BYTES = 4;
const CHUNK_BYTES = 4 << 20;

/** Reads float32 tensors, or rows of them, from the model's files without keeping them. */
export class WeightFiles {
  private readonly handles = new Map<string, Promise<FileHandle>>();

  private handle(file: string): Promise<FileHandle> {
    let handle = this.handles.get(file);
    if (handle === undefined) {
      handle = open(file, 'r');
      this.handles.set(file, handle);
    }
    return handle;
  }

  private async read(location: TensorLocation, start: number, target: Float32Array): Promise<void> {
    const handle = await this.handle(location.file);
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    let done = 0;
    while (done < bytes.length) {
      const at = location.offset + start * FLOAT_BYTES + done;
      const { bytesRead } = await handle.read(bytes, done, bytes.length - done, at);
      done += filled(bytesRead, location);
    }
  }

  /**
   * The same for a few rows, most of which the system has in memory: a thousand waits for another thread take longer than
   * the reading, and this thread has nothing else to do before the rows are there.
   */
  private readAtOnce({ fd }: FileHandle, location: TensorLocation, start: number, target: Float32Array): void {
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
    let done = 0;
    while (done < bytes.length) {
      const at = location.offset + start * FLOAT_BYTES + done;
      done += filled(readSync(fd, bytes, done, bytes.length - done, at), location);
    }
  }

  /** The whole tensor, row-major; in `buffer` when one is given that is large enough. */
  async tensor(location: TensorLocation, buffer?: Float32Array): Promise<Float32Array> {
    const count = location.byteLength / FLOAT_BYTES;
    const values = buffer !== undefined && buffer.length >= count ? buffer.subarray(0, count) : new Float32Array(count);
    await this.read(location, 0, values);
    return values;
  }

  /** Rows of a matrix in the order asked for, `[rows.length, columns]`. Each row is read once, neighbours together. */
  async rows(location: TensorLocation, rows: ArrayLike<number>): Promise<Float32Array> {
    const [count, width] = location.shape;
    const wanted = Array.from(rows);
    for (const row of wanted) {
      if (!Number.isInteger(row) || row < 0 || row >= count) {
        throw new MechanistError(
          'bad-input',
          `There is no token or position ${row}: the model has ${count} (0 to ${count - 1}).`,
        );
      }
    }
    const sorted = [...new Set(wanted)].sort((a, b) => a - b);
    const place = new Map(sorted.map((row, index) => [row, index]));
    const read = new Float32Array(sorted.length * width);
    const handle = await this.handle(location.file);
    for (let first = 0; first < sorted.length; ) {
      let end = first + 1;
      while (end < sorted.length && sorted[end] === sorted[end - 1] + 1) end += 1;
      this.readAtOnce(handle, location, sorted[first] * width, read.subarray(first * width, end * width));
      first = end;
    }
    const values = new Float32Array(wanted.length * width);
    wanted.forEach((row, i) => {
      const from = (place.get(row) ?? 0) * width;
      values.set(read.subarray(from, from + width), i * width);
    });
    return values;
  }

  /** Calls `visit(chunk, firstRow, rows)` for a matrix in pieces of a few megabytes; the chunk's memory is reused. */
  async stream(
    location: TensorLocation,
    visit: (chunk: Float32Array, firstRow: number, rows: number) => void,
  ): Promise<void> {
    const [count, width] = location.shape;
    const step = Math.max(1, Math.floor(CHUNK_BYTES / (width * FLOAT_BYTES)));
    const buffer = new Float32Array(Math.min(step, count) * width);
    for (let first = 0; first < count; first += step) {
      const rows = Math.min(step, count - first);
      const chunk = buffer.subarray(0, rows * width);
      await this.read(location, first * width, chunk);
      visit(chunk, first, rows);
    }
  }

  async close(): Promise<void> {
    const handles = [...this.handles.values()];
    this.handles.clear();
    for (const handle of handles) await (await handle).close();
  }
}

/** How many bytes came. @throws MechanistError `model-corrupt` when none did */
function filled(bytesRead: number, { file }: TensorLocation): number {
  if (bytesRead > 0) return bytesRead;
  throw new MechanistError('model-corrupt', `${file} ends early. Download or copy the model again.`);
}

/**
 * The weights with symbolic links followed: the runtime refuses weights whose path leaves the folder of the graph, and
 * the Hugging Face cache is made of links.
 */
export async function resolveWeightFiles(weights: ModelWeights): Promise<ModelWeights> {
  const known = new Map<string, Promise<string>>();
  const tensor = async (location: TensorLocation): Promise<TensorLocation> => {
    const file = known.get(location.file) ?? realpath(location.file);
    known.set(location.file, file);
    return { ...location, file: await file };
  };
  const optional = async (location: TensorLocation | null) => (location === null ? null : tensor(location));
  const linear = async (w: LinearWeights): Promise<LinearWeights> => ({
    weight: await tensor(w.weight),
    layout: w.layout,
    bias: await optional(w.bias),
  });
  const norm = async (w: NormWeights): Promise<NormWeights> => ({
    gain: await tensor(w.gain),
    bias: await optional(w.bias),
  });
  const block = async ({ norm1, attention, norm2, mlp }: BlockWeights): Promise<BlockWeights> => {
    const { qkv } = attention;
    return {
      norm1: await norm(norm1),
      attention: {
        qkv:
          qkv.kind === 'separate'
            ? { kind: 'separate', q: await linear(qkv.q), k: await linear(qkv.k), v: await linear(qkv.v) }
            : { kind: qkv.kind, qkv: await linear(qkv.qkv) },
        out: await linear(attention.out),
      },
      norm2: await norm(norm2),
      mlp: {
        in: await linear(mlp.in),
        gate: mlp.gate === null ? null : await linear(mlp.gate),
        out: await linear(mlp.out),
      },
    };
  };
  return {
    embed: await tensor(weights.embed),
    positionEmbed: await optional(weights.positionEmbed),
    blocks: await Promise.all(weights.blocks.map(block)),
    finalNorm: await norm(weights.finalNorm),
    unembed: await linear(weights.unembed),
  };
}
