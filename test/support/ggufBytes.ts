/** A metadata value with its GGUF type. */
export type GgufValue =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly int32s: readonly number[] };

export interface GgufTensor {
  readonly name: string;
  /** Torch order. */
  readonly shape: readonly number[];
  /** Number of the storage type: 0 = F32, 1 = F16, 8 = Q8_0 … */
  readonly type: number;
  readonly bytes: Uint8Array;
}

const alignment = 32;

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

function u64(value: number): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt(value));
  return buffer;
}

function f32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(value);
  return buffer;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function encodeValue(value: GgufValue): Buffer {
  if ('uint32' in value) return Buffer.concat([u32(4), u32(value.uint32)]);
  if ('float32' in value) return Buffer.concat([u32(6), f32(value.float32)]);
  if ('bool' in value) return Buffer.concat([u32(7), Buffer.of(value.bool ? 1 : 0)]);
  if ('text' in value) return Buffer.concat([u32(8), text(value.text)]);
  if ('texts' in value) {
    return Buffer.concat([u32(9), u32(8), u64(value.texts.length), ...value.texts.map(text)]);
  }
  return Buffer.concat([u32(9), u32(5), u64(value.int32s.length), ...value.int32s.map(u32)]);
}

/** The bytes of a GGUF file, version 3. */
export function ggufBytes(metadata: Readonly<Record<string, GgufValue>>, tensors: readonly GgufTensor[]): Buffer {
  const entries = Object.entries(metadata).map(([key, value]) => Buffer.concat([text(key), encodeValue(value)]));
  let offset = 0;
  const infos = tensors.map(({ name, shape, type, bytes }) => {
    const info = Buffer.concat([
      text(name),
      u32(shape.length),
      ...[...shape].reverse().map(u64),
      u32(type),
      u64(offset),
    ]);
    offset += pad(bytes.length);
    return info;
  });
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries,
    ...infos,
  ]);
  const data = tensors.flatMap(({ bytes }) => [bytes, Buffer.alloc(pad(bytes.length) - bytes.length)]);
  return Buffer.concat([head, Buffer.alloc(pad(head.length) - head.length), ...data]);
}

function pad(length: number): number {
  return Math.ceil(length / alignment) * alignment;
}
