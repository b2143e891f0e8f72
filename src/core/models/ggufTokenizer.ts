import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { BpeTokenizer } from './bpeTokenizer.ts';
import { ConfigReader } from './configReader.ts';
import { corrupt, unsupported } from './fileErrors.ts';
import type { GgufFile } from './ggufFile.ts';
import { preTokenizerNames, preTokenizerRule, splitThenBytes } from './preTokenizers.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Values of `tokenizer.ggml.token_type`. */
const controlToken = 3;
const userDefinedToken = 4;

/**
 * The tokenizer in the metadata of a GGUF file: byte-level BPE (`tokenizer.ggml.model` = `gpt2`).
 *
 * @throws model-unsupported for another kind of tokenizer or an unknown splitting rule, model-corrupt
 */
export function ggufTokenizer(gguf: GgufFile): Tokenizer {
  const reader = new ConfigReader(gguf.file, gguf.metadata);
  const model = reader.text('tokenizer.ggml.model', '');
  if (model === '') throw corrupt(gguf.file, 'there is no tokenizer in it ("tokenizer.ggml.model" is missing)');
  if (model !== 'gpt2') {
    throw unsupported(
      gguf.file,
      `tokenizers of the type "${model.slice(0, 40)}" are not supported in GGUF files. Take the Hugging Face folder, or a file with a "gpt2" tokenizer.`,
    );
  }
  const fallback = reader.text('general.architecture', '') === 'gpt2' ? 'gpt-2' : 'default';
  const pre = reader.text('tokenizer.ggml.pre', fallback);
  const rule = preTokenizerRule(pre);
  if (!rule) {
    throw unsupported(
      gguf.file,
      `the splitting rule "${pre.slice(0, 40)}" of its tokenizer is not known. Known: ${preTokenizerNames.join(', ')}. Take the Hugging Face folder.`,
    );
  }
  const tokens = strings(reader, 'tokenizer.ggml.tokens');
  const bosId = vocabularyId(reader, 'tokenizer.ggml.bos_token_id', tokens.length);
  const eosId = vocabularyId(reader, 'tokenizer.ggml.eos_token_id', tokens.length);
  const addsBos = reader.flag('tokenizer.ggml.add_bos_token', rule.addsBos) && bosId !== null;
  const addsEos = reader.flag('tokenizer.ggml.add_eos_token', false) && eosId !== null;
  const definition = {
    normalizer: null,
    pre_tokenizer: splitThenBytes(rule.patterns),
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    added_tokens: addedTokens(reader, tokens),
    model: {
      type: 'BPE',
      vocab: vocabulary(tokens),
      merges: strings(reader, 'tokenizer.ggml.merges').map((merge) => mergePair(gguf.file, merge)),
      ignore_merges: rule.ignoreMerges,
    },
  };
  return new BpeTokenizer({
    library: new HuggingFaceTokenizer(definition, {}),
    spelling: 'byte-level',
    before: addsBos && bosId !== null ? [bosId] : [],
    after: addsEos && eosId !== null ? [eosId] : [],
    bosId,
    dVocab: tokens.length,
  });
}

function strings(reader: ConfigReader, key: string): readonly string[] {
  const value = reader.raw(key);
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === 'string')) {
    throw corrupt(reader.file, `"${key}" is not a list of texts`, { key });
  }
  return value;
}

function vocabularyId(reader: ConfigReader, key: string, size: number): number | null {
  const id = reader.optionalNumber(key);
  if (id !== null && (!Number.isInteger(id) || id < 0 || id >= size)) {
    throw corrupt(reader.file, `"${key}" is ${id}, but there are ${size} tokens`, { key });
  }
  return id;
}

function vocabulary(tokens: readonly string[]): Record<string, number> {
  const ids: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    ids[token] = id;
  });
  return ids;
}

function addedTokens(reader: ConfigReader, tokens: readonly string[]): object[] {
  const types = reader.raw('tokenizer.ggml.token_type');
  if (!Array.isArray(types)) return [];
  const added: object[] = [];
  types.slice(0, tokens.length).forEach((type, id) => {
    if ((type === controlToken || type === userDefinedToken) && tokens[id] !== '') {
      added.push({ id, content: tokens[id], special: type === controlToken, normalized: false });
    }
  });
  return added;
}

function mergePair(file: string, merge: string): [string, string] {
  const space = merge.indexOf(' ', 1);
  if (space < 0) throw corrupt(file, `the merge "${merge.slice(0, 40)}" of its tokenizer is not a pair`);
  return [merge.slice(0, space), merge.slice(space + 1)];
}
