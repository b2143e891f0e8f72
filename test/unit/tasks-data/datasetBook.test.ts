import { describe, expect, it } from 'vitest';
import { DatasetBook } from '../../../src/core/tasks/datasetBook.ts';
import { acronymText, ioiText, readBook } from '../../support/datasetFixture.ts';
import { wordTokenizer } from '../../support/wordTokenizer.ts';

describe('a dataset that is looked at', () => {
  it('is summed up: rows, refused ones with their problems, roles, answers, corruptions', async () => {
    const { summary } = await readBook(await acronymText(20), 'acronyms');
    expect(summary).toMatchObject({ model: 'acronyms', name: 'acronyms of 3 letters', seed: 1, good: 17, refused: 3 });
    expect(summary.roles).toEqual('BOS The C1 T1 C2 T2 C3 T3 P A1 A2'.split(' '));
    expect(summary.answerNames).toEqual(['L1', 'L2', 'L3']);
    expect(summary.corruptions).toContain('prev:L3');
    expect(summary.corruptedRows).toBe(17);
    expect(summary.problems.map(({ line, code }) => [line, code])).toEqual([
      [5, 'role-mismatch'],
      [7, 'not-json'],
      [14, 'role-mismatch'],
    ]);
  });

  it('shows any row: tokens, roles, answers, corrupted tokens, and why it is refused', async () => {
    const book = await readBook(await acronymText(20), 'acronyms');
    const all = book.rows({ by: 'index', from: 0, count: 100 });
    expect(all.map(({ line }) => line)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(book.rows({ by: 'index', from: 18, count: 5 })).toEqual(all.slice(18));
    expect(book.rows({ by: 'refused', from: 1, count: 1 })).toEqual([all[6]]);
    expect(book.rows({ by: 'line', line: 3 })).toEqual([all[2]]);
    expect(book.rows({ by: 'line', line: 0 })).toEqual([]);
    const [first] = all;
    const letter = first.tokens[first.roles.A1[0]].text;
    expect(first.answers[0]).toMatchObject({ name: 'L1', position: first.roles.P[0], answer: letter, foilCount: 25 });
    expect(first.answers[0].foils).toHaveLength(12);
    const changed = first.corrupted['cur:L2'].flatMap(({ id }, i) => (id === first.tokens[i].id ? [] : [i]));
    expect(changed).toEqual([...first.roles.C2, ...first.roles.T2]);
    expect(all[4]).toMatchObject({
      refused: true,
      roles: {},
      answers: [],
      corrupted: {},
      problems: [{ code: 'role-mismatch' }],
    });
    expect(all[4].tokens.length).toBe(11);
    expect(all[6]).toMatchObject({ refused: true, tokens: [], text: '', problems: [{ code: 'not-json' }] });
  });

  it('checks the form alone where no model reads it', async () => {
    const book = await readBook(await ioiText(6), null);
    expect(book.summary).toMatchObject({ model: null, good: 6, refused: 0, corruptions: [], problems: [] });
    expect(book.rows({ by: 'index', from: 0, count: 1 })).toMatchObject([{ tokens: [], refused: false, id: '1' }]);
  });

  it('knows the order of the rows: second ids, late headers, answers unlike the first row’s, values that collide', async () => {
    const row = (more: object) => JSON.stringify({ clean: ' t1 t2', answers: [{ token: 5, foils: [6] }], ...more });
    const header = '{"dataset":{"corruptions":{"x":{"permute":"R","collisions":"exclude"}}}}';
    const roles = { R: 1 };
    const text = [
      header,
      row({ id: 'a', roles }),
      row({ id: 'a', roles }),
      row({ answers: [{ name: 'b', token: 5 }] }),
      header,
    ].join('\r\n');
    const reader = { tokenizer: wordTokenizer(20), nCtx: 10 };
    const book = await DatasetBook.read(`\uFEFF${text}`, { key: 'k', model: 'm', reader });
    expect(book.summary.problems.map(({ line, code }) => [line, code])).toEqual([
      [1, 'not-corrupted'],
      [2, 'duplicate-id'],
      [3, 'unlike-answers'],
      [4, 'header-not-first'],
    ]);
    expect(book.rows({ by: 'index', from: 0, count: 9 }).map(({ line, refused }) => [line, refused])).toEqual([
      [1, true],
      [2, true],
      [3, true],
      [4, true],
    ]);
  });

  it('reads 20,000 rows with pauses, and can be cancelled in between', async () => {
    const row = (i: number) => `${JSON.stringify({ id: i, clean: ' t1 t2', answers: [{ token: 5, foils: [6] }] })}\n`;
    const text = Array.from({ length: 20_000 }, (_, i) => row(i)).join('');
    const reader = { tokenizer: wordTokenizer(20), nCtx: 10 };
    let pauses = 0;
    const controller = new AbortController();
    const options = { key: 'k', model: 'm', reader, signal: controller.signal };
    const book = await DatasetBook.read(text, { ...options, pause: async () => void pauses++ });
    expect([book.summary.good, pauses]).toEqual([20_000, 78]);
    expect(book.rows({ by: 'index', from: 19_999, count: 5 })).toMatchObject([{ id: '19999', index: 19_999 }]);
    const cancelled = DatasetBook.read(text, { ...options, pause: async () => controller.abort() });
    await expect(cancelled).rejects.toMatchObject({ code: 'cancelled' });
  });
});
