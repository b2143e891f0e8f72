import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readModelSource } from '../../../src/core/models/modelSource.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import { datasetLine } from '../../../src/core/tasks/dataset.ts';
import { headerLine } from '../../../src/core/tasks/datasetHeader.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import { acronymWordsOf, makeAcronyms } from '../../../src/core/tasks/make/acronyms.ts';
import { capitalisedWords } from '../../../src/core/tasks/make/capitalisedWords.ts';
import type { MadeDataset } from '../../../src/core/tasks/make/drawRows.ts';
import { makeGreaterThan } from '../../../src/core/tasks/make/greaterThan.ts';
import { makeIoi } from '../../../src/core/tasks/make/ioi.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { listTokenizer } from '../../support/listTokenizer.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';

const capitals = [...'ABCDEKLWYZ'];
const rests = ['etchup', 'ark', 'reck', 'able', 'oor'];
/** Capitals with and without a space, five endings, and two pairs of letters that merge. */
const acronymWords = ['The', ' (', ...capitals, ...capitals.map((c) => ` ${c}`), ...rests, 'AB', 'KLW'];
const ioiWords =
  'When After and came went to gave handed the a . , Mary John Peter Anna Paul Lisa shop garden drink book'.split(' ');
const ioiTokens = [...ioiWords, ...ioiWords.map((word) => ` ${word}`)];

async function load({ header, rows }: MadeDataset, tokenizer: Tokenizer): Promise<TaskSet> {
  const task = await loadTaskSet(
    { name: 'made', lines: [headerLine(header), ...rows.map(datasetLine)] },
    tokenizer,
    500,
    {},
  );
  expect(task.items).toHaveLength(rows.length);
  return task;
}

const at = (item: TaskItem, role: string) => item.roles[role].map((position) => item.tokens[position]).join('');

describe('acronyms', () => {
  it('take the words of given lines, and refuse those that do not fit', () => {
    const drawn = makeAcronyms(listTokenizer(acronymWords), { letters: 3, rows: 3, seed: 1 }).rows;
    const words = drawn.map(({ clean }) => clean.slice(4, clean.indexOf(' (')));
    const text = [`The ${words[0]} (XY, XYZ`, words[1], 'One two', `The ${words[2]} (`, ''].join('\n');
    const options = { letters: 3, rows: 9, seed: 1, words: acronymWordsOf(text) };
    const made = makeAcronyms(listTokenizer(acronymWords), options);
    expect(made.rows.map(({ clean }) => clean)).toEqual(drawn.map(({ clean }) => clean));
    expect(made.refused).toEqual({ 'not 3 words': 1 });
  });

  it('begin with a token that the tokenizer does not add, where one is given', async () => {
    const tokenizer = listTokenizer([...acronymWords, '<bos>']);
    const made = makeAcronyms(tokenizer, { letters: 3, rows: 10, seed: 1, before: '<bos>' });
    const task = await load(made, tokenizer);
    expect(task.items).toHaveLength(10);
    for (const item of task.items) {
      expect([at(item, 'BOS'), at(item, 'The')]).toEqual(['<bos>', 'The']);
      expect(item.answers[0].position).toBe(8);
      expect(item.tokens[8]).toBe(' (');
    }
  });

  it.each([1, 2, 3, 6])(
    'of %i letters have every token at its role and every answer after the letters before',
    async (k) => {
      for (const addsBos of [false, true]) {
        const tokenizer = listTokenizer(acronymWords, addsBos);
        const made = makeAcronyms(tokenizer, { letters: k, rows: 40, seed: 1 });
        const task = await load(made, tokenizer);
        expect(task.problems.filter(({ code }) => code !== 'same-tokens')).toEqual([]);
        expect(task.answerNames).toEqual(Array.from({ length: k }, (_, i) => `L${i + 1}`));
        expect(task.roles[0]).toBe(addsBos ? 'BOS' : 'The');
        for (const item of task.items) {
          const words = item.text.slice(4, item.text.indexOf(' (')).split(' ');
          expect(words).toHaveLength(k);
          expect(new Set(words).size).toBe(k);
          words.forEach((word, i) => {
            expect([at(item, `C${i + 1}`), at(item, `T${i + 1}`)]).toEqual([` ${word[0]}`, word.slice(1)]);
            if (i < k - 1) expect(at(item, `A${i + 1}`)).toBe(word[0]);
            const { position, answer, foils } = item.answers[i];
            expect(tokenizer.tokenText(answer)).toBe(word[0]);
            expect(item.tokens.slice(position, position + 2)).toEqual(
              i === k - 1 ? [item.tokens[position]] : [i === 0 ? ' (' : words[i - 1][0], word[0]],
            );
            expect(foils.map((id) => tokenizer.tokenText(id))).toEqual(capitals.filter((c) => c !== word[0]));
          });
          const acronym = words.map(([letter]) => letter).join('');
          expect(acronym).not.toMatch(/AB|KLW/);
        }
      }
    },
  );

  it('have the paper’s corruptions: word i, what is before word i, the letters before letter i, all', async () => {
    const tokenizer = listTokenizer(acronymWords);
    const { items, corruptions } = await load(makeAcronyms(tokenizer, { letters: 3, rows: 60, seed: 2 }), tokenizer);
    expect(corruptions).toEqual('cur:L1 cur:L2 cur:L3 prev:L1 prev:L2 prev:L3 let:L1 let:L2 let:L3 all'.split(' '));
    const changed = ({ ids, corrupted }: TaskItem, name: string) =>
      ids.map((id, i) => (id === corrupted[name][i] ? '.' : 'x')).join('');
    // The C1 T1 C2 T2 C3 T3 ( A1 A2
    for (const item of items) {
      expect(changed(item, 'cur:L1')).toBe('.xx.......');
      expect(changed(item, 'cur:L3')).toBe('.....xx...');
      expect(changed(item, 'prev:L1')).toBe('..........');
      expect(changed(item, 'prev:L3')).toMatch(/^\.(?=.*x)[x.]{4}\.{5}$/);
      expect(changed(item, 'let:L1')).toBe('..........');
      expect(changed(item, 'let:L2')).toBe('........x.');
      expect(changed(item, 'let:L3')).toMatch(/^\.{8}(xx|x\.|\.x)$/);
      expect(changed(item, 'all')).toMatch(/^\.(?=.*x)[x.]{6}\.(xx|x\.|\.x)$/);
    }
  });

  it('are the same for the same seed and others for another', () => {
    const make = (seed: number) => makeAcronyms(listTokenizer(acronymWords), { letters: 3, rows: 20, seed }).rows;
    expect(make(5)).toEqual(make(5));
    expect(make(5)).not.toEqual(make(6));
  });

  it('say what was refused, and stop when there are no more', () => {
    const few = listTokenizer(['The', ' (', 'A', 'B', ' A', ' B', 'xx', 'yy']);
    const { rows, refused } = makeAcronyms(few, { letters: 1, rows: 50, seed: 0 });
    expect(rows).toHaveLength(4);
    expect(refused['the same text again']).toBeGreaterThan(1000);
    const merging = listTokenizer(['The', ' (', 'A', 'B', ' A', ' B', 'xx', 'yy', 'AA', 'AB', 'BA', 'BB']);
    expect(() => makeAcronyms(merging, { letters: 2, rows: 5, seed: 0 })).toThrow(
      /the letters merge into fewer tokens \(/,
    );
    expect(() => makeAcronyms(listTokenizer(['The']), { letters: 2, rows: 5, seed: 0 })).toThrow(
      /has no words that split/,
    );
    expect(() => makeAcronyms(few, { letters: 0, rows: 5, seed: 0 })).toThrow(/at least 1 letter/);
    expect(() => makeAcronyms(few, { letters: 1, rows: 0, seed: 0 })).toThrow(/At least 1 row/);
  });

  it('prefer words that the vocabulary knows, with their forms, to any pieces', () => {
    expect(capitalisedWords(listTokenizer(acronymWords)).kind).toBe('pieces');
    const letters = [...'abcdefghij'];
    const stems = letters.flatMap((a) => letters.flatMap((b) => letters.slice(0, 3).map((c) => `k${a}${b}${c}`)));
    const words = [
      ...stems.flatMap((stem) => [` ${stem}`, ` ${stem}s`, stem.slice(1), `${stem.slice(1)}s`]),
      ' K',
      ' kzzz',
      'zzz',
    ];
    const { kind, byLetter } = capitalisedWords(listTokenizer(words));
    expect(kind).toBe('words');
    expect(byLetter.get('K')).toHaveLength(600);
    expect(byLetter.get('K')).not.toContain('Kzzz');
  });
});

describe('indirect objects', () => {
  it('are half ABBA and half BABA, with single-token names at their roles', async () => {
    for (const addsBos of [false, true]) {
      const tokenizer = listTokenizer(ioiTokens, addsBos);
      const made = makeIoi(tokenizer, { rows: 40, seed: 3 });
      const task = await load(made, tokenizer);
      expect(task.problems).toEqual([]);
      expect(task.items.filter(({ tags }) => tags[0] === 'ABBA')).toHaveLength(20);
      for (const item of task.items) {
        const [, first, second, giver] = /^\w+ (\w+) and (\w+) .*, (\w+) \w+ a \w+ to$/.exec(item.text) ?? [];
        const [io, s] = item.tags[0] === 'ABBA' ? [first, second] : [second, first];
        expect(giver).toBe(s);
        expect(['IO', 'S1', 'S2', 'END'].map((role) => at(item, role))).toEqual([` ${io}`, ` ${s}`, ` ${s}`, ' to']);
        expect(item.roles['S1+1'][0]).toBe(item.roles.S1[0] + 1);
        const [{ answer, foils, position }] = item.answers;
        expect([answer, ...foils].map((id) => tokenizer.tokenText(id))).toEqual([` ${io}`, ` ${s}`]);
        expect(position).toBe(item.ids.length - 1);
        const flipped = item.ids.map((id, i) => (i === item.roles.S2[0] ? answer : id));
        expect(item.corrupted.corrupted).toEqual(flipped);
        const names = ['IO', 'S1', 'S2'].map((role) => item.corrupted.abc[item.roles[role][0]]);
        expect(new Set([...names, answer, foils[0]]).size).toBe(5);
      }
    }
  });

  it('need names that are one token', () => {
    expect(() => makeIoi(listTokenizer(['When', ' Mary', ' John']), { rows: 5, seed: 0 })).toThrow(
      /has 2 names, 0 places/,
    );
  });
});

describe('greater-than', () => {
  const words = ' lasted from the year to war plan'.split(' ').map((word) => ` ${word}`);
  const pairs = Array.from({ length: 100 }, (_, i) => String(i).padStart(2, '0'));

  it('has all later years right and the others wrong, where years are two tokens', async () => {
    const tokenizer = listTokenizer(['The', ...words, ...pairs, ...pairs.map((pair) => ` ${pair}`)]);
    const { items, problems } = await load(makeGreaterThan(tokenizer, { rows: 60, seed: 1 }), tokenizer);
    expect(problems).toEqual([]);
    for (const item of items) {
      const year = Number(at(item, 'YY'));
      const [{ answer, also = [], foils }] = item.answers;
      expect([answer, ...also].map((id) => tokenizer.tokenText(id))).toEqual(pairs.slice(year + 1));
      expect(foils.map((id) => tokenizer.tokenText(id))).toEqual(pairs.slice(0, year + 1));
      expect(at(item, 'END')).toBe(at(item, 'XX'));
      expect(item.tokens[item.roles.NOUN[0]]).toMatch(/ (war|plan)/);
      expect(item.corrupted.corrupted.map((id) => tokenizer.tokenText(id)).join('')).toBe(
        item.text.replace(/\d\d(?= )/, '01'),
      );
    }
  });

  it('asks for a higher decade where digits are single tokens', async () => {
    const tokenizer = listTokenizer(['The', ...words]);
    const { items } = await load(makeGreaterThan(tokenizer, { rows: 60, seed: 1 }), tokenizer);
    for (const item of items) {
      const decade = Number(at(item, 'YY')[0]);
      const [{ answer, also = [], foils }] = item.answers;
      const right = [answer, ...also].map((id) => Number(tokenizer.tokenText(id)));
      const wrong = foils.map((id) => Number(tokenizer.tokenText(id)));
      expect([...wrong, decade, ...right]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
  });

  it('refuses a tokenizer that writes years otherwise', () => {
    const odd = listTokenizer(['The', ...words, '173']);
    const { rows, refused } = makeGreaterThan(odd, { rows: 20, seed: 1 });
    expect(rows.every(({ clean }) => !clean.includes('year 17'))).toBe(true);
    expect(refused['the tokenizer writes years neither as two pairs of digits nor as four digits']).toBeGreaterThan(0);
  });
});

describe.skipIf(!hasSmollm2)(`the example datasets are made for SmolLM2${smollm2Reason}`, () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await (await readModelSource(smollm2File)).tokenizer();
  });
  const settings = { rows: 200, seed: 0 };

  it.each([
    ['examples/acronyms/acronyms.smollm2.jsonl', () => makeAcronyms(tokenizer, { ...settings, letters: 3 })],
    ['examples/ioi/ioi.smollm2.jsonl', () => makeIoi(tokenizer, settings)],
  ])('%s, and can be made again', async (file, make) => {
    const made = make();
    const text = headerLine({ ...made.header, model: 'smollm2-135m' }) + made.rows.map(datasetLine).join('');
    expect(readFileSync(file, 'utf8')).toBe(text);
    const { problems, refused } = await load(made, tokenizer);
    expect([problems, refused]).toEqual([[], 0]);
  });
});
