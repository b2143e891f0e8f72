import { describe, expect, it } from 'vitest';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import { sourceRows } from '../../../src/core/tasks/sourceRows.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { wordTokenizer } from '../../support/wordTokenizer.ts';

const tokenizer = wordTokenizer(100);
const same = (values: readonly number[]) => (a: number, b: number) => values[a] === values[b];

/** Rows of seven tokens: a constant, two "words" of two tokens, two "letters"; values from few, so that many collide. */
function lines(n: number, header: object, seed = 3, row: (i: number) => object = () => ({})): string[] {
  const random = seededRandom(seed);
  const rows = Array.from({ length: n }, (_, i) => {
    const draw = (from: number, count: number) => from + random.below(count);
    const [c1, t1, c2, t2] = [draw(10, 4), draw(20, 3), draw(10, 4), draw(20, 3)];
    const ids = [1, c1, t1, c2, t2, draw(40, 5), draw(40, 5)];
    const roles = { C1: 1, T1: 2, C2: 3, T2: 4, A: [5, 6] };
    const answers = [{ pos: 6, token: 90, foils: [91] }];
    return JSON.stringify({ id: i, clean: ids.map((id) => ` t${id}`).join(''), roles, answers, ...row(i) });
  });
  return [JSON.stringify({ dataset: header }), ...rows].map((line) => `${line}\n`);
}

async function load(text: Iterable<string>, options: Parameters<typeof loadTaskSet>[3] = {}): Promise<TaskSet> {
  return await loadTaskSet({ name: 'test.jsonl', lines: text }, tokenizer, 100, options);
}

const at = (ids: readonly number[], ...positions: number[]) => positions.map((p) => ids[p]).join(' ');

/** Rows whose tokens at `positions` equal those of the item's corrupted run. */
const sources = (items: readonly TaskItem[], item: TaskItem, name: string, ...positions: number[]) =>
  items.filter(({ ids }) => at(ids, ...positions) === at(item.corrupted[name], ...positions));

describe('sourceRows', () => {
  it('is a permutation with the fewest rows that keep their value: max(0, 2m − n)', () => {
    const random = seededRandom(1);
    for (let trial = 0; trial < 400; trial++) {
      const n = 1 + random.below(12);
      const values = Array.from({ length: n }, () => random.below(1 + random.below(6)));
      const source = sourceRows(values, same(values), random);
      expect(source.toSorted((a, b) => a - b)).toEqual(values.map((_, i) => i));
      const most = Math.max(...values.map((value) => values.filter((other) => other === value).length));
      const kept = source.filter((from, i) => values[from] === values[i]).length;
      expect(kept).toBe(Math.max(0, 2 * most - n));
    }
  });

  it('draws each derangement of four rows about as often', () => {
    const random = seededRandom(7);
    const counts = new Map<string, number>();
    const values = [0, 1, 2, 3];
    for (let i = 0; i < 9000; i++) {
      const key = sourceRows(values, same(values), random).join('');
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(9);
    for (const count of counts.values()) expect(Math.abs(count / 9000 - 1 / 9)).toBeLessThan(0.01);
  });

  it('is quick when nearly all of 100,000 rows have one value', () => {
    const values = Array.from({ length: 100_000 }, (_, i) => (i % 10 === 0 ? i : 0));
    const source = sourceRows(values, same(values), seededRandom(2));
    expect(source.filter((from, i) => values[from] === values[i]).length).toBe(80_002);
  });
});

describe('permute', () => {
  const cur = { 'cur:2': { permute: ['C2', 'T2'] } };

  it('gives the roles of each row the tokens of one other row, and changes nothing else', async () => {
    const { items, corruptions, problems } = await load(lines(60, { corruptions: cur }));
    expect(corruptions).toEqual(['cur:2']);
    expect(problems).toEqual([]);
    for (const item of items) {
      const changed = item.corrupted['cur:2'];
      expect(at(changed, 0, 1, 2, 5, 6)).toBe(at(item.ids, 0, 1, 2, 5, 6));
      expect(at(changed, 3, 4)).not.toBe(at(item.ids, 3, 4));
      expect(sources(items, item, 'cur:2', 3, 4).length).toBeGreaterThan(0);
    }
    const pairs = (list: readonly (readonly number[])[]) => list.map((ids) => at(ids, 3, 4)).toSorted();
    expect(pairs(items.map(({ corrupted }) => corrupted['cur:2']))).toEqual(pairs(items.map(({ ids }) => ids)));
  });

  it('leaves letters that collide unless they are excluded', async () => {
    const kept = (task: TaskSet) => task.items.filter(({ ids, corrupted }) => corrupted['cur:2'][3] === ids[3]).length;
    expect(kept(await load(lines(60, { corruptions: cur })))).toBeGreaterThan(5);
    const exclude = { 'cur:2': { permute: ['C2', 'T2'], collisions: 'exclude' } };
    const task = await load(lines(60, { corruptions: exclude }));
    expect([task.items.length, kept(task), task.refused]).toEqual([60, 0, 0]);
    for (const { ids, corrupted } of task.items) expect(corrupted['cur:2'][4]).not.toBe(ids[4]);
  });

  it('refuses the rows that no other differs from, at each', async () => {
    const exclude = { x: { permute: ['C1'], collisions: 'exclude' } };
    const text = lines(10, { corruptions: exclude }, 3, (i) => ({ clean: ` t1 t${i < 7 ? 10 : 11} t2 t3 t4 t5 t6` }));
    const { items, refused, problems } = await load(text);
    expect([items.length, refused]).toEqual([6, 4]);
    expect(problems.map(({ code, severity }) => `${severity} ${code}`)).toEqual(Array(4).fill('error not-corrupted'));
    const avoid = await load(text.with(0, '{"dataset":{"corruptions":{"x":{"permute":"C1"}}}}\n'));
    expect([avoid.items.length, avoid.problems[0]?.message]).toEqual([
      10,
      'The corruption "x" changes nothing in 4 of 10 rows; this is the first.',
    ]);
  });

  it('may leave a row as it is when collisions are allowed: one row in expectation', async () => {
    const allow = { x: { permute: '*', collisions: 'allow' } };
    const text = lines(40, { corruptions: allow }, 3, (i) => ({ clean: ` t1 t${i + 10} t2 t3 t4 t5 t6` }));
    let fixed = 0;
    for (let seed = 0; seed < 100; seed++) {
      const { items } = await load(text, { seed });
      fixed += items.filter(({ ids, corrupted }) => corrupted.x.join() === ids.join()).length;
    }
    expect(fixed / 100).toBeGreaterThan(0.7);
    expect(fixed / 100).toBeLessThan(1.3);
  });

  it('takes all before a role, and all of a row', async () => {
    const { items } = await load(lines(30, { corruptions: { prev: { permute: '<C2' }, all: { permute: '*' } } }));
    for (const item of items) {
      expect(at(item.corrupted.prev, 3, 4, 5, 6)).toBe(at(item.ids, 3, 4, 5, 6));
      expect(sources(items, item, 'prev', 0, 1, 2).length).toBeGreaterThan(0);
      expect(sources(items, item, 'all', 0, 1, 2, 3, 4, 5, 6).map(({ id }) => id)).not.toContain(item.id);
    }
  });

  it('permutes two groups independently: π1 for words, π2 for letters', async () => {
    const both = [{ permute: ['C1', 'T1', 'C2', 'T2'] }, { permute: ['A'] }];
    const text = lines(50, { corruptions: { both } }, 3, (i) => {
      const digits = [i, i, i, i, i, i].map((x) => ` t${30 + x}`).join('');
      return { clean: ` t1${digits}` };
    });
    const { items } = await load(text);
    let together = 0;
    for (const { ids, corrupted } of items) {
      const [, word, , , same1, letter, same2] = corrupted.both;
      expect([same1, same2]).toEqual([word, letter]);
      expect([word, letter]).not.toContain(ids[1]);
      if (word === letter) together++;
    }
    expect(together).toBeLessThan(8);
  });

  it('exchanges tokens only between rows whose roles stand alike', async () => {
    const text = lines(20, { corruptions: { x: { permute: '<C2' } } }, 3, (i) =>
      i % 2 === 0 ? {} : { clean: ` t${50 + i} t1 t2 t3`, roles: { C2: 1 }, answers: [{ token: 9, foils: [8] }] },
    );
    const { items } = await load(text);
    for (const { ids, corrupted } of items) {
      expect(corrupted.x).toHaveLength(ids.length);
      if (ids.length === 4) expect(corrupted.x[0]).toBeGreaterThan(50);
      else expect(corrupted.x[0]).toBe(1);
    }
  });

  it('depends on seed, name and rows only', async () => {
    const one = await load(lines(40, { seed: 5, corruptions: cur }));
    const more = await load(lines(40, { seed: 5, corruptions: { other: { permute: 'C1' }, ...cur } }));
    const named = await load(lines(40, { seed: 5, corruptions: { other: { permute: 'C1' }, ...cur } }), {
      corruptions: ['cur:2'],
    });
    const other = await load(lines(40, { seed: 5, corruptions: cur }), { seed: 6 });
    const ids = (task: TaskSet) => task.items.map(({ corrupted }) => corrupted['cur:2']);
    expect(ids(more)).toEqual(ids(one));
    expect(ids(other)).not.toEqual(ids(one));
    expect([one.seed, other.seed]).toEqual([5, 6]);
    expect([named.corruptions, named.hash]).toEqual([['cur:2'], one.hash]);
    expect(more.hash).not.toBe(one.hash);
    expect(other.hash).not.toBe(one.hash);
  });
});

describe('replace, copy and given texts', () => {
  it('replaces by members of a set other than the clean one, evenly', async () => {
    const header = { sets: { four: [10, 11, 12, 13] }, corruptions: { x: { replace: ['C1'], from: '@four' } } };
    const counts = new Map<string, number>();
    for (const { ids, corrupted } of (await load(lines(600, header))).items) {
      expect(corrupted.x[1]).not.toBe(ids[1]);
      expect(at(corrupted.x, 0, 2, 3, 4, 5, 6)).toBe(at(ids, 0, 2, 3, 4, 5, 6));
      const key = `${ids[1]}→${corrupted.x[1]}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    expect(counts.size).toBe(12);
    for (const count of counts.values()) expect(count).toBeGreaterThan(25);
  });

  it('draws distinct tokens, one for a role that stands at several places', async () => {
    const step = { replace: ['C1', 'C2', 'A'], from: [10, 11, 12, 13, 14, 40, 41], distinct: true };
    for (const { ids, corrupted } of (await load(lines(50, { corruptions: { x: step } }))).items) {
      const [c1, c2, a, b] = [1, 3, 5, 6].map((p) => corrupted.x[p]);
      expect(a).toBe(b);
      expect(new Set([c1, c2, a]).size).toBe(3);
      for (const token of [c1, c2, a]) expect([1, 3, 5, 6].map((p) => ids[p])).not.toContain(token);
    }
  });

  it('refuses a row for which the set has nothing left', async () => {
    const text = lines(4, { corruptions: { x: { replace: 'C1', from: [10] } } }, 3, (i) => ({
      clean: ` t1 t${10 + (i % 2)} t2 t3 t4 t5 t6`,
    }));
    const { items, refused, problems } = await load(text);
    expect([items.length, refused, problems[0]?.code]).toEqual([2, 2, 'not-corrupted']);
  });

  it('copies roles at once, so that two can change places', async () => {
    for (const { ids, corrupted } of (await load(lines(9, { corruptions: { x: { copy: { C1: 'C2', C2: 'C1' } } } })))
      .items) {
      expect(corrupted.x).toEqual([ids[0], ids[3], ids[2], ids[1], ...ids.slice(4)]);
    }
    const { problems } = await load(
      lines(3, { corruptions: { x: { copy: { C1: 'C2' } } } }, 3, (i) =>
        i === 0 ? { corrupt: { x: { copy: { C1: 'A' } } } } : {},
      ),
    );
    expect(problems[0]).toMatchObject({ code: 'unlike-length', line: 1 });
  });

  it('takes given texts and a row’s own corruption before the header’s', async () => {
    const text = lines(3, { corruptions: { x: { permute: [] } } }, 3, (i) => ({
      corrupted: ' t1 t2 t3 t4 t5 t6 t7',
      ...(i === 1 && { corrupt: { x: ' t7 t6 t5 t4 t3 t2 t1' } }),
    }));
    const { items, corruptions, problems } = await load(text);
    expect(corruptions.toSorted()).toEqual(['corrupted', 'x']);
    expect(problems).toEqual([]);
    expect(items[0].corrupted.corrupted).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(items[0].corrupted.x).toEqual(items[0].ids);
    expect(items[1].corrupted.x).toEqual([7, 6, 5, 4, 3, 2, 1]);
  });

  it('refuses a given text of another length, and roles that are not there, at the word', async () => {
    const text = lines(4, { corruptions: { x: { replace: 'C1', from: [98, 99] } } }, 3, (i) =>
      i === 1 ? { corrupt: { x: ' t1' } } : i === 2 ? { corrupt: { x: { copy: { C3: 'C1' } } } } : {},
    );
    const { items, problems } = await load(text);
    expect(items.map(({ id }) => id)).toEqual(['0', '3']);
    expect(problems.map(({ code, line }) => [code, line])).toEqual([
      ['unlike-length', 2],
      ['unknown-role', 3],
    ]);
    expect(text[2].slice(problems[0].column, problems[0].column + problems[0].length)).toBe('" t1"');
    expect(problems[1].message).toContain('Did you mean');
  });
});
