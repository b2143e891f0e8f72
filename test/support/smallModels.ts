import { readFileSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { byteCharacters } from '../../src/core/models/byteLevel.ts';
import { type GgufTensor, type GgufValue, ggufBytes } from './ggufBytes.ts';

/** Folder of the random models that the reference figures are made with. */
export const referenceModels = fileURLToPath(new URL('../reference/models/', import.meta.url));

export interface RawTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Reads a `.safetensors` file without the code under test. */
export function rawTensors(file: string): RawTensor[] {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [begin, end],
        },
      ]) => ({
        name,
        dtype,
        shape,
        bytes: new Uint8Array(bytes.subarray(8 + length + begin, 8 + length + end)),
      }),
    );
}

/** Bytes of a `.safetensors` file. `edit` may spoil the header before it is written. */
export function safetensorsBytes(
  tensors: readonly RawTensor[],
  edit: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void = () => undefined,
): Buffer {
  let offset = 0;
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }> = {};
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape: [...shape], data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  edit(header);
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...tensors.map(({ bytes }) => bytes)]);
}

/** Copies config and tokenizer of a reference model and puts other weights beside them. */
export async function modelFolder(
  folder: string,
  name: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const file of ['config.json', 'tokenizer.json']) {
    if (!(file in files)) await copyFile(join(referenceModels, name, file), join(folder, file));
  }
  for (const [file, content] of Object.entries(files)) await writeFile(join(folder, file), content);
  return folder;
}

/** `[rows, …]` in llama.cpp's order: row 2j + i of a head is row i · d_head / 2 + j of the original. */
function permuteRows(bytes: Uint8Array, rows: number, heads: number): Uint8Array {
  const width = bytes.length / rows;
  const half = rows / heads / 2;
  const out = new Uint8Array(bytes.length);
  let to = 0;
  for (let head = 0; head < heads; head++) {
    for (let j = 0; j < half; j++) {
      for (let i = 0; i < 2; i++) {
        const from = head * 2 * half + i * half + j;
        out.set(bytes.subarray(from * width, (from + 1) * width), to);
        to += width;
      }
    }
  }
  return out;
}

const llamaNames: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
  [/^model\.layers\.(\d+)\.input_layernorm/, 'blk.$1.attn_norm'],
  [/^model\.layers\.(\d+)\.post_attention_layernorm/, 'blk.$1.ffn_norm'],
  [/^model\.layers\.(\d+)\.self_attn\.o_proj/, 'blk.$1.attn_output'],
  [/^model\.layers\.(\d+)\.self_attn\.([qkv])_proj/, 'blk.$1.attn_$2'],
  [/^model\.layers\.(\d+)\.mlp\.(up|gate|down)_proj/, 'blk.$1.ffn_$2'],
  [/^(?:transformer\.)?wte/, 'token_embd'],
  [/^(?:transformer\.)?wpe/, 'position_embd'],
  [/^(?:transformer\.)?ln_f/, 'output_norm'],
  [/^(?:transformer\.)?h\.(\d+)\.ln_1/, 'blk.$1.attn_norm'],
  [/^(?:transformer\.)?h\.(\d+)\.ln_2/, 'blk.$1.ffn_norm'],
  [/^(?:transformer\.)?h\.(\d+)\.attn\.c_attn/, 'blk.$1.attn_qkv'],
  [/^(?:transformer\.)?h\.(\d+)\.attn\.c_proj/, 'blk.$1.attn_output'],
  [/^(?:transformer\.)?h\.(\d+)\.mlp\.c_fc/, 'blk.$1.ffn_up'],
  [/^(?:transformer\.)?h\.(\d+)\.mlp\.c_proj/, 'blk.$1.ffn_down'],
];

/** GGUF's name of a Hugging Face tensor. */
export function ggufName(name: string): string {
  const rule = llamaNames.find(([pattern]) => pattern.test(name));
  if (!rule) throw new Error(name);
  return name.replace(rule[0], rule[1]);
}

/** Vocabulary of the 256 bytes, two merges and one control token, as GGUF metadata. */
export function ggufTokenizerMetadata(dVocab: number): Record<string, GgufValue> {
  const tokens = [...byteCharacters(), 'Ġt', 'he', '<|end|>'];
  for (let id = tokens.length; id < dVocab; id++) tokens.push(`[unused${id}]`);
  const types = tokens.map((token) => (token === '<|end|>' ? 3 : 1));
  return {
    'tokenizer.ggml.model': { text: 'gpt2' },
    'tokenizer.ggml.pre': { text: 'gpt-2' },
    'tokenizer.ggml.tokens': { texts: tokens },
    'tokenizer.ggml.token_type': { int32s: types },
    'tokenizer.ggml.merges': { texts: ['Ġ t', 'h e'] },
    'tokenizer.ggml.bos_token_id': { uint32: 258 },
    'tokenizer.ggml.add_bos_token': { bool: false },
  };
}

/**
 * The reference model `llama-tied` (or another of its shape) as a float32 GGUF file as llama.cpp's converter makes it: rows
 * permuted for `llama`, left as they are for `qwen2`.
 */
export function llamaGguf(
  name: string,
  extra: Readonly<Record<string, GgufValue>> = {},
  extraTensors: readonly GgufTensor[] = [],
  family: 'llama' | 'qwen2' = 'llama',
): Buffer {
  const config = JSON.parse(readFileSync(join(referenceModels, name, 'config.json'), 'utf8')) as Record<string, number>;
  const heads = config.num_attention_heads;
  const keyValueHeads = config.num_key_value_heads ?? heads;
  const tensors = rawTensors(join(referenceModels, name, 'model.safetensors')).map(
    ({ name: stored, shape, bytes }): GgufTensor => {
      const count = stored.includes('q_proj') ? heads : stored.includes('k_proj') ? keyValueHeads : 0;
      const own = count && family === 'llama' ? permuteRows(bytes, shape[0], count) : bytes;
      return { name: ggufName(stored), shape, type: 0, bytes: own };
    },
  );
  return ggufBytes(
    {
      'general.architecture': { text: family },
      'general.license': { text: 'mit' },
      [`${family}.block_count`]: { uint32: config.num_hidden_layers },
      [`${family}.context_length`]: { uint32: config.max_position_embeddings },
      [`${family}.embedding_length`]: { uint32: config.hidden_size },
      [`${family}.feed_forward_length`]: { uint32: config.intermediate_size },
      [`${family}.attention.head_count`]: { uint32: heads },
      [`${family}.attention.head_count_kv`]: { uint32: keyValueHeads },
      [`${family}.attention.key_length`]: { uint32: config.head_dim ?? config.hidden_size / heads },
      [`${family}.attention.value_length`]: { uint32: config.head_dim ?? config.hidden_size / heads },
      [`${family}.rope.dimension_count`]: { uint32: config.head_dim ?? config.hidden_size / heads },
      [`${family}.rope.freq_base`]: { float32: 10000 },
      [`${family}.attention.layer_norm_rms_epsilon`]: { float32: config.rms_norm_eps },
      ...ggufTokenizerMetadata(config.vocab_size),
      ...extra,
    },
    [...tensors, ...extraTensors],
  );
}
