import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gridFromJson, gridToJson } from '../../../src/shared/gridFile.ts';

const root = resolve(import.meta.dirname, '../../..');
const script = resolve(root, 'scripts/mechanist.mjs');
const model = resolve(root, 'test/reference/models/gpt2');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-sweep-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function mechanist(...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, MECHANIST_CACHE: join(folder, 'cache'), HF_ENDPOINT: 'http://127.0.0.1:1' };
  const child = spawn(process.execPath, [script, ...args], { cwd: folder, env });
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    texts.stdout += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    texts.stderr += chunk.toString('utf8');
  });
  child.stdin.end();
  const [status] = await once(child, 'close');
  return { status, ...texts };
}

async function json(...args: readonly string[]) {
  const { status, stdout, stderr } = await mechanist(...args, '--model', model, '--json');
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

const prompt = ['--prompt', 'The 1 sat', '--answer', 'a', '--foil', 'b'];
const pair = ['--clean', 'The 1 sat', '--corrupted', 'The 2 sat', '--answer', 'a', '--foil', 'b'];

describe('mechanist ablate', () => {
  it('prints the metric after each ablation, with the clean one, axes and provenance', async () => {
    const result = await json('ablate', ...prompt, '--sites', 'heads', '--mode', 'zero');
    expect(result).toMatchObject({ corrupted: null, complete: true, method: 'exact', warnings: [] });
    expect(typeof result.clean).toBe('number');
    expect([result.axes.rows.name, result.axes.columns.name]).toEqual(['layer', 'head']);
    expect(result.values).toHaveLength(result.axes.rows.labels.length);
    for (const row of result.values) expect(row).toHaveLength(result.axes.columns.labels.length);
    expect(result.byItem[0][0]).toEqual([result.values[0][0]]);
    expect(result.cleanSummary).toMatchObject({ n: 1, mean: result.clean, sd: null });
    expect(result.provenance).toMatchObject({ dtype: 'float32', weightProcessing: 'none' });
    expect(result.provenance.ablation).toContain('zero');
    const mlps = await json('ablate', ...prompt, '--sites', 'mlps');
    expect(mlps.clean).toBe(result.clean);
    expect(mlps.values.every((row: number[]) => row.length === 1)).toBe(true);
  });

  it('says what is missing or wrong: usage with code 2, everything else in one line with code 1', async () => {
    const wrong = await mechanist('ablate', '--prompt', 'x', '--sites', 'hands', '--answer', 'a');
    expect([wrong.status, wrong.stdout]).toEqual([2, '']);
    expect(wrong.stderr).toContain('heads, mlps, neurons, positions');
    expect((await mechanist('ablate', '--answer', 'a')).status).toBe(2);
    expect((await mechanist('ablate', ...prompt, '--site', 'z')).stderr).toContain('--site does not belong to ablate');
    const mean = await mechanist('ablate', ...prompt, '--mode', 'mean', '--model', model);
    expect([mean.status, mean.stdout]).toEqual([1, '']);
    expect(mean.stderr).toMatch(/^mechanist: [^\n]*--mean-over position[^\n]*\n$/);
    const split = await mechanist('ablate', ...prompt.slice(0, 2), '--answer', ' xyzzy', '--model', model);
    expect([split.status, split.stderr.split('\n')]).toEqual([1, [expect.stringContaining('tokens'), '']]);
  });

  it('reads a data set, and names the line that is wrong', async () => {
    const row = (clean: string) => JSON.stringify({ clean, answers: [{ token: 'a', foils: ['b'] }] });
    writeFileSync(join(folder, 'good.jsonl'), `${row('The 1 sat')}\n${row('The 2 sat')}\n`);
    writeFileSync(join(folder, 'bad.jsonl'), `${row('The 1 sat')}\n{"clean": 7}\n`);
    const result = await json('ablate', '--data', 'good.jsonl', '--mode', 'mean');
    expect(result.cleanSummary.n).toBe(2);
    expect(result.cleanSummary.interval.low).toBeLessThanOrEqual(result.clean);
    expect(result.items.map(({ id }: { id: string }) => id)).toEqual(['1', '2']);
    const bad = await mechanist('ablate', '--data', 'bad.jsonl', '--model', model);
    expect([bad.status, bad.stderr]).toEqual([1, expect.stringContaining('bad.jsonl:2:')]);
    expect((await mechanist('ablate', '--data', 'none.jsonl', '--model', model)).stderr).toContain('none.jsonl');
  });

  it('patches from a corruption that the data name', async () => {
    const header = { dataset: { corruptions: { swapped: { permute: ['NUMBER'] } } } };
    const row = (number: string, token: string, foil: string) => ({
      ...{ clean: `The ${number} sat`, roles: { NUMBER: 3 }, answers: [{ token, foils: [foil] }] },
    });
    const rows = [row('3', 'a', 'b'), row('4', 'b', 'a')];
    const lines = (own: readonly object[]) => own.map((line) => `${JSON.stringify(line)}\n`).join('');
    writeFileSync(join(folder, 'named.jsonl'), lines([header, ...rows]));
    // The two rows exchange their numbers.
    const pair = (own: object, number: string) => ({ ...own, corrupted: `The ${number} sat` });
    writeFileSync(join(folder, 'pairs.jsonl'), lines([pair(rows[0], '4'), pair(rows[1], '3')]));
    const site = ['--site', 'resid_post'];
    const named = await json('patch', '--data', 'named.jsonl', '--corruption', 'swapped', ...site);
    const pairs = await json('patch', '--data', 'pairs.jsonl', ...site);
    expect(named.values).toEqual(pairs.values);
    expect(named.corrupted).not.toBe(named.clean);
    const unknown = ['patch', '--data', 'named.jsonl', '--corruption', 'cur', ...site, '--model', model];
    expect((await mechanist(...unknown)).stderr).toMatch(/cur.*swapped/);
    // One for each answer: the only one, or which?
    const swap = { permute: ['NUMBER'] };
    const answers = [
      { token: 'a', foils: ['b'] },
      { token: 'b', foils: ['a'] },
    ].map((own, i) => ({ ...own, name: `A${i + 1}` }));
    const of = (n: number) => rows.map((own) => ({ ...own, answers: answers.slice(0, n) }));
    const each = { dataset: { corruptions: { 'cur:A1': swap, 'cur:A2': swap } } };
    writeFileSync(join(folder, 'one.jsonl'), lines([each, ...of(1)]));
    writeFileSync(join(folder, 'two.jsonl'), lines([each, ...of(2)]));
    const one = await json('patch', '--data', 'one.jsonl', '--corruption', 'cur:{answer}', ...site);
    expect(one.values).toEqual((await json('patch', '--data', 'one.jsonl', '--corruption', 'cur:A1', ...site)).values);
    const two = await mechanist(
      'patch',
      '--data',
      'two.jsonl',
      '--corruption',
      'cur:{answer}',
      ...site,
      '--model',
      model,
    );
    expect([two.status, two.stderr]).toEqual([1, expect.stringContaining('Name one of cur:A1, cur:A2')]);
    expect((await mechanist('patch', '--corruption', 'x', ...site)).stderr).toContain('it needs --data');
  });

  it('writes a result that it can go on from', async () => {
    const whole = await json('ablate', ...prompt, '--out', 'whole.mechanist.json');
    const document = gridFromJson(readFileSync(join(folder, 'whole.mechanist.json'), 'utf8'));
    expect(document.values).toEqual(whole.values);
    const values = document.values.map((row, i) => (i === 0 ? row : row.map(() => null)));
    const data = document.byItem.data.map((value, i) => (i < values[0].length ? value : Number.NaN));
    const partial = { ...document, values, byItem: { ...document.byItem, data } };
    writeFileSync(join(folder, 'partial.mechanist.json'), gridToJson(partial));
    const resumed = await json(
      'ablate',
      ...prompt,
      '--resume',
      'partial.mechanist.json',
      '--out',
      'again.mechanist.json',
    );
    expect(resumed.complete).toBe(true);
    resumed.values.flat().forEach((value: number, i: number) => {
      expect(value).toBeCloseTo(whole.values.flat()[i], 4);
    });
    expect(existsSync(join(folder, 'again.mechanist.json'))).toBe(true);
    const other = await mechanist(
      'ablate',
      ...prompt,
      '--mode',
      'mean',
      '--mean-over',
      'position',
      '--model',
      model,
      '--resume',
      'partial.mechanist.json',
    );
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('another question')]);
  });

  it('writes a table for people', async () => {
    const { status, stdout } = await mechanist('ablate', ...prompt, '--model', model);
    expect(status).toBe(0);
    expect(stdout).toMatch(/L\d\.H\d +[+−]/);
    expect(stdout).toContain('minus clean');
  });
});

describe('mechanist patch and path-patch', () => {
  it('prints both runs and a value by layer and position', async () => {
    const result = await json('patch', ...pair, '--site', 'resid_pre');
    expect([typeof result.clean, typeof result.corrupted]).toEqual(['number', 'number']);
    expect(result.values[0]).toHaveLength(result.items[0].tokens.length);
    expect(result.axes.columns.name).toBe('position');
    const all = await json('patch', ...pair, '--site', 'resid_pre', '--no-positions');
    for (const [value] of all.values) expect(value).toBeCloseTo(result.clean, 3);
    const share = await json('patch', ...pair, '--site', 'z', '--normalize', 'denoising');
    expect([share.clean, share.metric.unit]).toEqual([expect.closeTo(1, 4), 'share of the effect']);
  });

  it('prints a row a head and a column a position', async () => {
    const by = ['--site', 'z', '--by-position'];
    const result = await json('patch', ...pair, ...by, '--heads', '2.1 0.3');
    expect(result.axes.rows).toEqual({ name: 'head', labels: ['L2.H1', 'L0.H3'] });
    expect(result.values[1]).toHaveLength(result.items[0].tokens.length);
    const layer = await json('patch', ...pair, ...by, '--layer', '2');
    expect(layer.values[1]).toEqual(result.values[0].map((value: number) => expect.closeTo(value, 4)));
    expect((await mechanist('patch', ...pair, ...by, '--heads', '2')).stderr).toContain('layer.head');
    expect((await mechanist('patch', ...pair, '--site', 'z', '--layer', '2')).stderr).toContain('--by-position');
    const refused = await mechanist('patch', ...pair, '--model', model, ...by);
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('name them, or a layer')]);
  });

  it('estimates and screens', async () => {
    const estimate = await json('patch', ...pair, '--site', 'z', '--method', 'attribution');
    expect(estimate.exact.flat()).not.toContain(true);
    const screened = await json('patch', ...pair, '--site', 'z', '--method', 'screened', '--verify-top', '3');
    expect(screened.exact.flat().filter(Boolean)).toHaveLength(3);
    expect(screened.screening).toMatchObject({ verified: 3 });
  });

  it('patches paths', async () => {
    const final = await json('path-patch', ...pair, '--mlps', 'frozen');
    expect(final.values.flat()).toHaveLength(final.axes.rows.labels.length * final.axes.columns.labels.length);
    const heads = await json('path-patch', ...pair, '--receivers', '2.1.q 2.0.k');
    // The receivers' own layer and those above cannot be senders.
    expect(new Set(heads.values[2]).size).toBe(1);
    expect((await mechanist('path-patch', ...pair, '--receivers', '2.1')).stderr).toContain('layer.head.input');
  });

  it('refuses prompts of unlike length, and says where they part', async () => {
    const { status, stderr } = await mechanist(
      'patch',
      '--model',
      model,
      '--site',
      'z',
      '--clean',
      'abc',
      '--corrupted',
      'abxyz',
      '--answer',
      'a',
    );
    expect([status, stderr]).toEqual([1, expect.stringContaining('part at token')]);
  });
});
