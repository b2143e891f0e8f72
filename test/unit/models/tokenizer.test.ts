import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BPE, Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { beforeAll, describe, expect, it } from 'vitest';
import { byteCharacters } from '../../../src/core/models/byteLevel.ts';
import { huggingFaceTokenizer } from '../../../src/core/models/huggingFaceTokenizer.ts';
import { WordMerger } from '../../../src/core/models/mergeLongWord.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import { temporaryFolder } from '../../support/temporaryFolder.ts';

const folder = new URL('../../reference/tokenizers/', import.meta.url);
const definition = JSON.parse(readFileSync(new URL('gpt2/tokenizer.json', folder), 'utf8')) as object;
let gpt2: Tokenizer;
let llama2: Tokenizer;
let llama3: Tokenizer;

beforeAll(async () => {
  [gpt2, llama2, llama3] = await Promise.all(
    ['gpt2', 'llama2', 'llama3'].map((name) => huggingFaceTokenizer(fileURLToPath(new URL(name, folder)))),
  );
});

function cover(text: string, tokenizer: Tokenizer): string {
  return tokenizer
    .encode(text)
    .map(({ start, end }) => text.slice(start, end))
    .join('');
}

describe('texts that are hard', () => {
  it.each([
    ['NUL bytes', 'a\0b\0\0'],
    ['white space only', '   \n\t  '],
    ['emoji', 'x 👩‍🚀🇫🇷 y'],
    ['a byte order mark', '\ufeffThe'],
  ])('%s are split and put together again', (_, text) => {
    expect(gpt2.decode(gpt2.encode(text).map(({ id }) => id))).toBe(text);
    expect(cover(text, gpt2)).toBe(text);
  });

  it('an empty text has no tokens but those the tokenizer adds', () => {
    expect(gpt2.encode('')).toEqual([]);
    expect(llama3.encode('')).toEqual([{ id: 0, text: '<|begin_of_text|>', start: 0, end: 0 }]);
  });

  it('a lone surrogate is a replacement character of the same length', () => {
    const text = 'a\ud800b\udc00';
    expect(cover(text, gpt2)).toBe(text);
    expect(gpt2.encode(text).map(({ id }) => id)).toEqual(gpt2.encode('a\ufffdb\ufffd').map(({ id }) => id));
  });

  it('a character over several tokens belongs to the first', () => {
    const tokens = gpt2.encode('a𓀀b');
    expect(tokens.length).toBeGreaterThan(3);
    const [first, second, ...others] = tokens;
    expect(first).toMatchObject({ start: 0, end: 1 });
    expect(second).toMatchObject({ start: 1, end: 3 });
    expect(second.text).toMatch(/^\\xF0/);
    expect(others.slice(0, -1).every(({ start, end }) => start === 3 && end === 3)).toBe(true);
    expect(others.at(-1)).toMatchObject({ text: 'b', start: 3, end: 4 });
  });

  it('SentencePiece vocabularies cover the text without the space they put first', () => {
    const text = 'the nurse said';
    const tokens = llama2.encode(text);
    expect(tokens[0]).toMatchObject({ text: '<s>', start: 0, end: 0 });
    expect(cover(text, llama2)).toBe(text);
    expect(llama2.addsBos).toBe(true);
    expect(llama2.encodePiece('the')).not.toContain(1);
  });

  it('ids beyond the vocabulary are named', () => {
    expect(gpt2.tokenText(999_999)).toBe('<id 999999>');
    expect(gpt2.decode([])).toBe('');
  });
});

describe('the first tokens of a giant text', () => {
  it.each([
    ['words', 'The nurse said that she was late. '],
    ['one letter', 'a'],
    ['spaces', ' '],
    ['line ends', '\r\n'],
    ['emoji', '😀'],
    ['NUL', '\0'],
  ])('are those of the whole text: %s', (_, piece) => {
    const text = piece.repeat(Math.ceil(60_000 / piece.length));
    const whole = gpt2.encode(text);
    expect(gpt2.encode(text, 1000)).toEqual(whole.slice(0, 1000));
    expect(llama3.encode(text, 64)).toEqual(llama3.encode(text).slice(0, 64));
  });

  it('a megabyte of one word does not take quadratic time', () => {
    const time = (length: number) => {
      const started = performance.now();
      gpt2.encode('ab'.repeat(length / 2));
      return performance.now() - started;
    };
    time(50_000);
    const short = time(100_000);
    // Ten times the text: n log n is about 12 times, n² would be 100 times.
    expect(time(1_000_000)).toBeLessThan(Math.max(short, 20) * 45);
  });
});

describe('what a folder says of its tokenizer', () => {
  async function folderWith(settings: object, edit: (json: { added_tokens: object[] }) => void = () => undefined) {
    const folder = temporaryFolder();
    const json = structuredClone(definition) as { added_tokens: object[] };
    edit(json);
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify(settings));
    return folder;
  }
  const first = (tokenizer: Tokenizer) => tokenizer.encode('the')[0].text;

  it('add_bos_token is obeyed, a BOS token alone adds nothing', async () => {
    const bos = { bos_token: '<|endoftext|>' };
    expect(first(await huggingFaceTokenizer(await folderWith({ ...bos, add_bos_token: true })))).toBe('<|endoftext|>');
    expect(first(await huggingFaceTokenizer(await folderWith(bos)))).not.toBe('<|endoftext|>');
    expect(first(await huggingFaceTokenizer(await folderWith({ add_bos_token: true })))).not.toBe('<|endoftext|>');
  });

  it('an added token that the embedding has no row for is left out', async () => {
    const folder = await folderWith({}, ({ added_tokens }) => {
      added_tokens.push({ id: 5000, content: '[PAD]', special: true, normalized: false });
    });
    expect((await huggingFaceTokenizer(folder)).encodePiece('[PAD]')).toEqual([5000]);
    const fitted = await huggingFaceTokenizer(folder, 1200);
    expect(fitted.encodePiece('[PAD]').every((id) => id < 1200)).toBe(true);
    expect(fitted.dVocab).toBe(1200);
  });
});

describe('long words', () => {
  it('are split as by the library', () => {
    const library = new HuggingFaceTokenizer(definition, {});
    if (!(library.model instanceof BPE)) throw new Error('not BPE');
    const merger = new WordMerger(library.model.tokens_to_ids, library.model.merges);
    const characters = [...byteCharacters()].filter((c) => /[a-zĠĊ'0-9]/.test(c));
    let state = 1;
    for (let round = 0; round < 60; round++) {
      const few = round % 3 === 0 ? 3 : characters.length;
      const word = Array.from({ length: 1 + round * 20 }, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return characters[Math.floor((state / 2 ** 32) * few)];
      }).join('');
      expect(merger.split(word)).toEqual(library.model.bpe(word));
    }
  });

  it('keep characters that the vocabulary lacks', () => {
    const vocab = new Map([
      ['a', 0],
      ['b', 1],
      ['ab', 2],
    ]);
    expect(new WordMerger(vocab, [['a', 'b']]).split('ab?ab')).toEqual(['ab', '?', 'ab']);
  });
});
