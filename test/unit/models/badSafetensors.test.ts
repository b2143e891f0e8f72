import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { ErrorCode } from '../../../src/shared/errors.ts';
import { expectRefusal, gpt2With } from '../../support/modelRefusal.ts';
import { rawTensors, referenceModels, safetensorsBytes } from '../../support/smallModels.ts';

const gpt2File = join(referenceModels, 'gpt2', 'model.safetensors');
const gpt2Bytes = readFileSync(gpt2File);

function headed(header: string | Buffer, claimed = header.length): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(claimed));
  return Buffer.concat([length, Buffer.from(header)]);
}

type Entry = { dtype: string; shape: number[]; data_offsets: number[] };

function spoiled(edit: (wte: Entry, header: Record<string, Entry>) => void): Buffer {
  return safetensorsBytes(rawTensors(gpt2File), (header) => edit(header['transformer.wte.weight'], header));
}

describe('safetensors that are not what they say', () => {
  const cases: [string, Buffer, ErrorCode, ...string[]][] = [
    ['empty', Buffer.alloc(0), 'model-corrupt', '0 bytes'],
    ['truncated in the data', gpt2Bytes.subarray(0, -1000), 'model-corrupt', 'ends at byte'],
    ['truncated in the header', gpt2Bytes.subarray(0, 200), 'model-corrupt', 'header claims'],
    ['bytes added', Buffer.concat([gpt2Bytes, Buffer.alloc(3)]), 'model-corrupt', 'bytes of data'],
    ['a header longer than the file', headed('{}', 1e6), 'model-corrupt', 'header claims 1000000'],
    ['a header of 2^63 bytes', headed('{}', Number.MAX_SAFE_INTEGER), 'model-corrupt', 'header claims'],
    ['a header that is not JSON', headed('{"a": '), 'model-corrupt', 'not JSON'],
    ['a header that is not UTF-8', headed(Buffer.from([0x22, 0xff, 0xfe, 0x22])), 'model-corrupt', 'not JSON'],
    ['a header that is a list', headed('[1, 2]'), 'model-corrupt', 'not a JSON object'],
    [
      'an HTML page',
      Buffer.from('<!doctype html><html><body>Not found</body></html>'),
      'model-corrupt',
      'header claims',
    ],
    ['no tensors', headed('{}'), 'model-corrupt', 'wte'],
    [
      'an unknown type',
      spoiled((wte) => {
        wte.dtype = 'F12';
      }),
      'model-unsupported',
      'F12',
      'wte',
      'Convert',
    ],
    [
      'a known type that holds no weights',
      spoiled((wte) => {
        wte.dtype = 'I32';
      }),
      'model-unsupported',
      'I32',
      'wte',
    ],
    [
      'a type that is no text',
      spoiled((wte) => {
        Object.assign(wte, { dtype: 7 });
      }),
      'model-corrupt',
      'wte',
    ],
    [
      'a wrong length',
      spoiled((wte) => {
        wte.shape[0] += 1;
      }),
      'model-corrupt',
      'wte',
      'needs',
    ],
    [
      'a negative shape',
      spoiled((wte) => {
        wte.shape = [-272, -32];
      }),
      'model-corrupt',
      'wte',
      'shape',
    ],
    [
      'a shape that overflows',
      spoiled((wte) => {
        wte.shape = [2 ** 40, 2 ** 40];
      }),
      'model-corrupt',
      'wte',
    ],
    [
      'offsets out of range',
      spoiled((wte) => {
        wte.data_offsets = [1e9, 1e9 + 272 * 32 * 4];
      }),
      'model-corrupt',
      'wte',
    ],
    [
      'offsets in the wrong order',
      spoiled((wte) => {
        wte.data_offsets.reverse();
      }),
      'model-corrupt',
      'wte',
    ],
    [
      'overlapping tensors',
      spoiled((wte) => {
        wte.data_offsets = [0, 272 * 32 * 4];
      }),
      'model-corrupt',
      'overlaps',
    ],
    [
      'a missing tensor',
      spoiled((_, header) => {
        header.other = header['transformer.h.1.ln_2.bias'];
        delete header['transformer.h.1.ln_2.bias'];
      }),
      'model-corrupt',
      'h.1.ln_2.bias',
      'missing',
    ],
    [
      'a transposed tensor',
      spoiled((wte) => {
        wte.shape.reverse();
      }),
      'model-corrupt',
      '[32,272]',
      '[272,32]',
    ],
  ];

  it.each(cases)('%s', async (_, bytes, code, ...words) => {
    const folder = await gpt2With({ 'model.safetensors': bytes });
    await expectRefusal(folder, code, 'model.safetensors', ...words);
  });

  it('a header above 100 MB is not read', async () => {
    const folder = await gpt2With({ 'model.safetensors': headed(Buffer.alloc(100_000_001, ' ')) });
    await expectRefusal(folder, 'model-corrupt', 'header claims');
  });
});
