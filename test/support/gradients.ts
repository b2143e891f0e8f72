import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { PackedArray } from '../../src/shared/packedArray.ts';

/** An array of the reference files. */
export interface Packed {
  readonly dims: number[];
  readonly f32: string;
}

export function unpack({ dims, f32 }: Packed): PackedArray {
  const bytes = Uint8Array.from(Buffer.from(f32, 'base64'));
  return { dims, data: new Float32Array(bytes.buffer) };
}

/** Largest difference relative to the largest number of `b`. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [difference, scale] = [0, 1e-12];
  for (let i = 0; i < a.length; i += 1) {
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference / scale;
}

function referenceFile(name: string): string {
  return fileURLToPath(new URL(`../reference/${name}`, import.meta.url));
}

/** A file of `test/reference`. */
export function readReference<T>(name: string): T {
  return JSON.parse(readFileSync(referenceFile(name), 'utf8')) as T;
}
