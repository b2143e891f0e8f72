import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Corpus, corpusShares, documentsOf, openCorpus } from '../../../src/core/observables/corpus.ts';
import { shareWindows, windowBatches } from '../../../src/core/observables/corpusWindows.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';

describe('a corpus', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-corpus-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const open = (name: string, content: string | Uint8Array, separator: 'blank-line' | 'line' = 'blank-line') => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return openCorpus(name, { path }, separator);
  };

  /** All documents, read in shares that are cut at the given bytes. */
  async function read(corpus: Corpus, cuts: readonly number[] = []): Promise<string[]> {
    const edges = [0, ...cuts, corpus.bytes];
    const texts: string[] = [];
    for (let i = 0; i + 1 < edges.length; i += 1) {
      const share = { index: i, start: edges[i], end: edges[i + 1], tokens: 1e9 };
      for await (const { text } of documentsOf(corpus, share)) texts.push(text);
    }
    return texts;
  }

  it('has documents between blank lines, one a line, or in the field text', async () => {
    expect(await read(open('a.txt', '\n\nOne\ntwo.\r\n \nThree.\n\n\n\nFour'))).toEqual([
      'One\ntwo.',
      'Three.',
      'Four',
    ]);
    expect(await read(open('b.txt', 'One\n\ntwo.\r\nThree', 'line'))).toEqual(['One', 'two.', 'Three']);
    expect(await read(open('c.jsonl', '{"text": "One\\n\\ntwo"}\n\n{"meta": 1, "text": ""}\n'))).toEqual([
      'One\n\ntwo',
      '',
    ]);
  });

  it.each(['blank-line', 'line'] as const)('has every document once, wherever it is cut (%s)', async (separator) => {
    const random = seededRandom(7);
    const text = Array.from({ length: 60 }, () => ['\n', '\n\n', 'ä', 'word ', 'x\ny', '\r\n'][random.below(6)]).join(
      '',
    );
    const corpus = open(`cut-${separator}.txt`, text, separator);
    const whole = await read(corpus);
    expect(whole.length).toBeGreaterThan(5);
    for (let cut = 1; cut < corpus.bytes; cut += 1) expect(await read(corpus, [cut])).toEqual(whole);
    for (let i = 0; i < 20; i += 1) {
      const cuts = Array.from({ length: 6 }, () => random.below(corpus.bytes + 1)).sort((a, b) => a - b);
      expect(await read(corpus, cuts)).toEqual(whole);
    }
  });

  it('is cut evenly, with the limit of tokens shared out', () => {
    const corpus = open('even.txt', 'a b c\n\n'.repeat(20_000));
    const shares = corpusShares(corpus, 15_000);
    expect(shares.map(({ tokens }) => tokens)).toEqual([3750, 3750, 3750, 3750]);
    expect(shares[0].start).toBe(0);
    expect(shares.map(({ end }) => end)).toEqual([...shares.slice(1).map(({ start }) => start), corpus.bytes]);
    expect(corpusShares(open('short.txt', 'a'), 1e6)).toEqual([{ index: 0, start: 0, end: 1, tokens: 1e6 }]);
  });

  it('is refused with what to do', async () => {
    expect(() => open('x.csv', 'a')).toThrow(/neither \.txt nor \.jsonl/);
    expect(() => open('x.txt', '')).toThrow(/is empty\. Write texts/);
    expect(() => open('y.txt', Uint8Array.of(80, 0, 75))).toThrow(/NUL bytes.*Save it as UTF-8/);
    expect(() => openCorpus('z.txt', { path: join(folder, 'z.txt') }, 'line')).toThrow(/z\.txt cannot be read/);
    expect(() => openCorpus('d.txt', { path: folder }, 'line')).toThrow(/neither/);
    await expect(read(open('latin.txt', Uint8Array.of(0x41, 0xe4, 0x41)))).rejects.toThrow(/not UTF-8/);
    await expect(read(open('late.txt', Buffer.concat([Buffer.alloc(9000, 'a'), Buffer.of(0, 10)])))).rejects.toThrow(
      /NUL/,
    );
    await expect(read(open('n.jsonl', '{"text": "a"}\n{"txt": "b"}\n'))).rejects.toThrow(/at byte 14: \{"txt": "b"\}/);
    await expect(read(open('m.jsonl', 'plain\n'))).rejects.toMatchObject({ code: 'bad-input' });
  });

  it('becomes windows with the BOS of the tokenizer, which do not go over documents', async () => {
    const corpus = open('w.txt', 'a b c d e f g\n\nh\n\ni j');
    const share = { index: 0, start: 0, end: corpus.bytes, tokens: 9 };
    const tokenizer = (addsBos: boolean) => ({
      ...{ dVocab: 200, addsBos, encodePiece: () => [], decode: () => '', tokenText: String },
      encode: (text: string, most = 1e9) => {
        const ids = text.split(' ').map((word) => word.charCodeAt(0));
        return [...(addsBos ? [1] : []), ...ids].slice(0, most).map((id) => ({ id, text: '', start: 0, end: 0 }));
      },
    });
    const [a, b, c, d, e, f, g, i] = [...'abcdefgi'].map((letter) => letter.charCodeAt(0));
    const config = { nCtx: 4 };
    expect(await shareWindows({ tokenizer: tokenizer(false), config }, corpus, share)).toEqual({
      windows: [
        { ids: [a, b, c, d], first: 1 },
        { ids: [e, f, g], first: 1 },
      ],
      ...{ tokens: 9, documents: 3, cut: true },
    });
    const withBos = await shareWindows({ tokenizer: tokenizer(true), config }, corpus, { ...share, tokens: 100 });
    expect(withBos.windows.map(({ ids }) => ids)).toEqual([
      [1, a, b, c],
      [1, d, e, f],
      [1, i, i + 1],
    ]);
    expect(withBos).toMatchObject({ tokens: 10, documents: 3, cut: false });
    expect(windowBatches(withBos.windows).map((batch) => batch.map(({ ids }) => ids.length))).toEqual([[4, 4], [3]]);
  });
});
