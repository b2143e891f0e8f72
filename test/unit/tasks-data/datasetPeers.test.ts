import { beforeAll, describe, expect, it } from 'vitest';
import { huggingFaceTokenizer } from '../../../src/core/models/huggingFaceTokenizer.ts';
import type { Tokenizer } from '../../../src/core/models/tokenizer.ts';
import type { Dataset } from '../../../src/core/tasks/dataset.ts';
import { exportAutoCircuit, importAutoCircuit } from '../../../src/core/tasks/datasetAutoCircuit.ts';
import { parseCsv } from '../../../src/core/tasks/datasetCsv.ts';
import { exportEapIg, importEapIg } from '../../../src/core/tasks/datasetEapIg.ts';
import type { DatasetRow } from '../../../src/shared/dataset.ts';

const clean = 'When Mary and John went to the shop, John gave a drink to';
const corrupted = 'When Mary and John went to the shop, Mary gave a drink to';
const row: DatasetRow = {
  id: '1',
  clean,
  corrupted,
  roles: {},
  answers: [{ name: 'answer', pos: -1, token: ' Mary', foils: [' John'] }],
  tags: [],
};
let tokenizer: Tokenizer;

beforeAll(async () => {
  tokenizer = await huggingFaceTokenizer('models/small-world');
});

function underlined(source: string, { problems }: Dataset): string[] {
  const lines = source.split('\n');
  return problems.map(
    (p) => `${p.line}:${p.column} ${p.code} ${(lines[p.line] ?? '').slice(p.column, p.column + p.length)}`,
  );
}

describe('AutoCircuit', () => {
  const task = {
    seq_labels: ['BOS', 'name'],
    word_idxs: { IO: 1, END: 13 },
    prompts: [
      { clean, corrupt: corrupted, answers: [' Mary'], wrong_answers: [' John'] },
      { clean: 'The day was', corrupt: 'The year was', answers: ['17', '18'], wrong_answers: ['01', '02', '03'] },
    ],
  };

  it('is read: all answers at the last position, with all wrong answers as foils', () => {
    const { rows, problems } = importAutoCircuit(JSON.stringify(task));
    expect(problems).toMatchObject([{ code: 'not-imported', severity: 'warning' }]);
    const roles = { IO: [1], END: [13] };
    const foils = ['01', '02', '03'];
    expect(rows).toEqual([
      { ...row, roles },
      {
        id: '2',
        clean: 'The day was',
        corrupted: 'The year was',
        roles,
        answers: [
          { name: 'answer 1', pos: -1, token: '17', foils },
          { name: 'answer 2', pos: -1, token: '18', foils },
        ],
        tags: [],
      },
    ]);
    expect(importAutoCircuit(JSON.stringify(task), 1).rows[0]?.roles).toEqual({ IO: [2], END: [14] });
  });

  it('is written, and read back equal', () => {
    const { rows } = importAutoCircuit(JSON.stringify(task));
    const text = exportAutoCircuit(rows, tokenizer);
    const { seq_labels: _, ...kept } = task;
    expect(JSON.parse(text)).toEqual(kept);
    expect(importAutoCircuit(text)).toEqual({ rows, problems: [] });
    const [id] = tokenizer.encodePiece(' Mary');
    const byId = { ...row, answers: [{ ...row.answers[0], token: id }] };
    expect(JSON.parse(exportAutoCircuit([byId], tokenizer)).prompts[0].answers).toEqual([' Mary']);
  });

  it('has its mistakes underlined on their line', () => {
    const source = `{
  "prompts": [
    {"clean": "a", "corrupt": "b", "answers": [" x"], "wrong_answers": [""]},
    {"clean": 5, "corrupt": "b", "answers": [" x"]},
    {"clean": "a", "corrupt": 6, "answers": [null]},
    {"clean": [1, 2], "corrupt": [1, 3]},
    "no",
    {"clean": "kept", "corrupt": "b", "answers": " x", "wrong_answers": [" y"]}
  ]
}`;
    const found = importAutoCircuit(source);
    expect(found.rows.map((r) => [r.id, r.clean])).toEqual([['6', 'kept']]);
    expect(underlined(source, found)).toEqual([
      '2:72 wrong-type ""',
      '3:14 wrong-type 5',
      '4:30 wrong-type 6',
      '4:45 wrong-type null',
      '5:14 not-imported [1, 2]',
      '6:4 wrong-type "no"',
    ]);
  });

  it('that is no task file says so, at the place', () => {
    expect(underlined('{\n "prompts": [,]\n}', importAutoCircuit('{\n "prompts": [,]\n}'))).toEqual([
      '1:13 not-json ,',
    ]);
    expect(importAutoCircuit('[]').problems).toMatchObject([{ code: 'missing-key', line: 0, column: 0 }]);
    expect(importAutoCircuit('').problems).toMatchObject([{ code: 'not-json' }]);
    expect(importAutoCircuit('{"prompts": 3}').problems).toMatchObject([{ column: 12, length: 1 }]);
  });

  it('has many problems listed in one walk', () => {
    const many = JSON.stringify({ prompts: Array.from({ length: 20_000 }, () => ({ clean: 1, corrupt: 'b' })) });
    const start = performance.now();
    expect(importAutoCircuit(many).problems).toHaveLength(101);
    expect(performance.now() - start).toBeLessThan(15_000);
  });

  it('refuses rows it has no place for, by name', () => {
    const [answer] = row.answers;
    const write = (other: Partial<DatasetRow>) => () => exportAutoCircuit([{ ...row, id: 'r7', ...other }], tokenizer);
    expect(write({ corrupted: undefined })).toThrow(/Row "r7".*no corrupted prompt/);
    expect(write({ answers: [] })).toThrow(/no answer/);
    expect(write({ answers: [{ ...answer, pos: 3 }] })).toThrow(/last position only/);
    expect(write({ answers: [answer, { ...answer, name: 'b', foils: [' x'] }] })).toThrow(/unlike foils/);
  });
});

describe('EAP-IG', () => {
  it('is read with token ids, or lists of them', () => {
    const source = `,clean,corrupted,correct_idx,incorrect_idx\n0,"${clean}","${corrupted}",5,"[6, 7]"\n1,x,y,8.0,9\n`;
    const { rows, problems } = importEapIg(source);
    expect(problems).toEqual([]);
    expect(rows).toEqual([
      { ...row, answers: [{ name: 'answer', pos: -1, token: 5, foils: [6, 7] }] },
      { ...row, id: '2', clean: 'x', corrupted: 'y', answers: [{ name: 'answer', pos: -1, token: 8, foils: [9] }] },
    ]);
  });

  it('is read with labels, exactly as they stand', () => {
    const { rows, problems } = importEapIg('clean,corrupted,label\r\n"He said ""no"", and",b, Mary\r\n');
    expect(problems).toEqual([]);
    expect(rows[0]).toMatchObject({ clean: 'He said "no", and', answers: [{ token: ' Mary', foils: [] }] });
  });

  it('warns when labels are the years of greater-than, and of columns that it leaves out', () => {
    const { rows, problems } = importEapIg('clean,corrupted,label,template\na,b,17,x\nc,d,64,y\n');
    expect(rows).toHaveLength(2);
    expect(problems.map(({ message, column }) => [column, message.slice(0, 40)])).toEqual([
      [22, 'Columns that are not imported: template.'],
      [16, 'These labels look like the years of the '],
    ]);
  });

  it('has its mistakes underlined', () => {
    const source =
      'id,clean,corrupted,correct_idx,incorrect_idx\n1,"a\nb",c,x,4\n2,,c,3,4\n3,a,b,1\n4,a,b,1,\n4,ok,b,1,2\n4,again,b,1,2';
    const found = importEapIg(source);
    expect(found.rows.map(({ clean: text }) => text)).toEqual(['ok']);
    expect(underlined(source, found)).toEqual([
      '2:5 wrong-type x',
      '3:2 prompt-empty ,',
      '4:0 not-csv 3',
      '5:8 wrong-type ',
      '7:0 duplicate-id 4',
    ]);
    expect(importEapIg('a,b\n1,2').problems).toMatchObject([{ code: 'not-imported' }, { code: 'missing-key' }]);
    expect(importEapIg('').problems).toMatchObject([{ code: 'not-csv' }]);
    expect(importEapIg('clean,label\n"open,x').problems).toMatchObject([{ code: 'not-csv', line: 1, column: 0 }]);
  });

  it('is written with this tokenizer’s ids, and read back', () => {
    const rows: DatasetRow[] = [
      row,
      { ...row, id: 'two, "quoted"', answers: [{ ...row.answers[0], foils: [' John', ' he'] }] },
    ];
    const text = [...exportEapIg(rows, tokenizer)].join('');
    const id = (token: string) => tokenizer.encodePiece(token)[0];
    expect(text.split('\n')[1]).toBe(`1,"${clean}","${corrupted}",${id(' Mary')},${id(' John')}`);
    const back = importEapIg(text);
    expect(back.problems).toEqual([]);
    expect(back.rows.map((r) => [r.id, r.clean, r.corrupted, r.answers])).toEqual([
      ['1', clean, corrupted, [{ name: 'answer', pos: -1, token: id(' Mary'), foils: [id(' John')] }]],
      [
        'two, "quoted"',
        clean,
        corrupted,
        [{ name: 'answer', pos: -1, token: id(' Mary'), foils: [id(' John'), id(' he')] }],
      ],
    ]);
  });

  it('refuses rows it has no place for, by name', () => {
    const [answer] = row.answers;
    const write = (other: Partial<DatasetRow>) => () => [...exportEapIg([{ ...row, id: 'r7', ...other }], tokenizer)];
    expect(write({ corrupted: undefined })).toThrow(/Row "r7".*no corrupted prompt/);
    expect(write({ answers: [{ ...answer, foils: [] }] })).toThrow(/no foil/);
    expect(write({ answers: [{ ...answer, token: ' Kazakhstan' }] })).toThrow(/8 tokens/);
    expect(write({ answers: [{ ...answer, pos: 2 }] })).toThrow(/last position only/);
  });
});

describe('parseCsv', () => {
  const values = (source: string) => parseCsv(source).records.map((record) => record.map(({ value }) => value));

  it('reads what RFC 4180 describes', () => {
    expect(values('a,b\n"x,1","y ""q"" z"\r\n"two\nlines",\n\n,last')).toEqual([
      ['a', 'b'],
      ['x,1', 'y "q" z'],
      ['two\nlines', ''],
      ['', 'last'],
    ]);
    expect(values('\uFEFFa\r""\r')).toEqual([['a'], ['']]);
    expect(values('')).toEqual([]);
  });

  it('reads a cell of megabytes', () => {
    const long = 'x""'.repeat(500_000);
    expect(parseCsv(`"${long}",b`).records[0]?.[0]?.value).toHaveLength(1_000_000);
  });
});
