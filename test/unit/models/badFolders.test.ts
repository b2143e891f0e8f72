import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import type { ErrorCode } from '../../../src/shared/errors.ts';
import { expectRefusal, gpt2With } from '../../support/modelRefusal.ts';
import { modelFolder, rawTensors, referenceModels } from '../../support/smallModels.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const gpt2File = join(referenceModels, 'gpt2', 'model.safetensors');
const gpt2Bytes = readFileSync(gpt2File);

describe('folders that are not whole', () => {
  it.each<[string, Record<string, string>, ErrorCode, ...string[]]>([
    ['config that is not JSON', { 'config.json': '{"model_type": "gpt2",' }, 'model-corrupt', 'config.json', 'JSON'],
    ['config that is a number', { 'config.json': '7' }, 'model-corrupt', 'config.json'],
    [
      'a family nobody knows',
      { 'config.json': '{"model_type": "mamba9"}' },
      'model-unsupported',
      'mamba9',
      'gpt2',
      'llama',
    ],
    ['no family at all', { 'config.json': '{}' }, 'model-corrupt', 'model_type'],
    [
      'an activation nobody knows',
      { 'config.json': '{"model_type": "gpt2", "activation_function": "snake"}' },
      'model-unsupported',
      'snake',
      'gelu_new',
    ],
    [
      'layers without end',
      { 'config.json': '{"model_type": "gpt2", "n_layer": 2000000000}' },
      'model-corrupt',
      'layers',
    ],
    [
      'heads that do not divide',
      { 'config.json': '{"model_type": "gpt2", "n_embd": 32, "n_head": 5}' },
      'model-corrupt',
      'divisible',
    ],
    ['a size that is a text', { 'config.json': '{"model_type": "gpt2", "n_embd": "32"}' }, 'model-corrupt', 'n_embd'],
    [
      'quantised for a GPU library',
      { 'config.json': '{"model_type": "llama", "quantization_config": {}}' },
      'model-unsupported',
      'GGUF',
    ],
    ['tokenizer that is not JSON', { 'tokenizer.json': '<html>' }, 'model-corrupt', 'tokenizer.json', 'JSON'],
    [
      'tokenizer of another kind',
      { 'tokenizer.json': '{"model": {"type": "Unigram", "vocab": []}}' },
      'model-unsupported',
      'Unigram',
      'BPE',
    ],
    [
      'tokenizer without merges',
      { 'tokenizer.json': '{"model": {"type": "BPE", "vocab": {"a": 0}}}' },
      'model-corrupt',
      'merges',
    ],
    [
      'tokenizer with odd parts',
      {
        'tokenizer.json':
          '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [null]}, "pre_tokenizer": {"type": "Magic"}}',
      },
      'model-corrupt',
      'tokenizer.json',
    ],
  ])('%s', async (_, files, code, ...words) => {
    await expectRefusal(await gpt2With(files), code, ...words);
  });

  it('no tokenizer', async () => {
    const folder = temporaryFolder();
    await writeFile(join(folder, 'config.json'), readFileSync(join(referenceModels, 'gpt2', 'config.json')));
    await writeFile(join(folder, 'model.safetensors'), gpt2Bytes);
    await expectRefusal(folder, 'model-corrupt', 'no tokenizer', 'tokenizer.json', 'merges.txt');
  });

  it('a tokenizer with more tokens than the embedding has rows', async () => {
    const other = new URL('../../reference/tokenizers/gpt2/tokenizer.json', import.meta.url);
    const folder = await gpt2With({ 'tokenizer.json': readFileSync(other) });
    await expectRefusal(folder, 'model-corrupt', '1200 tokens', '272 rows');
  });

  it('rotary scaling nobody knows', async () => {
    const config = JSON.parse(readFileSync(join(referenceModels, 'llama-tied', 'config.json'), 'utf8'));
    config.rope_parameters = { rope_type: 'longrope', rope_theta: 10000 };
    const folder = await modelFolder(temporaryFolder(), 'llama-tied', { 'config.json': JSON.stringify(config) });
    await expectRefusal(folder, 'model-unsupported', 'longrope', 'yarn');
  });

  it('a missing shard, by name', async () => {
    const names = rawTensors(gpt2File).map(({ name }) => name);
    const index = { weight_map: Object.fromEntries(names.map((name) => [name, 'model-00001-of-00002.safetensors'])) };
    const folder = await modelFolder(temporaryFolder(), 'gpt2', {
      'model.safetensors.index.json': JSON.stringify(index),
    });
    await expectRefusal(folder, 'model-corrupt', 'model-00001-of-00002.safetensors', 'missing');
  });

  it('a shard that lies elsewhere is not opened', async () => {
    const index = { weight_map: { 'transformer.wte.weight': '../../etc/passwd' } };
    const folder = await modelFolder(temporaryFolder(), 'gpt2', {
      'model.safetensors.index.json': JSON.stringify(index),
    });
    await expectRefusal(folder, 'model-corrupt', 'not a file name');
  });

  it('only a pickle', async () => {
    await expectRefusal(
      await modelFolder(temporaryFolder(), 'gpt2', { 'pytorch_model.bin': 'x' }),
      'model-unsupported',
      'safetensors',
    );
  });

  it('no weights, no config, no folder, no model', async () => {
    await expectRefusal(await modelFolder(temporaryFolder(), 'gpt2', {}), 'model-corrupt', 'neither model.safetensors');
    await expectRefusal(temporaryFolder(), 'model-not-found', 'config.json');
    await expectRefusal(join(temporaryFolder(), 'nowhere'), 'model-not-found', 'nowhere', 'does not exist');
    await expectRefusal(gpt2File, 'model-unsupported', '.gguf');
    await expectRefusal('\0', 'model-not-found', 'not a path');
    await expectRefusal('x'.repeat(5000), 'model-not-found', 'not a path');
  });
});
