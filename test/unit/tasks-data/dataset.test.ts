import { describe, expect, it } from 'vitest';
import { datasetLine, parseDataset, parseDatasetLine, readDataset } from '../../../src/core/tasks/dataset.ts';
import { headerLine } from '../../../src/core/tasks/datasetHeader.ts';
import { firstJsonError, locateAllJson, locateJson } from '../../../src/core/tasks/datasetJson.ts';
import { type DatasetEntry, type DatasetRow, describeDatasetProblem } from '../../../src/shared/dataset.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';

const full: DatasetRow = {
  id: 'ioi-1',
  clean: 'When Mary and John went to the shop, John gave a drink to',
  corrupted: 'When Mary and John went to the shop, Mary gave a drink to',
  roles: { IO: [1], S: [3, 9], END: [-1] },
  answers: [{ name: 'answer', pos: -1, token: ' Mary', foils: [' John', 17] }],
  tags: ['ABBA'],
};

/** The problems of a text as `line:column code "underlined"`, 0-based. */
function underlined(source: string): string[] {
  const lines = source.split('\n');
  return parseDataset(source).problems.map(
    ({ line, column, length, code }) =>
      `${line}:${column} ${code} ${(lines[line] ?? '').slice(column, column + length)}`,
  );
}

async function collect(chunks: Iterable<string> | AsyncIterable<string>): Promise<DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  for await (const entry of readDataset(chunks)) entries.push(entry);
  return entries;
}

describe('the header', () => {
  const header = {
    name: 'acronyms',
    model: 'smollm2-135m',
    seed: 3,
    sets: { caps: ['A', 'B', 7] },
    roles: { A1: '@caps' as const },
    corruptions: {
      x: [{ permute: ['<C3', 'A1'], collisions: 'exclude' as const }],
      y: [{ replace: ['A1'], from: '@caps' as const, distinct: true }, { copy: { S2: 'IO' } }],
    },
    made: { by: 'acronyms', rows: 3 },
  };

  it('is read with short forms, and written back equal', async () => {
    const [entry, row] = await collect([
      headerLine(header),
      datasetLine({ ...full, corrupt: { z: [{ text: 'a b' }] } }),
    ]);
    expect(entry).toMatchObject({ row: null, problems: [], header: { line: 0, ...header } });
    expect(row.header).toBe(entry.header);
    expect(row.row?.corrupt).toEqual({ z: [{ text: 'a b' }] });
    const short = parseDatasetLine('{"dataset":{"corruptions":{"p":{"permute":"C3"},"c":{"copy":{"S2":"IO"}}}}}', 0);
    expect(short.header?.corruptions).toEqual({ p: [{ permute: ['C3'] }], c: [{ copy: { S2: 'IO' } }] });
  });

  it('has its mistakes underlined', () => {
    const wrong = (dataset: string) => underlined(`{"dataset":${dataset}}`);
    expect(wrong('7')).toEqual(['0:11 wrong-type 7']);
    expect(wrong('{"seed":-1}')).toEqual(['0:19 wrong-type -1']);
    expect(wrong('{"seeds":1}')).toEqual(['0:20 unknown-key 1']);
    expect(wrong('{"sets":{"caps":["A",""]}}')).toEqual(['0:32 wrong-type ""']);
    expect(wrong('{"sets":{"others":[]}}')).toEqual(['0:29 duplicate-name []']);
    expect(wrong('{"roles":{"A":"caps"}}')).toEqual(['0:20 wrong-type {"A":"caps"}']);
    expect(wrong('{"corruptions":{"x":{"permute":["A",3]}}}')).toEqual(['0:47 wrong-type 3']);
    expect(wrong('{"corruptions":{"x":{"permute":"A","collisions":"no"}}}')).toEqual(['0:59 wrong-type "no"']);
    expect(wrong('{"corruptions":{"x":{"replace":"A"}}}')).toEqual(['0:42 wrong-type "A"']);
    expect(wrong('{"corruptions":{"x":{"copy":{"A":1}}}}')).toEqual(['0:39 wrong-type {"A":1}']);
    expect(wrong('{"corruptions":{"x":{"permut":"A"}}}')).toEqual([
      '0:41 unknown-key "A"',
      '0:31 wrong-type {"permut":"A"}',
    ]);
    expect(wrong('{"sets":{},}')).toEqual(['0:22 not-json }']);
  });
});

describe('parseDataset', () => {
  it('reads a whole row and writes it back equal', () => {
    const { rows, problems } = parseDataset(datasetLine(full));
    expect(problems).toEqual([]);
    expect(rows).toEqual([full]);
    expect(datasetLine(rows[0])).toBe(datasetLine(full));
  });

  it('fills in what a row leaves out', () => {
    const { rows, problems } = parseDataset(
      '\uFEFF{"clean":"a b"}\r\n\n{"clean":"c","answers":[{"token":" x"},{"token":5}]}\n',
    );
    expect(problems).toEqual([]);
    expect(rows).toEqual([
      { id: '1', clean: 'a b', roles: {}, answers: [], tags: [] },
      {
        id: '3',
        clean: 'c',
        roles: {},
        answers: [
          { name: 'answer 1', pos: -1, token: ' x', foils: [] },
          { name: 'answer 2', pos: -1, token: 5, foils: [] },
        ],
        tags: [],
      },
    ]);
  });

  it('takes numbers as ids, and no corrupted prompt for null', () => {
    const { rows } = parseDataset('{"id":17,"clean":"a","corrupted":null}');
    expect(rows).toEqual([{ id: '17', clean: 'a', roles: {}, answers: [], tags: [] }]);
  });

  it('underlines the value that is wrong', () => {
    expect(underlined('{"clean": 7}')).toEqual(['0:10 wrong-type 7']);
    expect(underlined('{"clean": "a", "answers": [{"token": ["x"]}]}')).toEqual(['0:37 wrong-type ["x"]']);
    expect(underlined('{"clean": "a", "answers": [{"token": "x", "foils": [" y", ""]}]}')).toEqual([
      '0:58 wrong-type ""',
    ]);
    expect(underlined('{"clean": "a", "answers": [{"token": "x", "pos": "last"}]}')).toEqual([
      '0:49 wrong-type "last"',
    ]);
    expect(underlined('{"clean": "a", "roles": {"S": [1, 2.5]}}')).toEqual(['0:34 wrong-type 2.5']);
    expect(underlined('{"clean": "a", "roles": {"S": []}}')).toEqual(['0:30 wrong-type []']);
    expect(underlined('{"clean": "a", "tags": "t"}')).toEqual(['0:23 wrong-type "t"']);
    expect(underlined('{"clean": ""}')).toEqual(['0:10 prompt-empty ""']);
    expect(underlined('["clean"]')).toEqual(['0:0 wrong-type ["clean"]']);
    expect(underlined('{"clean":"a"}\n{"id": 2}')).toEqual(['1:0 missing-key {"id": 2}']);
    expect(underlined('{"clean":"a","answers":[{"token":-1}]}')).toEqual(['0:33 wrong-type -1']);
  });

  it('points into lines with the same words, escapes and other scripts before', () => {
    const line = '{"id":"clean","tags":["\\"clean\\"","🇫🇷 é"],"clean":"a","corrupted":12}';
    expect(underlined(line)).toEqual([`0:${line.indexOf('12')} wrong-type 12`]);
  });

  it('warns of keys that nothing reads and keeps the row', () => {
    const { rows, problems } = parseDataset('{"clean":"a","corupted":"b","answers":[{"token":"x","foil":["y"]}]}');
    expect(rows).toHaveLength(1);
    expect(problems.map(({ severity, message }) => [severity, message.replace(/.*\. /, '')])).toEqual([
      ['warning', 'Did you mean corrupted?'],
      ['warning', 'Did you mean foils?'],
    ]);
  });

  it('finds where a line stops being JSON', () => {
    expect(underlined('{"clean": "a",}')).toEqual(['0:14 not-json }']);
    expect(underlined("{'clean': 'a'}")).toEqual(["0:1 not-json '"]);
    expect(underlined('{"clean": "a"} x')).toEqual(['0:15 not-json x']);
    expect(underlined('{"clean": "a')).toEqual(['0:10 not-json "']);
    expect(underlined('{"clean": [1, 2')[0]).toMatch(/^0:14 not-json/);
    expect(parseDataset('{"clean":').problems[0]?.message).toContain('ends in the middle of a row');
    expect(underlined(`${'['.repeat(50_000)}`)[0]).toMatch(/not-json/);
  });

  it('refuses the second of two equal ids, and two answers of one name', () => {
    expect(underlined('{"id":"x","clean":"a"}\n\n{"id":"x","clean":"b"}')).toEqual(['2:6 duplicate-id "x"']);
    expect(parseDataset('{"id":"x","clean":"a"}\n{"id":"x","clean":"b"}').problems[0]?.message).toContain('line 1');
    const twice = '{"clean":"a","answers":[{"name":"n","token":"x"},{"name":"n","token":"y"}]}';
    expect(underlined(twice)).toEqual(['0:57 duplicate-name "n"']);
  });

  it('lists a hundred problems and counts the rest', () => {
    const { problems } = parseDataset('{"clean":1}\n'.repeat(250));
    expect(problems).toHaveLength(101);
    expect(problems[100]).toMatchObject({ code: 'more-problems', message: '150 more problems are not listed.' });
  });

  it('writes a problem as a compiler does', () => {
    expect(describeDatasetProblem(parseDataset('\n{"clean": 7}').problems[0])).toMatch(/^2:11: The clean prompt/);
  });

  it('never throws, and always says why a row is missing', () => {
    const random = seededRandom(12);
    const base = datasetLine(full).trimEnd();
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ',',
      ':',
      'null',
      '1e999',
      '\u0000',
      '\ud800',
      '-',
      'true',
      '{}',
      '[]',
      '',
    ];
    for (let i = 0; i < 3000; i++) {
      const at = random.below(base.length);
      const text = base.slice(0, at) + pieces[random.below(pieces.length)] + base.slice(at + random.below(30));
      const { row, problems } = parseDatasetLine(text, 3);
      if (row === null) expect(problems.some(({ severity }) => severity === 'error')).toBe(true);
      else expect(parseDatasetLine(datasetLine(row).trimEnd(), 3).row).toEqual(row);
      for (const { line, column, length } of problems) {
        expect(line).toBe(3);
        expect(column).toBeGreaterThanOrEqual(0);
        expect(length).toBeGreaterThanOrEqual(1);
        expect(column + length).toBeLessThanOrEqual(Math.max(1, text.length));
      }
    }
  });
});

describe('JSON places', () => {
  it('agree with JSON.parse on what is JSON', () => {
    const random = seededRandom(2);
    const alphabet = '{}[]",:\\u01 -.eE+tnaful\n\t';
    let good = 0;
    for (let i = 0; i < 20_000; i++) {
      const length = 1 + random.below(7);
      const text = Array.from({ length }, () => alphabet[random.below(alphabet.length)]).join('');
      let parses = true;
      try {
        JSON.parse(text);
        good++;
      } catch {
        parses = false;
      }
      expect([text, firstJsonError(text) === null]).toEqual([text, parses]);
    }
    expect(good).toBeGreaterThan(50);
  });

  it('are those of the value, or of what is around it', () => {
    const text = '{"a": [1, {"b" : "x"}], "c": null}';
    const at = (path: (string | number)[]) => {
      const range = locateJson(text, path);
      return range && text.slice(range.start, range.end);
    };
    expect(at(['a', 1, 'b'])).toBe('"x"');
    expect(at(['a', 1, 'missing'])).toBe('{"b" : "x"}');
    expect(at(['c'])).toBe('null');
    expect(at([])).toBe(text);
    expect(locateAllJson(text, [['c'], ['a', 0]])).toEqual([locateJson(text, ['c']), locateJson(text, ['a', 0])]);
    expect(locateJson('nonsense', ['a'])).toBeNull();
  });
});

describe('readDataset', () => {
  const source = `\uFEFF${datasetLine(full)}\r\n{"id":"b","clean":"ünï 🇫🇷"}\r\n{"clean":\n\n{"id":"c","clean":"last"}`;

  it('gives the same rows wherever the text is cut', async () => {
    const whole = await collect([source]);
    expect(whole.map(({ line, row }) => [line, row?.id ?? null])).toEqual([
      [0, 'ioi-1'],
      [2, 'b'],
      [3, null],
      [5, 'c'],
    ]);
    for (const size of [1, 2, 3, 7, 64]) {
      const chunks = Array.from({ length: Math.ceil(source.length / size) }, (_, i) =>
        source.slice(i * size, (i + 1) * size),
      );
      expect(await collect(chunks)).toEqual(whole);
    }
    expect(whole.flatMap(({ row }) => row ?? [])).toEqual(parseDataset(source).rows);
    expect(whole.flatMap(({ problems }) => problems)).toEqual(parseDataset(source).problems);
  });

  it('reads 10,000 rows one at a time, only as fast as they are taken', async () => {
    let given = 0;
    async function* rows() {
      for (; given < 10_000; given++) yield datasetLine({ ...full, id: `r${given}` });
    }
    let taken = 0;
    for await (const { row } of readDataset(rows())) {
      expect(row?.id).toBe(`r${taken}`);
      taken++;
      expect(given - taken).toBeLessThanOrEqual(1);
    }
    expect(taken).toBe(10_000);
  });

  it('passes over a line of megabytes and goes on', async () => {
    const chunk = 'x'.repeat(1024 * 1024);
    const entries = await collect(['{"clean":"a"}\n"', chunk, chunk, chunk, chunk, chunk, '"\n{"clean":"b"}\n']);
    expect(entries.map(({ line, row, problems }) => row?.clean ?? `${line} ${problems[0]?.code}`)).toEqual([
      'a',
      '1 line-too-long',
      'b',
    ]);
  });

  it('stops when it is cancelled, and passes on what the stream throws', async () => {
    const controller = new AbortController();
    const entries = readDataset([datasetLine(full), datasetLine({ ...full, id: '2' })], { signal: controller.signal });
    await entries.next();
    controller.abort();
    await expect(entries.next()).rejects.toMatchObject({ code: 'cancelled' });
    async function* broken() {
      yield '{"clean":"a"}\n';
      throw new Error('disk gone');
    }
    await expect(collect(broken())).rejects.toThrow('disk gone');
  });
});
