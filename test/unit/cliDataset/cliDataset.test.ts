import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCommand } from '../../../src/cli/parseCommand.ts';
import { UsageError } from '../../../src/cli/usage.ts';

const script = resolve(import.meta.dirname, '../../../scripts/mechanist.mjs');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-dataset-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function mechanist(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, 'dataset', ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, MECHANIST_CACHE: folder, HF_ENDPOINT: 'http://127.0.0.1:1' },
  });
  return { status, stdout, stderr };
}

const write = (name: string, text: string) => writeFileSync(join(folder, name), text);
const rowsOf = (name: string) =>
  readFileSync(join(folder, name), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line));

describe('mechanist dataset', () => {
  it('makes a dataset that its own check has nothing against', () => {
    const made = mechanist(
      'make',
      'ioi',
      '--model',
      'small-world',
      '--rows',
      '12',
      '--seed',
      '4',
      '--out',
      'ioi.jsonl',
    );
    expect([made.status, made.stderr]).toEqual([0, '']);
    expect(made.stdout).toMatch(/^12 rows in ioi\.jsonl\.\n/);
    expect(rowsOf('ioi.jsonl')).toHaveLength(12);
    expect(mechanist('check', 'ioi.jsonl', '--model', 'small-world')).toEqual({
      status: 0,
      stdout: '12 rows can be run on small-world, 0 refused.\n',
      stderr: '',
    });
  });

  it('says where a row is wrong, as compilers do, and ends with 1', () => {
    write(
      'bad.jsonl',
      '{"clean": "Mary went", "answers": [{"token": " to"}],}\n{"clean": "Mary", "roles": {"S": 4}, "answers": [{"token": " went"}]}\n',
    );
    const { status, stdout, stderr } = mechanist('check', 'bad.jsonl', '--model', 'small-world', '--json');
    expect(status).toBe(1);
    expect(stderr.split('\n').map((line) => line.split('.')[0])).toEqual(['bad', 'bad', '']);
    expect(stderr).toMatch(/^bad\.jsonl:1:54: error: This is not JSON\./);
    expect(stderr).toContain('\nbad.jsonl:2:34: error: There is no position 4: the prompt has 1 tokens');
    expect(JSON.parse(stdout)).toEqual({ file: 'bad.jsonl', model: 'small-world', rows: 0, refused: 2, warnings: 0 });
  });

  it('says of an empty file that it is empty, and of none that it cannot be read', () => {
    write('empty.jsonl', '\n');
    const empty = mechanist('check', 'empty.jsonl', '--model', 'small-world');
    expect([empty.status, empty.stderr]).toEqual([1, 'empty.jsonl: error: There is no row in this file.\n']);
    const none = mechanist('check', 'none.jsonl', '--model', 'small-world');
    expect([none.status, none.stdout]).toEqual([1, '']);
    expect(none.stderr).toMatch(/^mechanist: none\.jsonl cannot be read: ENOENT/);
  });

  it('imports lines of "prompt, answer", with a model letter by letter', () => {
    write('acronyms.txt', 'The Ketchup Lark Wreck (KL, KLW\nThe capital of France is, Paris\nno comma here\n');
    const plain = mechanist('import', 'acronyms.txt', '--out', 'plain.jsonl');
    expect([plain.status, plain.stderr]).toEqual([
      1,
      'acronyms.txt:3:1: error: A line is "prompt, answer", divided at its last comma.\n',
    ]);
    expect(rowsOf('plain.jsonl').map(({ clean, answers }) => [clean, answers])).toEqual([
      ['The Ketchup Lark Wreck (KL', [{ name: 'answer', pos: -1, token: 'W', foils: [] }]],
      ['The capital of France is', [{ name: 'answer', pos: -1, token: ' Paris', foils: [] }]],
    ]);
    expect(mechanist('import', 'acronyms.txt', '--model', 'small-world', '--out', 'letters.jsonl').status).toBe(1);
    const [acronym, capital] = rowsOf('letters.jsonl');
    expect(acronym.clean).toBe('The Ketchup Lark Wreck (KL');
    expect(acronym.answers.map(({ name, token }: { name: string; token: string }) => name + token)).toEqual([
      'L1K',
      'L2L',
      'L3W',
    ]);
    expect(capital.answers).toMatchObject([{ name: 'answer', token: ' Paris' }]);
    expect(mechanist('check', 'letters.jsonl', '--model', 'small-world').stderr).toContain(
      'those of the first row are L1, L2, L3',
    );
  });

  it('imports CSV and the task files of AutoCircuit by their names', () => {
    write('a.csv', 'prompt,answer,foil\n"Mary, Anna and",  John, Peter\nx,,\n');
    const csv = mechanist('import', 'a.csv', '--out', 'a.jsonl');
    expect(csv.stderr).toMatch(/^a\.csv:3:3: error: This row has no label/);
    expect(rowsOf('a.jsonl')).toMatchObject([
      { clean: 'Mary, Anna and', answers: [{ token: '  John', foils: [' Peter'] }] },
    ]);
    write(
      'b.json',
      JSON.stringify({ prompts: [{ clean: 'a b', corrupt: 'a c', answers: [' x'], wrong_answers: [' y'] }] }),
    );
    expect(mechanist('import', 'b.json', '--out', 'b.jsonl').status).toBe(0);
    expect(rowsOf('b.jsonl')).toMatchObject([
      { clean: 'a b', corrupted: 'a c', answers: [{ token: ' x', foils: [' y'] }] },
    ]);
    write('c.txt', 'nothing');
    expect(mechanist('import', 'c.txt', '--out', 'c.jsonl').stderr).toContain(
      'c.txt has no row that can be imported as text',
    );
  });

  it('keeps the header of a .jsonl file', () => {
    write(
      'h.jsonl',
      '{"dataset":{"name":"n","sets":{"s":[" a"," b"]}}}\n{"clean":"x","answers":[{"token":" a","foils":"@s"}],}\n{"clean":"y","answers":[{"token":" a","foils":"@s"}]}\n',
    );
    expect(mechanist('import', 'h.jsonl', '--out', 'i.jsonl').status).toBe(1);
    const [header, ...rows] = readFileSync(join(folder, 'i.jsonl'), 'utf8').trimEnd().split('\n');
    expect(JSON.parse(header)).toMatchObject({ dataset: { name: 'n', sets: { s: [' a', ' b'] } } });
    expect(rows.map((row) => JSON.parse(row).clean)).toEqual(['y']);
  });
});

describe('arguments of dataset', () => {
  it('have defaults', () => {
    expect(parseCommand(['dataset', 'make', 'acronyms', '--out', 'a.jsonl'])).toEqual({
      kind: 'dataset',
      action: 'make',
      task: 'acronyms',
      model: 'smollm2-135m',
      rows: 200,
      seed: 0,
      letters: 3,
      collisions: 'exclude',
      before: '',
      words: null,
      from: null,
      out: 'a.jsonl',
      json: false,
    });
    expect(parseCommand(['dataset', 'check', 'f'])).toMatchObject({
      action: 'check',
      file: 'f',
      model: 'smollm2-135m',
    });
    expect(parseCommand(['dataset', 'import', 'f', '--out', 'g'])).toMatchObject({ format: null, model: null });
  });

  it.each([
    [[], 'one of make, check, import'],
    [['mak'], 'unknown command "dataset mak"'],
    [['make'], 'make needs one of acronyms, ioi, greater-than, pairs'],
    [['make', 'ioi'], '--out'],
    [['make', 'iou', '--out', 'f'], 'not "iou"'],
    [['make', 'ioi', '--letters', '3', '--out', 'f'], '--letters does not belong'],
    [['make', 'acronyms', '--rows', '0', '--out', 'f'], '--rows must be a whole number from 1'],
    [['make', 'acronyms', '--collisions', 'no', '--out', 'f'], '--collisions must be one of'],
    [['check'], 'needs a file'],
    [['check', 'f', '--out', 'g'], '--out does not belong'],
    [['import', 'f', '--out', 'g', '--format', 'xml'], '--format must be one of'],
    [['check', 'f', 'g'], 'unexpected argument "g"'],
  ])('%j are wrong', (args, words) => {
    expect(() => parseCommand(['dataset', ...args])).toThrow(UsageError);
    expect(() => parseCommand(['dataset', ...args])).toThrow(words);
  });
});
