import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { MechanistError } from '../../shared/errors.ts';
import { BpeTokenizer, type TokenSpelling } from './bpeTokenizer.ts';
import { corrupt, readFailure, systemErrorCode, unsupported } from './fileErrors.ts';
import { exactPreTokenizer, gpt2Pattern, splitThenBytes } from './preTokenizers.ts';
import type { Tokenizer } from './tokenizer.ts';

/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json` with `tokenizer_config.json`, or GPT-2's pair of `vocab.json`
 * and `merges.txt`.
 *
 * @param embeddingRows added tokens beyond the model's embedding (a padding token that was never trained) are left out
 * @throws model-corrupt when no tokenizer is there or it is damaged, model-unsupported for a kind that is not known
 */
export async function huggingFaceTokenizer(
  folder: string,
  embeddingRows = Number.POSITIVE_INFINITY,
): Promise<Tokenizer> {
  const settings = record(await readJson(join(folder, 'tokenizer_config.json')));
  const file = join(folder, 'tokenizer.json');
  const definition = await readJson(file);
  if (definition !== null) return build(file, definition, settings, embeddingRows);
  const vocabFile = join(folder, 'vocab.json');
  const vocab = await readJson(vocabFile);
  const merges = await readText(join(folder, 'merges.txt'));
  if (vocab === null || merges === null) {
    throw new MechanistError(
      'model-corrupt',
      `${folder} has no tokenizer. Put tokenizer.json, or vocab.json and merges.txt, beside config.json.`,
      { folder },
    );
  }
  return build(vocabFile, gpt2Definition(vocabFile, vocab, merges), settings, embeddingRows);
}

async function readText(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null;
    throw readFailure(file, error);
  }
}

async function readJson(file: string): Promise<unknown> {
  const text = await readText(file);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw corrupt(file, 'it is not JSON');
  }
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** GPT-2's tokenizer without its `tokenizer.json`: `<|endoftext|>` is the one added token. */
function gpt2Definition(file: string, vocab: unknown, merges: string): object {
  const ids = record(vocab);
  if (Object.keys(ids).length === 0 || !Object.values(ids).every((id) => Number.isSafeInteger(id))) {
    throw corrupt(file, 'it is not a table of tokens and ids');
  }
  const pairs = merges
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#version'))
    .map((line) => line.replace(/\r$/, '').split(' '));
  const endOfText = ids['<|endoftext|>'];
  return {
    normalizer: null,
    pre_tokenizer: splitThenBytes([gpt2Pattern]),
    post_processor: null,
    decoder: { type: 'ByteLevel' },
    added_tokens:
      endOfText === undefined ? [] : [{ id: endOfText, content: '<|endoftext|>', special: true, normalized: false }],
    model: { type: 'BPE', vocab: ids, merges: pairs },
  };
}

function build(file: string, json: unknown, settings: Record<string, unknown>, embeddingRows: number): Tokenizer {
  const definition = record(json);
  const model = record(definition.model);
  const vocab = record(model.vocab);
  if (model.type !== undefined && model.type !== 'BPE') {
    throw unsupported(
      file,
      `tokenizers of the type "${String(model.type).slice(0, 40)}" are not supported. Supported: BPE.`,
    );
  }
  const ids = Object.values(vocab);
  if (
    ids.length === 0 ||
    !ids.every((id) => Number.isSafeInteger(id) && Number(id) >= 0) ||
    !Array.isArray(model.merges)
  ) {
    throw corrupt(file, 'it holds no BPE vocabulary with merges');
  }
  const stored = Array.isArray(definition.added_tokens) ? definition.added_tokens.map(record) : [];
  const added = stored.filter((token) => !(Number(token.id) >= embeddingRows));
  if (!added.every((token) => Number.isSafeInteger(token.id) && typeof token.content === 'string')) {
    throw corrupt(file, '"added_tokens" is not a list of tokens');
  }
  const complete = {
    normalizer: definition.normalizer ?? null,
    pre_tokenizer: exactPreTokenizer(definition.pre_tokenizer ?? null),
    post_processor: definition.post_processor ?? null,
    decoder: definition.decoder ?? null,
    added_tokens: added,
    // The library takes the file's own vocabulary object; a missing type is BPE (tokenizers < 0.10).
    model: { ...model, type: 'BPE', vocab },
  };
  // Settings that change how the library cleans texts up are not wanted: decoding here is exact.
  try {
    const library = new HuggingFaceTokenizer(complete, {});
    return new BpeTokenizer({
      library,
      spelling: spelling(complete.pre_tokenizer, complete.decoder),
      ...specialTokens(library, settings),
      dVocab: Math.max(...highest(ids), ...highest(added.map((token) => token.id))) + 1,
    });
  } catch (error) {
    if (error instanceof MechanistError) throw error;
    throw corrupt(file, `the tokenizer cannot be built (${error instanceof Error ? error.message : 'unknown reason'})`);
  }
}

function highest(ids: readonly unknown[]): number[] {
  let max = -1;
  for (const id of ids) if (typeof id === 'number' && id > max) max = id;
  return [max];
}

function spelling(...parts: unknown[]): TokenSpelling {
  return JSON.stringify(parts).includes('"ByteLevel"') ? 'byte-level' : 'sentence-piece';
}

/**
 * What the tokenizer itself puts around a text: its post-processor's template, corrected by `add_bos_token` and
 * `add_eos_token` of `tokenizer_config.json` as HF transformers 5 does when they are there.
 */
function specialTokens(
  library: HuggingFaceTokenizer,
  settings: Record<string, unknown>,
): { before: number[]; after: number[]; bosId: number | null } {
  const idOf = (name: unknown): number | null => {
    const content = typeof name === 'string' ? name : record(name).content;
    return typeof content === 'string' ? (library.token_to_id(content) ?? null) : null;
  };
  const bosId = idOf(settings.bos_token);
  const eosId = idOf(settings.eos_token);
  // A text that every vocabulary splits somehow, with and without the template around it.
  const bare = library.encode('a', { add_special_tokens: false }).ids;
  const full = library.encode('a', { add_special_tokens: true }).ids;
  const start = bare.length === 0 ? full.length : full.findIndex((_, i) => bare.every((id, j) => full[i + j] === id));
  let before = full.slice(0, Math.max(0, start));
  let after = full.slice(Math.max(0, start) + bare.length);
  if (settings.add_bos_token === true && bosId !== null && before[0] !== bosId) before = [bosId, ...before];
  if (settings.add_bos_token === false && before[0] === bosId) before = before.slice(1);
  if (settings.add_eos_token === true && eosId !== null && after.at(-1) !== eosId) after = [...after, eosId];
  if (settings.add_eos_token === false && after.at(-1) === eosId) after = after.slice(0, -1);
  const firstIsBos = before.length > 0 && bosId === null;
  return { before, after, bosId: firstIsBos ? before[0] : bosId };
}
