import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { ErrorCode } from '../../../src/shared/errors.ts';
import { expectRefusal } from '../../support/modelRefusal.ts';
import { llamaGguf } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

describe('GGUF files that are not what they say', () => {
  const good = llamaGguf('llama-tied');

  async function written(bytes: Uint8Array): Promise<string> {
    const file = join(temporaryFolder(), 'model.gguf');
    await writeFile(file, bytes);
    return file;
  }

  function patched(at: number, value: bigint): Buffer {
    const bytes = Buffer.from(good);
    bytes.writeBigUInt64LE(value, at);
    return bytes;
  }

  it.each<[string, Buffer, ErrorCode, ...string[]]>([
    ['empty', Buffer.alloc(0), 'model-corrupt', 'too few'],
    ['an HTML page', Buffer.from('<!doctype html><html>Not found, sorry</html>'), 'model-corrupt', 'not a GGUF file'],
    ['truncated in the data', good.subarray(0, -5000), 'model-corrupt', 'ends at byte'],
    ['truncated in the header', good.subarray(0, 3000), 'model-corrupt'],
    ['too many tensors', patched(8, 9_000_000n), 'model-corrupt', '9000000 tensors'],
    ['too many entries', patched(16, 2n ** 60n), 'model-corrupt', 'entries'],
    [
      'version 9',
      Buffer.concat([good.subarray(0, 4), Buffer.of(9, 0, 0, 0), good.subarray(8)]),
      'model-unsupported',
      'version 9',
    ],
    [
      'big-endian',
      Buffer.concat([good.subarray(0, 4), Buffer.of(0, 0, 0, 3), good.subarray(8)]),
      'model-unsupported',
      'endian',
    ],
    [
      'another family',
      llamaGguf('llama-tied', { 'general.architecture': { text: 'mamba9' } }),
      'model-unsupported',
      'mamba9',
      'gpt2, llama',
    ],
    [
      'no context length',
      llamaGguf('llama-tied', { 'llama.context_length': { text: '64' } }),
      'model-corrupt',
      'llama.context_length',
    ],
    ['a split file', llamaGguf('llama-tied', { 'split.count': { uint32: 3 } }), 'model-unsupported', 'split'],
    ['experts', llamaGguf('llama-tied', { 'llama.expert_count': { uint32: 8 } }), 'model-unsupported', 'experts'],
    [
      'no tokenizer',
      llamaGguf('llama-tied', { 'tokenizer.ggml.model': { text: '' } }),
      'model-corrupt',
      'no tokenizer',
    ],
    [
      'a SentencePiece tokenizer',
      llamaGguf('llama-tied', { 'tokenizer.ggml.model': { text: 'llama' } }),
      'model-unsupported',
      'Hugging Face folder',
    ],
    [
      'a splitting rule nobody knows',
      llamaGguf('llama-tied', { 'tokenizer.ggml.pre': { text: 'tekken9' } }),
      'model-unsupported',
      'tekken9',
      'smollm',
    ],
    [
      'a BOS outside of the vocabulary',
      llamaGguf('llama-tied', { 'tokenizer.ggml.bos_token_id': { uint32: 99999 } }),
      'model-corrupt',
      'bos_token_id',
    ],
    [
      'merges that are no pairs',
      llamaGguf('llama-tied', { 'tokenizer.ggml.merges': { texts: ['he'] } }),
      'model-corrupt',
      'merge',
    ],
    [
      'an unknown storage type',
      llamaGguf('llama-tied', {}, [{ name: 'x', shape: [32], type: 77, bytes: new Uint8Array(32) }]),
      'model-unsupported',
      '77',
      'Q4_1',
    ],
    [
      'a storage type that is not decoded',
      llamaGguf('llama-tied', {}, [{ name: 'x', shape: [256], type: 10, bytes: new Uint8Array(84) }]),
      'model-unsupported',
      'Q2_K',
      'Q4_K',
    ],
    [
      'rows that blocks cannot hold',
      llamaGguf('llama-tied', {}, [{ name: 'x', shape: [33], type: 8, bytes: new Uint8Array(68) }]),
      'model-corrupt',
      'Q8_0',
    ],
  ])('%s', async (_, bytes, code, ...words) => {
    await expectRefusal(await written(bytes), code, ...words);
  });
});
