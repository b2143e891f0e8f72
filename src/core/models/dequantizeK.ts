import type { StorageType } from './dequantize.ts';
import { halfToFloat } from './halfFloat.ts';

/**
 * Scales and minima of the eight 32-element groups of a Q4_K or Q5_K block, 6 bits each, packed in 12 bytes: bytes 0–3
 * and 4–7 hold the first four of each in their low 6 bits and the top 2 bits of the others; bytes 8–11 their low nibbles.
 */
function unpackScales(bytes: Uint8Array, at: number, scales: Uint8Array, minima: Uint8Array): void {
  for (let i = 0; i < 4; i++) {
    const a = bytes[at + i];
    const b = bytes[at + 4 + i];
    const low = bytes[at + 8 + i];
    scales[i] = a & 63;
    minima[i] = b & 63;
    scales[4 + i] = (low & 15) | ((a >> 2) & 48);
    minima[4 + i] = (low >> 4) | ((b >> 2) & 48);
  }
}

/** 256 elements: f16 scale, f16 minimum, 12 bytes of group scales, 128 bytes of nibbles. */
export const q4K: StorageType = {
  blockElements: 256,
  blockBytes: 144,
  decode(bytes, out) {
    const table = halfToFloat();
    const scales = new Uint8Array(8);
    const minima = new Uint8Array(8);
    for (let o = 0, b = 0; o < out.length; o += 256, b += 144) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      const m = table[bytes[b + 2] | (bytes[b + 3] << 8)];
      unpackScales(bytes, b + 4, scales, minima);
      for (let group = 0; group < 8; group++) {
        const shift = (group & 1) * 4;
        const from = b + 16 + (group >> 1) * 32;
        const scale = d * scales[group];
        const minimum = m * minima[group];
        const to = o + group * 32;
        for (let i = 0; i < 32; i++) out[to + i] = scale * ((bytes[from + i] >> shift) & 15) - minimum;
      }
    }
  },
};

/** As Q4_K with a fifth bit: byte i of the 32 high bytes holds, in bit g, the bit of element i of group g. */
export const q5K: StorageType = {
  blockElements: 256,
  blockBytes: 176,
  decode(bytes, out) {
    const table = halfToFloat();
    const scales = new Uint8Array(8);
    const minima = new Uint8Array(8);
    for (let o = 0, b = 0; o < out.length; o += 256, b += 176) {
      const d = table[bytes[b] | (bytes[b + 1] << 8)];
      const m = table[bytes[b + 2] | (bytes[b + 3] << 8)];
      unpackScales(bytes, b + 4, scales, minima);
      const high = b + 16;
      for (let group = 0; group < 8; group++) {
        const shift = (group & 1) * 4;
        const from = b + 48 + (group >> 1) * 32;
        const scale = d * scales[group];
        const minimum = m * minima[group];
        const to = o + group * 32;
        for (let i = 0; i < 32; i++) {
          const q = ((bytes[from + i] >> shift) & 15) | (((bytes[high + i] >> group) & 1) << 4);
          out[to + i] = scale * q - minimum;
        }
      }
    }
  },
};

/** 256 elements: 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed group scales, f16 scale; offset 32. */
export const q6K: StorageType = {
  blockElements: 256,
  blockBytes: 210,
  decode(bytes, out) {
    const table = halfToFloat();
    for (let o = 0, b = 0; o < out.length; o += 256, b += 210) {
      const d = table[bytes[b + 208] | (bytes[b + 209] << 8)];
      for (let group = 0; group < 8; group++) {
        const half = group >> 2;
        const quarter = group & 3;
        const low = b + half * 64 + (quarter & 1) * 32;
        const lowShift = (quarter >> 1) * 4;
        const high = b + 128 + half * 32;
        const to = o + group * 32;
        for (let i = 0; i < 32; i++) {
          const q = (((bytes[low + i] >> lowShift) & 15) | (((bytes[high + i] >> (quarter * 2)) & 3) << 4)) - 32;
          const scale = (bytes[b + 192 + group * 2 + (i >> 4)] << 24) >> 24;
          out[to + i] = d * scale * q;
        }
      }
    }
  },
};
