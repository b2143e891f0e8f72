import { beforeAll, describe, expect, it } from 'vitest';
import { huggingFaceTokenizer } from '../../../src/core/models/huggingFaceTokenizer.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import { datasetLine, parseDatasetLine, readDataset } from '../../../src/core/tasks/dataset.ts';
import { resolveDataset, resolveEntry } from '../../../src/core/tasks/datasetResolve.ts';

const clean = 'When Mary and John went to the shop, John gave a drink to';
const corrupted = 'When Mary and John went to the shop, Mary gave a drink to';
const answers = [{ token: ' Mary', foils: [' John'] }];
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await huggingFaceTokenizer('models/small-world');
});

function resolve(row: Record<string, unknown>, nCtx?: number, using: Tokenizer = tokenizer) {
  const text = JSON.stringify({ clean, ...row });
  const { item, problems } = resolveEntry(parseDatasetLine(text, 4), using, nCtx);
  return { item, problems, said: problems.map((p) => `${p.code} ${text.slice(p.column, p.column + p.length)}`) };
}

describe('resolveEntry', () => {
  it('gives token ids, absolute positions and the first change', () => {
    const { item, problems } = resolve({
      id: 'x',
      corrupted,
      answers,
      roles: { IO: 1, S: [3, 9], END: -1 },
      tags: ['t'],
    });
    expect(problems).toEqual([]);
    const id = (text: string) => tokenizer.encodePiece(text)[0];
    expect(item).toMatchObject({
      id: 'x',
      firstChange: 9,
      roles: { IO: [1], S: [3, 9], END: [13] },
      answers: [{ name: 'answer', position: 13, answer: id(' Mary'), foils: [id(' John')] }],
      tags: ['t'],
    });
    expect(item?.clean.map(({ id: token }) => token)).toEqual(tokenizer.encode(clean).map(({ id: token }) => token));
    expect(item?.corrupted?.[9]?.id).toBe(id(' Mary'));
  });

  it('reads answers at several positions, and ids as tokens', () => {
    const { item } = resolve({
      answers: [
        { name: 'a', pos: 3, token: 9, foils: [1, 2] },
        { name: 'b', pos: -2, token: ' a' },
      ],
    });
    expect(item?.answers).toEqual([
      { name: 'a', position: 3, answer: 9, foils: [1, 2] },
      { name: 'b', position: 12, answer: tokenizer.encodePiece(' a')[0], foils: [] },
    ]);
    expect(item?.corrupted).toBeNull();
    expect(item?.firstChange).toBeNull();
  });

  it('refuses an answer of several tokens with the split and the spelling that is one', () => {
    const split = resolve({ answers: [{ token: ' Kazakhstan', foils: [' John'] }] });
    expect(split.item).toBeNull();
    expect(split.said).toEqual(['token-splits " Kazakhstan"']);
    expect(split.problems[0]?.message).toContain('is 8 tokens: ␣K | a | z | a | k | h | st | an.');
    const spaced = resolve({ answers: [{ token: ' Mary', foils: [' John', 'she'] }] });
    expect(spaced.said).toEqual(['token-splits "she"']);
    expect(spaced.problems[0]?.message).toContain('Write " she", which is one token.');
    expect(spaced.problems[0]).toMatchObject({ line: 4, severity: 'error' });
  });

  it('refuses prompts of unlike length and says where they part', () => {
    const longer = 'When Mary and John went to the big shop, Mary gave a drink to';
    const { item, said, problems } = resolve({ corrupted: longer, answers });
    expect(item).toBeNull();
    expect(said).toEqual([`unlike-length ${JSON.stringify(longer)}`]);
    expect(problems[0]?.message).toContain(
      'has 14 tokens and the corrupted one 16; they part at token 8: ␣shop and ␣b.',
    );
    const shorter = resolve({ corrupted: 'When Mary and', answers });
    expect(shorter.problems[0]?.message).toContain('they part at token 4: ␣John and the end.');
  });

  it('warns when nothing is corrupted, and keeps the row', () => {
    const { item, problems } = resolve({ corrupted: clean, answers });
    expect(item?.firstChange).toBeNull();
    expect(item?.corrupted).toHaveLength(14);
    expect(problems).toMatchObject([{ code: 'same-tokens', severity: 'warning' }]);
  });

  it('refuses positions outside the prompt, at the position', () => {
    expect(resolve({ answers: [{ pos: 14, token: ' Mary' }] }).said).toEqual(['position-outside 14']);
    expect(resolve({ answers: [{ pos: -15, token: ' Mary' }] }).said).toEqual(['position-outside -15']);
    expect(resolve({ answers: [{ pos: -14, token: ' Mary' }] }).item?.answers[0]?.position).toBe(0);
    const roles = resolve({ roles: { S: [1, 99], E: 77 } });
    expect(roles.item).toBeNull();
    expect(roles.said).toEqual(['position-outside 99', 'position-outside 77']);
    expect(roles.problems[0]?.message).toContain('has 14 tokens, 0 to 13');
  });

  it('refuses ids of another vocabulary, foils that are the answer, and prompts that do not fit', () => {
    expect(resolve({ answers: [{ token: 50_000 }] }).said).toEqual(['unknown-token 50000']);
    const same = resolve({ answers: [{ token: ' Mary', foils: [' John', tokenizer.encodePiece(' Mary')[0]] }] });
    expect(same.item).toBeNull();
    expect(same.said[0]).toMatch(/^answer-is-foil \d+$/);
    expect(resolve({ answers }, 13).said).toEqual([`prompt-too-long ${JSON.stringify(clean)}`]);
    expect(resolve({ answers }, 14).item).not.toBeNull();
  });

  it('counts a BOS token that the tokenizer adds', () => {
    const withBos: Tokenizer = {
      ...tokenizer,
      addsBos: true,
      dVocab: tokenizer.dVocab,
      encodePiece: (text) => tokenizer.encodePiece(text),
      tokenText: (id) => tokenizer.tokenText(id),
      decode: (ids) => tokenizer.decode(ids),
      encode: (text) => [{ id: 0, text: '<s>', start: 0, end: 0 }, ...tokenizer.encode(text)],
    };
    const { item } = resolve({ corrupted, answers, roles: { IO: 2 } }, undefined, withBos);
    expect(item).toMatchObject({ firstChange: 10, answers: [{ position: 14 }] });
    expect(item?.clean[item.roles.IO[0]]?.text).toBe(' Mary');
  });

  it('leaves a row that was wrong before as it is', () => {
    const entry = parseDatasetLine('{"clean": 1}', 0);
    expect(resolveEntry(entry, tokenizer)).toEqual({ line: 0, item: null, problems: entry.problems });
  });
});

describe('resolveDataset', () => {
  it('streams 10,000 rows', async () => {
    function* lines() {
      for (let i = 0; i < 10_000; i++) {
        const answer = [{ name: 'answer', pos: -1, token: i === 7000 ? ' Kazakhstan' : ' Mary', foils: [' John'] }];
        yield datasetLine({ id: String(i), clean, corrupted, roles: {}, answers: answer, tags: [] });
      }
    }
    let items = 0;
    const wrong: number[] = [];
    for await (const { line, item } of resolveDataset(readDataset(lines()), tokenizer)) {
      if (item === null) wrong.push(line);
      else items++;
    }
    expect([items, wrong]).toEqual([9999, [7000]]);
  });
});
