import { q4K, q5K, q6K } from './dequantizeK.ts';
import { halfToFloat } from './halfFloat.ts';

/**
 * One storage type: `blockElements` elements are stored in `blockBytes` bytes. `decode` reads whole blocks from `bytes`
 * and fills `out` with their float32 values, rounded as ggml's reference and the Python package `gguf` round them.
 */
export interface StorageType {
  readonly blockElements: number;
  readonly blockBytes: number;
  decode(bytes: Uint8Array, out: Float32Array): void;
}

const f32: StorageType = {
  blockElements: 1,
  blockBytes: 4,
  decode(bytes, out) {
    new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes.subarray(0, out.byteLength));
  },
};

const f16: StorageType = {
  blockElements: 1,
  blockBytes: 2,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let i = 0; i < out.length; i++) out[i] = table[bytes[2 * i] | (bytes[2 * i + 1] << 8)];
  },
};

/** bfloat16 is the upper half of a float32. */
const bf16: StorageType = {
  blockElements: 1,
  blockBytes: 2,
  decode(bytes, out) {
    const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
    for (let i = 0; i < bits.length; i++) bits[i] = (bytes[2 * i] << 16) | (bytes[2 * i + 1] << 24);
  },
};

/** 32 elements: scale f16, 32 signed bytes. */
const q8_0: StorageType = {
  blockElements: 32,
  blockBytes: 34,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 32, b += 34) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      for (let i = 0; i < 32; i++) out[o + i] = d * ((bytes[b + 2 + i] << 24) >> 24);
    }
  },
};

/** 32 elements: scale f16, 16 bytes of nibbles; the low nibbles are elements 0–15, the high ones 16–31; offset 8. */
const q4_0: StorageType = {
  blockElements: 32,
  blockBytes: 18,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 32, b += 18) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 2 + i];
        out[o + i] = d * ((pair & 15) - 8);
        out[o + 16 + i] = d * ((pair >> 4) - 8);
      }
    }
  },
};

/** As Q4_0, with a minimum f16 instead of the fixed offset. */
const q4_1: StorageType = {
  blockElements: 32,
  blockBytes: 20,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 32, b += 20) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      const m = table[bytes[b + 2] | (bytes[b + 3] << 8)];
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 4 + i];
        out[o + i] = d * (pair & 15) + m;
        out[o + 16 + i] = d * (pair >> 4) + m;
      }
    }
  },
};

/** As Q4_0 with a fifth bit per element in a 32-bit word; offset 16. */
const q5_0: StorageType = {
  blockElements: 32,
  blockBytes: 22,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 32, b += 22) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      const high = bytes[b + 2] | (bytes[b + 3] << 8) | (bytes[b + 4] << 16) | (bytes[b + 5] << 24);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 6 + i];
        out[o + i] = d * (((pair & 15) | (((high >>> i) & 1) << 4)) - 16);
        out[o + 16 + i] = d * (((pair >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
      }
    }
  },
};

/** As Q5_0, with a minimum f16 instead of the fixed offset. */
const q5_1: StorageType = {
  blockElements: 32,
  blockBytes: 24,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 32, b += 24) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      const m = table[bytes[b + 2] | (bytes[b + 3] << 8)];
      const high = bytes[b + 4] | (bytes[b + 5] << 8) | (bytes[b + 6] << 16) | (bytes[b + 7] << 24);
      for (let i = 0; i < 16; i++) {
        const pair = bytes[b + 8 + i];
        out[o + i] = d * ((pair & 15) | (((high >>> i) & 1) << 4)) + m;
        out[o + 16 + i] = d * ((pair >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
      }
    }
  },
};

const storageTypes = new Map<string, StorageType>([
  ['F32', f32],
  ['F16', f16],
  ['BF16', bf16],
  ['Q8_0', q8_0],
  ['Q4_0', q4_0],
  ['Q4_1', q4_1],
  ['Q5_0', q5_0],
  ['Q5_1', q5_1],
  ['Q4_K', q4K],
  ['Q5_K', q5K],
  ['Q6_K', q6K],
]);

/** Types that weights may be stored in, as they are written in messages. */
export const supportedTypes: readonly string[] = [...storageTypes.keys()];

/** How a storage type is decoded; undefined when it is not supported. */
export function storageType(type: string): StorageType | undefined {
  return storageTypes.get(type);
}
