import { describe, expect, it } from 'vitest';
import { TokenIndex } from '../../../src/core/tasks/tokenIndex.ts';
import { typedToken } from '../../../src/core/tasks/typedToken.ts';
import { listTokenizer } from '../../support/listTokenizer.ts';

const words = [' the', 'she', ' she', ' sheet', 'shed', ' he', ' SHE', ' sh'];
const index = new TokenIndex(listTokenizer(words));
const texts = (prefix: string, limit = 10) => index.complete(prefix, limit).map(({ text }) => text);

describe('TokenIndex', () => {
  it('finds what begins as typed, with and without the space, most frequent first', () => {
    expect(texts('she')).toEqual(['she', ' she', ' sheet', 'shed']);
    expect(texts(' she')).toEqual([' she', ' sheet']);
    expect(texts('xyz')).toEqual([]);
  });

  it('offers words after a space where nothing is typed, and no more than asked for', () => {
    expect(texts('', 3)).toEqual([' the', ' she', ' sheet']);
    expect(texts('s', 2)).toEqual(['she', ' she']);
  });

  it('leaves out tokens that no text gives', () => {
    const tokenizer = listTokenizer([' she']);
    // The last id, the BOS token, is split when it is written.
    expect(new TokenIndex(tokenizer).complete('<', 10).map(({ text }) => text)).toEqual(['<']);
  });

  it('gives exactly the tokens that a search through the whole vocabulary gives', () => {
    const tokenizer = listTokenizer(words);
    for (const prefix of ['s', ' ', 'h', ' s', '"', 'S']) {
      const every = Array.from({ length: tokenizer.dVocab }, (_, id) => tokenizer.tokenText(id)).filter(
        (text) => text !== '<s>' && (text.startsWith(prefix) || text.startsWith(` ${prefix}`)),
      );
      const wanted = prefix.startsWith(' ') ? every.filter((text) => text.startsWith(prefix)) : every;
      expect(texts(prefix, 1000)).toEqual(wanted);
    }
  });
});

describe('typedToken', () => {
  it.each([
    ['" sh', ' sh'],
    ["' sh", ' sh'],
    ['sh', 'sh'],
    ['', ''],
    ['"', ''],
    ['"a\\"b', 'a"b'],
    ['"a\\', null],
    ['" she": 1', null],
    ['" she"', null],
    ["' she' ", null],
    ['{ a', null],
  ])('of %j is %j', (word, expected) => {
    expect(typedToken(word)).toBe(expected);
  });
});
