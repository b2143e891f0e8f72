import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FileServer, startFileServer } from '../../support/fileServer.ts';
import { modelFolder } from '../../support/smallModels.ts';

const root = resolve(import.meta.dirname, '../../..');
const script = resolve(root, 'scripts/mechanist.mjs');
const gpt2 = resolve(root, 'test/reference/models/gpt2');
let cache: string;

beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), 'mechanist-cli-'));
});
afterAll(() => rmSync(cache, { recursive: true, force: true }));

function environment(more: Record<string, string> = {}) {
  return { ...process.env, MECHANIST_CACHE: cache, HF_ENDPOINT: 'http://127.0.0.1:1', ...more };
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as a person does. `interrupt`: Ctrl+C when standard error or the server has got that far. */
async function mechanist(
  args: readonly string[],
  more: { input?: string; cwd?: string; env?: Record<string, string>; interrupt?: Promise<unknown> } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...args], { cwd: more.cwd ?? root, env: environment(more.env) });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString('utf8');
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString('utf8');
  });
  child.stdin.on('error', () => undefined);
  if (more.interrupt === undefined) child.stdin.end(more.input ?? '');
  else void more.interrupt.then(() => child.kill('SIGINT'));
  const [status] = await once(child, 'close');
  return { status, stdout, stderr };
}

/** Exit code 1, nothing on standard output, one line without a stack on standard error. */
async function expectFailure(ended: Promise<Ended>, words: string) {
  const { status, stdout, stderr } = await ended;
  expect([status, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(/^mechanist: [^\n]+\n$/);
  expect(stderr).toContain(words);
}

describe('mechanist', () => {
  it('prints help on standard output, and usage after a mistake on standard error', async () => {
    const help = await mechanist(['--help']);
    expect([help.status, help.stderr]).toEqual([0, '']);
    expect(help.stdout).toContain('mechanist trace PROMPT');
    expect((await mechanist(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    for (const args of [[], ['trace'], ['trace', 'x', '--nope'], ['trace', 'x', '--model'], ['models', 'pull']]) {
      const wrong = await mechanist(args);
      expect([wrong.status, wrong.stdout]).toEqual([2, '']);
      expect(wrong.stderr).toContain('Usage');
    }
  });
});

describe('mechanist trace', () => {
  it('prints one JSON object that holds together', async () => {
    const { status, stdout, stderr } = await mechanist([
      'trace',
      'The cat sat',
      '--model',
      gpt2,
      '--top',
      '4',
      '--json',
    ]);
    expect([status, stderr]).toEqual([0, '']);
    const result = JSON.parse(stdout);
    expect(Object.keys(result)).toEqual(
      expect.arrayContaining(['model', 'tokens', 'top', 'observable', 'attributions', 'provenance']),
    );
    expect(result.model).toBe(gpt2);
    expect(result.tokens.map(({ text }: { text: string }) => text).join('')).toBe('The cat sat');
    expect(result.top).toHaveLength(4);
    const [first, second] = result.top;
    expect(result.observable.value).toBeCloseTo(first.logit - second.logit, 4);
    expect(first.logit - second.logit).toBeCloseTo(first.logprob - second.logprob, 4);
    expect(result.attributions.map(({ pos }: { pos: number }) => pos)).toEqual(
      result.tokens.map((_: unknown, i: number) => i),
    );
    const sum = result.attributions.reduce((total: number, { value }: { value: number }) => total + value, 0);
    expect(sum).toBeCloseTo(result.observable.value, 3);
    expect(result.provenance).toMatchObject({ dtype: 'float32', weightProcessing: 'none' });
  });

  it('takes a relative folder, a position, a method, and the prompt from a file or standard input', async () => {
    const base = ['trace', '--model', './gpt2', '--json', '--position', '-2', '--method', 'occlusion'];
    const cwd = resolve(root, 'test/reference/models');
    const file = join(cache, 'prompt.txt');
    writeFileSync(file, 'The cat sat');
    const fromFile = await mechanist([...base, '--prompt-file', file], { cwd });
    const fromStdin = await mechanist([...base, '-'], { cwd, input: 'The cat sat' });
    expect([fromFile.status, fromFile.stderr]).toEqual([0, '']);
    expect(fromStdin.stdout).toBe(fromFile.stdout);
    const result = JSON.parse(fromFile.stdout);
    expect(result).toMatchObject({ method: 'occlusion', position: result.tokens.length - 2 });
  });

  it('writes a table for people, with signs and visible spaces', async () => {
    const { status, stdout } = await mechanist(['trace', 'The cat sat', '--model', gpt2, '--top', '3']);
    expect(status).toBe(0);
    expect(stdout).toContain('logits');
    expect(stdout).toContain('␣');
    expect(stdout).toMatch(/[+−]\d/);
    expect(stdout).toMatch(/ sum +[+−\d]/);
    expect(stdout).not.toMatch(/ -\d/);
  });

  it('fails in one line', async () => {
    await expectFailure(mechanist(['trace', '', '--model', gpt2]), 'empty');
    await expectFailure(mechanist(['trace', 'x', '--model', '/no/such/model']), 'nothing is at /no/such/model');
    await expectFailure(mechanist(['trace', 'x', '--model', 'gtp2']), 'Did you mean gpt2?');
    await expectFailure(mechanist(['trace', 'x', '--model', gpt2, '--position', '7']), 'Position 7');
    await expectFailure(mechanist(['trace', 'x', '--model', gpt2, '--observable', '{"qzxjvq":1}']), 'tokens');
    await expectFailure(mechanist(['trace', '--prompt-file', '/no/such/file', '--model', gpt2]), '/no/such/file');
    const mamba = await modelFolder(join(cache, 'mamba'), 'gpt2', { 'config.json': '{"model_type":"mamba"}' });
    await expectFailure(mechanist(['trace', 'x', '--model', mamba]), 'mamba');
  });

  it('shows where an error came from only with --debug', async () => {
    const { status, stderr } = await mechanist(['trace', '', '--model', gpt2, '--debug']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/\n +at /);
  });

  it('says what does not fit the context, on standard error', async () => {
    const { status, stdout, stderr } = await mechanist(['trace', '-', '--model', gpt2, '--json'], {
      input: 'The cat '.repeat(300),
    });
    expect(status).toBe(0);
    expect(stderr).toMatch(/^warning: .*fit/);
    expect(JSON.parse(stdout).warnings).toHaveLength(1);
  });

  it('stops at once with Ctrl+C while it waits for its prompt: exit code 130, no message', async () => {
    const interrupt = new Promise((done) => setTimeout(done, 1000));
    expect(await mechanist(['trace', '-', '--model', gpt2], { interrupt })).toEqual({
      status: 130,
      stdout: '',
      stderr: '',
    });
  });
});

describe('mechanist models', () => {
  let server: FileServer;
  beforeAll(async () => {
    server = await startFileServer({});
  });
  afterAll(() => server.close());

  it('lists the catalogue', async () => {
    const { status, stdout } = await mechanist(['models', 'list', '--json']);
    expect(status).toBe(0);
    const listings: { ref: string; state: string }[] = JSON.parse(stdout);
    expect(listings.find(({ ref }) => ref === 'small-world')?.state).toBe('bundled');
    expect(listings.find(({ ref }) => ref === 'smollm2-135m')?.state).toBe('remote');
    expect((await mechanist(['models', 'list'])).stdout).toContain('can be pulled');
  });

  it('tells about a folder, and remembers it', async () => {
    const copy = join(cache, 'my model');
    cpSync(gpt2, copy, { recursive: true });
    const info = await mechanist(['models', 'info', copy]);
    expect([info.status, info.stderr]).toEqual([0, '']);
    expect(info.stdout).toMatch(/family +gpt2\n/);
    expect((await mechanist(['models', 'add', copy])).status).toBe(0);
    expect((await mechanist(['models', 'list'])).stdout).toContain(copy);
    expect(JSON.parse((await mechanist(['models', 'info', copy, '--json'])).stdout)).toMatchObject({
      ref: copy,
      nLayers: 3,
    });
  });

  it('verifies the bundled model against Hugging Face transformers', async () => {
    const { status, stdout } = await mechanist(['models', 'verify', 'small-world', '--json']);
    expect(status).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ ref: 'small-world', passed: true });
    expect(report.prompts).toBeGreaterThanOrEqual(5);
    expect(report.maxAbsLogitDelta).toBeLessThan(1e-3);
    await expectFailure(mechanist(['models', 'verify', gpt2]), 'no reference logits');
  });

  it('fails in one line when a download fails', async () => {
    const env = { HF_ENDPOINT: server.url };
    await expectFailure(mechanist(['models', 'pull', 'gpt2'], { env }), '404');
    const traced = await mechanist(['trace', 'x', '--model', 'gpt2'], { env });
    expect([traced.status, traced.stdout]).toEqual([1, '']);
    expect(traced.stderr).toMatch(
      /^gpt2 is not on this machine; downloading 549 MB \(MIT\)\.\nmechanist: gpt2 could not/,
    );
  });

  it('stops a download with Ctrl+C and keeps what arrived', async () => {
    const asked = new Promise<void>((done) => {
      server.next.push((_request, response) => {
        response.writeHead(200, { 'content-length': 665 });
        response.write('{"part": ');
        setTimeout(done, 300);
      });
    });
    const { status, stdout } = await mechanist(['models', 'pull', 'gpt2'], {
      env: { HF_ENDPOINT: server.url },
      interrupt: asked,
    });
    expect([status, stdout]).toEqual([130, '']);
    expect(readFileSync(join(cache, 'models/gpt2/config.json.part'), 'utf8')).toBe('{"part": ');
  });
});
