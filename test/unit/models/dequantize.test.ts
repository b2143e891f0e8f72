import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { storageType, supportedTypes } from '../../../src/core/models/dequantize.ts';

interface QuantsReference {
  readonly reference: string;
  readonly types: Record<string, { readonly elements: number; readonly blocks: string; readonly values: string }>;
}

const { reference, types } = JSON.parse(
  readFileSync(new URL('../../reference/gguf-quants.json', import.meta.url), 'utf8'),
) as QuantsReference;

describe(`dequantisation equals ${reference}, bit for bit`, () => {
  it('has a reference for every supported type', () => {
    expect(Object.keys(types).sort()).toEqual([...supportedTypes].sort());
  });

  it.each(Object.keys(types))('%s', (name) => {
    const { elements, blocks, values } = types[name];
    const storage = storageType(name);
    const bytes = Buffer.from(blocks, 'base64');
    if (!storage) throw new Error(name);
    expect((bytes.length / storage.blockBytes) * storage.blockElements).toBe(elements);
    const out = new Float32Array(elements);
    storage.decode(bytes, out);
    expect(Buffer.from(out.buffer).equals(Buffer.from(values, 'base64'))).toBe(true);
  });

  it('decodes infinities and NaN of F16', () => {
    const out = new Float32Array(3);
    storageType('F16')?.decode(Uint8Array.of(0x00, 0x7c, 0x00, 0xfc, 0x01, 0x7c), out);
    expect([...out]).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  });
});
