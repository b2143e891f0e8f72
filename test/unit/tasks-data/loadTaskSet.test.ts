import { beforeAll, describe, expect, it } from 'vitest';
import { huggingFaceTokenizer } from '../../../src/core/models/huggingFaceTokenizer.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';

let tokenizer: Tokenizer;
const idOf = (text: string) => tokenizer.encodePiece(text)[0];

beforeAll(async () => {
  tokenizer = await huggingFaceTokenizer('models/small-world');
});

const clean = 'When Mary and John went to the shop, John gave a drink to';
const names = [' Mary', ' John', ' Peter', ' Anna'];
const row = (more: object = {}) => ({ clean, answers: [{ token: ' Mary', foils: [' John'] }], ...more });

async function load(rows: readonly (object | string)[], options: Parameters<typeof loadTaskSet>[3] = {}, nCtx = 100) {
  const lines = rows.map((one) => `${typeof one === 'string' ? one : JSON.stringify(one)}\n`);
  const task: TaskSet = await loadTaskSet({ name: 'ioi.jsonl', lines }, tokenizer, nCtx, options);
  const said = task.problems.map(
    ({ line, column, length, code }) => `${line} ${code} ${lines[line].slice(column, column + length).trim()}`,
  );
  return { ...task, said };
}

const failure = async (rows: readonly (object | string)[], options: Parameters<typeof loadTaskSet>[3] = {}) =>
  await load(rows, options).then(
    () => 'loaded',
    (error: Error & { code?: string }) => `${error.code} ${error.message}`,
  );

describe('loadTaskSet', () => {
  it('gives ids, tokens, roles in order of position, answers and a seed', async () => {
    const header = { dataset: { name: 'ioi', seed: 4, sets: { names }, roles: { IO: '@names', S: '@names' } } };
    const roles = { END: -1, S: [3, 9], IO: 1 };
    const task = await load([header, row({ roles, tags: ['ABBA'] }), row({ roles })]);
    expect(task.problems).toEqual([]);
    expect(task).toMatchObject({
      name: 'ioi',
      roles: ['IO', 'S', 'END'],
      answerNames: ['answer'],
      seed: 4,
      refused: 0,
    });
    expect(task.items[0]).toMatchObject({
      id: '2',
      text: clean,
      ids: tokenizer.encode(clean).map(({ id }) => id),
      roles: { IO: [1], S: [3, 9], END: [13] },
      answers: [{ name: 'answer', position: 13, answer: idOf(' Mary'), foils: [idOf(' John')] }],
      tags: ['ABBA'],
    });
    expect(task.items[0].tokens[1]).toBe(' Mary');
    expect(task.hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('reads foils from a set without the answer, and the answers of the other rows', async () => {
    const header = { dataset: { sets: { names } } };
    const answer = (token: string, foils: unknown) => ({ clean, answers: [{ token, foils }] });
    const sets = await load([header, answer(' Mary', '@names'), answer(' Anna', '@names')]);
    expect(sets.items.map(({ answers }) => answers[0].foils)).toEqual([
      [' John', ' Peter', ' Anna'].map(idOf),
      [' Mary', ' John', ' Peter'].map(idOf),
    ]);
    const others = await load([answer(' Mary', '@others'), answer(' Anna', '@others'), answer(' Mary', '@others')]);
    expect(others.items.map(({ answers }) => answers[0].foils)).toEqual(
      [' Anna', ' Mary', ' Anna'].map((t) => [idOf(t)]),
    );
    expect(await failure([answer(' Mary', '@others')])).toContain('All rows have the same answer');
  });

  it('finds roles by their token', async () => {
    const { items, said } = await load([
      row({ roles: { IO: ' Mary', S2: { token: ' John', nth: 2 }, S: [{ token: ' John', nth: 1 }, 9] } }),
      row({ roles: { S: ' John' } }),
      row({ roles: { S: ' Peter' } }),
      row({ roles: { S: { token: ' John', nth: 3 } } }),
    ]);
    expect(items.map(({ roles }) => roles)).toEqual([{ IO: [1], S2: [9], S: [3, 9] }]);
    expect(said).toEqual([
      '1 role-mismatch " John"',
      '2 role-mismatch " Peter"',
      '3 role-mismatch {"token":" John","nth":3}',
    ]);
  });

  it('refuses rows whose tokens are not those of their roles, as for another tokenizer', async () => {
    const header = { dataset: { sets: { names }, roles: { IO: '@names' } } };
    const { items, refused, problems, said } = await load([
      header,
      row({ roles: { IO: 1 } }),
      row({ roles: { IO: 2 } }),
    ]);
    expect([items.length, refused, said]).toEqual([1, 1, ['2 role-mismatch 2']]);
    expect(problems[0].message).toContain('IO is to be one of @names, but token 3 is ␣and: When | ␣Mary | ␣and');
  });

  it('refuses each bad row at the word and runs the others', async () => {
    const { items, refused, said } = await load([
      { dataset: { sets: { names } } },
      row({ id: 'good' }),
      '{"clean": "a",}',
      row({ roles: { S: 40 } }),
      row({ corrupted: 'too short' }),
      { clean, answers: [{ token: ' Kazakhstan', foils: [' John'] }] },
      { clean, answers: [{ token: ' Mary', foils: [' John', ' Mary'] }] },
      { clean, answers: [{ token: ' Mary', foils: '@nmaes' }] },
      { clean },
      { clean, answers: [{ name: 'other', token: ' Mary' }] },
      { dataset: {} },
      row({ id: 'good' }),
      row({ id: 'last' }),
    ]);
    expect(items.map(({ id }) => id)).toEqual(['good', 'last']);
    expect(refused).toBe(10);
    expect(said).toEqual([
      '2 not-json }',
      '3 position-outside 40',
      '4 unlike-length "too short"',
      '5 token-splits " Kazakhstan"',
      '6 answer-is-foil " Mary"',
      '7 unknown-set "@nmaes"',
      `8 no-answer ${JSON.stringify({ clean })}`,
      `9 unlike-answers ${JSON.stringify([{ name: 'other', token: ' Mary' }])}`,
      '10 header-not-first {"dataset":{}}',
      '11 duplicate-id "good"',
    ]);
  });

  it('puts answers in the order of the first row', async () => {
    const [a, b] = [
      { name: 'a', token: ' Mary' },
      { name: 'b', token: ' John' },
    ];
    const task = await load([
      { clean, answers: [a, b] },
      { clean, answers: [b, a] },
    ]);
    expect(task.answerNames).toEqual(['a', 'b']);
    expect(task.items[1].answers.map(({ name }) => name)).toEqual(['a', 'b']);
  });

  it('says when no row is left', async () => {
    expect(await failure([])).toMatch(/^bad-input ioi.jsonl has no row that can be run. It is empty/);
    expect(await failure(['{"clean": 1}', '{}'])).toMatch(
      /All 2 rows are refused; the first reason: 1:11: The clean prompt/,
    );
    expect(await failure([row()], { rows: 0 })).toContain('At least 1 row');
  });

  it('reports a set that this tokenizer splits once, at the header, and refuses the rows that use it', async () => {
    const header = { dataset: { sets: { names: [' Mary', ' Kazakhstan'] } } };
    const set = row({ answers: [{ token: ' Mary', foils: '@names' }] });
    const { items, said } = await load([header, set, set, row()]);
    expect(items).toHaveLength(1);
    expect(said).toEqual(['0 token-splits " Kazakhstan"', '1 unknown-set "@names"', '2 unknown-set "@names"']);
  });

  it('makes the corruptions that are asked for, by answer, and warns of those that only some rows have', async () => {
    const two = [
      { name: 'L1', pos: 1, token: ' Mary' },
      { name: 'L2', pos: 2, token: ' John' },
    ];
    const corruptions = { 'cur:L1': { copy: { S: 'IO' } }, 'cur:L2': { copy: { IO: 'S' } }, prev: { permute: [] } };
    const shape = { clean, answers: two, roles: { IO: 1, S: 3 } };
    const rows = [{ dataset: { corruptions } }, shape, { ...shape, corrupt: { mine: { copy: { IO: 'S' } } } }];
    expect((await load(rows, { corruptions: ['cur:{answer}'] })).corruptions).toEqual(['cur:L1', 'cur:L2']);
    const all = await load(rows);
    expect(all.corruptions).toEqual(['cur:L1', 'cur:L2', 'prev']);
    expect(all.problems).toMatchObject([{ severity: 'warning', code: 'no-corruption', line: 1 }]);
    const mine = await load(rows, { corruptions: ['mine'] });
    expect([mine.items.length, mine.refused, mine.said[0].slice(0, 15)]).toEqual([1, 1, '1 no-corruption']);
    expect(await failure(rows, { corruptions: ['curr:{answer}'] })).toContain('Did you mean "cur:L1"?');
  });

  it('reads no further than the rows that are wanted, of 100,000', async () => {
    let read = 0;
    function* lines() {
      for (let i = 0; i < 100_000; i++) {
        read++;
        yield `${JSON.stringify(row(i % 3 === 0 ? { roles: { S: 99 } } : {}))}\n`;
      }
    }
    const task = await loadTaskSet({ name: 'big', lines: lines() }, tokenizer, 100, { rows: 40 });
    expect([task.items.length, task.refused, read]).toEqual([40, 20, 60]);
  });

  it('keeps a hundred problems of any number', async () => {
    const { problems, refused } = await load([row(), ...Array(3000).fill('{"clean":1}')]);
    expect([problems.length, refused, problems[100].message]).toEqual([
      101,
      3000,
      '2900 more problems are not listed.',
    ]);
  });
});
