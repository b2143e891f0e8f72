import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { doneCount } from '../../../src/shared/gridCells.ts';
import type { GridDocument } from '../../../src/shared/gridDocument.ts';
import { gridFromJson } from '../../../src/shared/gridFile.ts';

const script = resolve(import.meta.dirname, '../../../scripts/mechanist.mjs');
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-interrupted-'));
  const people = ['nurse', 'farmer', 'doctor', 'maid', 'soldier', 'teacher', 'king', 'queen', 'lawyer', 'waiter'];
  const rows = people.map((who) => ({ clean: `The ${who} said that`, answers: [{ token: ' she', foils: [' he'] }] }));
  writeFileSync(join(folder, 'people.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(...args: readonly string[]): ChildProcess {
  // Every neuron of a layer: a second or two of work.
  const question = ['ablate', '--model', 'small-world', '--data', 'people.jsonl', '--sites', 'neurons', '--layer', '0'];
  const env = { ...process.env, MECHANIST_CACHE: join(folder, 'cache'), HF_ENDPOINT: 'http://127.0.0.1:1' };
  return spawn(process.execPath, [script, ...question, '--threads', '1', ...args], {
    ...{ cwd: folder, env, stdio: 'ignore' as const },
  });
}

const read = (name: string): GridDocument => gridFromJson(readFileSync(join(folder, name), 'utf8'));

async function finish(...args: readonly string[]): Promise<void> {
  const [code] = await once(start(...args), 'exit');
  expect(code).toBe(0);
}

describe('a sweep on the command line that is stopped in the middle', () => {
  it.each([
    ['SIGINT', 130, null],
    ['SIGKILL', null, 'SIGKILL'],
  ] as const)(
    'by %s has written its cells, and --resume brings the numbers of a whole run',
    async (signal, code, by) => {
      const [file, on, whole] = [`${signal}.json`, `${signal}.on.json`, 'whole.json'];
      if (!existsSync(join(folder, whole))) await finish('--out', whole);
      const child = start('--out', file);
      const ended = once(child, 'exit');
      while (!existsSync(join(folder, file)) && child.exitCode === null)
        await new Promise((next) => setTimeout(next, 5));
      child.kill(signal);
      expect(await ended).toEqual([code, by]);
      const [partial, expected] = [read(file), read(whole)];
      expect(partial.complete).toBe(false);
      expect(doneCount(partial)).toBeGreaterThan(0);
      expect(doneCount(partial)).toBeLessThan(doneCount(expected));
      await finish('--resume', file, '--out', on);
      const resumed = read(on);
      expect(resumed.complete).toBe(true);
      expect(resumed.cost.forwardPasses).toBeGreaterThan(partial.cost.forwardPasses);
      expected.byItem.data.forEach((value, i) => {
        expect(Math.abs(resumed.byItem.data[i] - value)).toBeLessThan(1e-4);
        // What was done is taken over as it is.
        if (!Number.isNaN(partial.byItem.data[i])) expect(resumed.byItem.data[i]).toBe(partial.byItem.data[i]);
      });
      expect(readdirSync(folder).filter((name) => name.includes('.part') || name.includes('.tmp'))).toEqual([]);
    },
  );
});
