import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readGguf } from '../../../src/core/models/ggufFile.ts';
import { ggufTokenizer } from '../../../src/core/models/ggufTokenizer.ts';
import { huggingFaceTokenizer } from '../../../src/core/models/huggingFaceTokenizer.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';

const folder = new URL('../../reference/tokenizers/', import.meta.url);
const strings = read<string[]>('strings.json');

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as T;
}

function check(tokenizer: Tokenizer, name: string): void {
  const { ids } = read<{ ids: number[][] }>(`${name}.json`);
  expect(ids.length).toBe(strings.length);
  const different: unknown[] = [];
  strings.forEach((text, i) => {
    const got = tokenizer.encode(text).map((token) => token.id);
    if (got.join() !== ids[i].join()) different.push({ text, got, want: ids[i] });
  });
  expect(different).toEqual([]);
}

/** Every offset range is in order, and the ranges of a text together cover it, but for bytes that the vocabulary lacks. */
function checkOffsets(tokenizer: Tokenizer, mayDropBytes: boolean): void {
  let dropped = 0;
  for (const text of strings) {
    const tokens = tokenizer.encode(text);
    let end = 0;
    for (const token of tokens) {
      expect(token.start).toBeGreaterThanOrEqual(end);
      end = Math.max(token.end, token.start);
      expect(end).toBe(token.end);
    }
    if (tokenizer.decode(tokens.map((token) => token.id)) === text) {
      expect(tokens.map((token) => text.slice(token.start, token.end)).join('')).toBe(text);
    } else dropped += 1;
  }
  if (!mayDropBytes) expect(dropped).toBe(0);
  expect(dropped).toBeLessThan(strings.length / 4);
}

describe('token ids equal those of Hugging Face tokenizers', () => {
  it('has at least 2,000 strings', () => {
    expect(strings.length).toBeGreaterThanOrEqual(2000);
  });

  it.each(['gpt2', 'llama3', 'llama2'])('tokenizer.json of the shape of %s', async (name) => {
    check(await huggingFaceTokenizer(fileURLToPath(new URL(name, folder))), name);
  });

  it('vocab.json and merges.txt', async () => {
    check(await huggingFaceTokenizer(fileURLToPath(new URL('gpt2-pair', folder))), 'gpt2');
  });

  it.skipIf(!hasSmollm2)(`SmolLM2 from GGUF metadata${smollm2Reason}`, async () => {
    check(ggufTokenizer(await readGguf(smollm2File)), 'smollm2');
  });

  it('offsets tile every text: gpt2', async () => {
    checkOffsets(await huggingFaceTokenizer(fileURLToPath(new URL('gpt2', folder))), false);
  });

  it.skipIf(!hasSmollm2)(`offsets tile every text: SmolLM2${smollm2Reason}`, async () => {
    checkOffsets(ggufTokenizer(await readGguf(smollm2File)), true);
  });
});
