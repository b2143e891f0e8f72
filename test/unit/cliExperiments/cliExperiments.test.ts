import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExperimentOutcome } from '../../../src/shared/experimentRun.ts';

const root = resolve(import.meta.dirname, '../../..');
const script = resolve(root, 'scripts/mechanist.mjs');
const model = resolve(root, 'test/reference/models/gpt2');
let folder: string;

const row = (clean: string, corrupted: string) =>
  `${JSON.stringify({ clean, corrupted, answers: [{ token: 'a', foils: ['b', 'c'] }] })}\n`;
const file = (more = '') => `model: ${model}\ndata: d.jsonl\nsteps:\n  - baseline\n${more}`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-run-'));
  const rows = ['1', '2', '3', '4'].map((n) => row(`The ${n} sat`, `The ${n} hat`)).join('');
  writeFileSync(join(folder, 'd.jsonl'), rows.repeat(9));
  writeFileSync(join(folder, 'x.experiment.yaml'), file());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function mechanist(...args: readonly string[]) {
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

async function outcome(...args: readonly string[]): Promise<ExperimentOutcome & { status: number }> {
  const { status, stdout, stderr } = await mechanist(...args, '--json');
  expect(stderr.replace(/^\d+ cells are new\.\n/, '')).toBe('');
  return { ...(JSON.parse(stdout) as ExperimentOutcome), status };
}

function figures(results: string) {
  const { cost, checks, ...rest } = JSON.parse(readFileSync(join(folder, results, 'baseline.mechanist.json'), 'utf8'));
  return { ...rest, forwardPasses: cost.forwardPasses };
}

describe('mechanist run', () => {
  it('runs an experiment, writes its results beside it, and gives the clean metric of the other commands', async () => {
    const { status, steps, rows } = await outcome('run', 'x.experiment.yaml');
    expect([status, rows, steps.length]).toEqual([0, 36, 1]);
    const pair = ['--clean', 'The 1 sat', '--corrupted', 'The 1 hat', '--answer', 'a', '--foil', 'b', '--foil', 'c'];
    writeFileSync(join(folder, 'one.jsonl'), row('The 1 sat', 'The 1 hat'));
    writeFileSync(join(folder, 'one.experiment.yaml'), file().replace('d.jsonl', 'one.jsonl'));
    const one = await outcome('run', 'one.experiment.yaml');
    const patch = await mechanist('patch', ...pair, '--foil-form', 'max', '--site', 'z', '--model', model, '--json');
    const { clean, corrupted } = JSON.parse(patch.stdout);
    expect(one.steps[0].values['clean.answer']).toBeCloseTo(clean, 4);
    expect(one.steps[0].values['corrupted.answer']).toBeCloseTo(corrupted, 4);
    expect(existsSync(join(folder, 'one.results/baseline.mechanist.json'))).toBe(true);
  });

  it('says what was expected and what came, and fails when a number has moved', async () => {
    const { values } = (await outcome('run', 'x.experiment.yaml')).steps[0];
    const good = values['clean.all'].toFixed(3);
    writeFileSync(
      join(folder, 'y.experiment.yaml'),
      file(`expect:\n  - baseline clean.all: ${good} ± 0.01 (own run)\n`),
    );
    const passing = await mechanist('run', 'y.experiment.yaml');
    expect([passing.status, passing.stderr]).toEqual([0, '']);
    expect(passing.stdout).toMatch(/baseline clean\.all .* pass +own run/);
    expect(passing.stdout).toContain('1 of 1 numbers as expected.');
    writeFileSync(join(folder, 'y.experiment.yaml'), file('expect:\n  - baseline clean.all: 50 … 60 (paper)\n'));
    const failing = await mechanist('run', 'y.experiment.yaml');
    expect(failing.status).toBe(1);
    expect(failing.stdout).toMatch(/\+50\.0 … \+60\.0 +FAIL +paper/);
    expect(failing.stdout).toMatch(/6 of 6 cells, 6 from before/);
  });

  it('computes shares that merge into the result of a whole run', async () => {
    const parts = ['1/2', '2/2'];
    for (const [i, share] of parts.entries()) {
      const run = await outcome('run', 'x.experiment.yaml', '--cells', share, '--out', `part${i}`);
      expect([run.status, run.steps[0].state]).toEqual([0, 'partial']);
    }
    const half = await outcome('merge', 'x.experiment.yaml', 'part0', '--out', 'merged');
    expect([half.status, half.steps[0].state]).toEqual([1, 'partial']);
    const both = await outcome('merge', 'x.experiment.yaml', 'part0', 'part1', '--out', 'merged');
    expect([both.status, both.steps[0].state]).toEqual([0, 'complete']);
    await outcome('run', 'x.experiment.yaml', '--fresh', '--out', 'whole');
    expect(figures('merged')).toEqual(figures('whole'));
  });

  it('goes on after a kill', async () => {
    const env = { ...process.env, MECHANIST_CACHE: join(folder, 'cache') };
    const args = [script, 'run', 'x.experiment.yaml', '--out', 'killed'];
    const child = spawn(process.execPath, args, { cwd: folder, env, stdio: 'ignore' });
    const closed = once(child, 'close');
    const parts = join(folder, 'killed/parts/baseline.jsonl');
    while (child.exitCode === null && !existsSync(parts)) await new Promise((done) => setTimeout(done, 2));
    child.kill('SIGKILL');
    await closed;
    const run = await outcome('run', 'x.experiment.yaml', '--out', 'killed');
    expect(run.steps[0].state).toBe('complete');
    expect(figures('killed')).toEqual(figures('whole'));
  });

  it('tells wrong use with code 2, and a mistake in the file at its place with code 1', async () => {
    for (const args of [['run'], ['merge', 'x.experiment.yaml'], ['run', 'x.experiment.yaml', '--cells', '9/8']]) {
      expect((await mechanist(...args)).status).toBe(2);
    }
    const step = await mechanist('run', 'x.experiment.yaml', '--step', 'bsaeline');
    expect([step.status, step.stderr]).toEqual([
      2,
      expect.stringContaining('there is no step "bsaeline"; steps: baseline'),
    ]);
    writeFileSync(join(folder, 'z.experiment.yaml'), file().replace('- baseline', '- bsaeline'));
    const wrong = await mechanist('run', 'z.experiment.yaml');
    expect([wrong.status, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/^mechanist: z\.experiment\.yaml:4:5: .*Did you mean baseline\?\n$/),
    ]);
    writeFileSync(join(folder, 'z.experiment.yaml'), file().replace('d.jsonl', 'no.jsonl'));
    expect((await mechanist('run', 'z.experiment.yaml')).stderr).toMatch(/data cannot be read: .*no\.jsonl/);
  });
});
