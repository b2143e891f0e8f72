// Runs inside the extension host: Mocha over the bundled suite files beside this module. VS Code calls `run`.
// The outcome goes to two files that the parent names: TEST_HOST_LOG (line by line) and TEST_HOST_RESULT (JSON).
import { appendFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Mocha from 'mocha';
import * as vscode from 'vscode';

interface HostResult {
  passed: number;
  failed: number;
  skipped: string[];
  failures: { title: string; message: string }[];
  node: string;
  vscode: string;
}

/**
 * Runs every `*.test.cjs` beside this file.
 * @throws Error when a test failed or a file could not be loaded; the host turns that into exit code 1.
 */
export async function run(): Promise<void> {
  const result: HostResult = {
    passed: 0,
    failed: 0,
    skipped: [],
    failures: [],
    node: process.version,
    vscode: vscode.version,
  };
  try {
    await runSuite(result);
  } catch (error) {
    result.failed++;
    result.failures.push({ title: 'loading the suite', message: stackOf(error) });
    log(`  ✗ loading the suite\n${stackOf(error)}`);
  }
  const file = process.env.TEST_HOST_RESULT;
  if (file) writeFileSync(file, JSON.stringify(result));
  if (result.failed > 0) throw new Error(`${result.failed} failed`);
}

async function runSuite(result: HostResult): Promise<void> {
  const mocha = new Mocha({
    ui: 'bdd',
    timeout: 120_000,
    reporter: class {} as never,
    ...(process.env.TEST_HOST_GREP ? { grep: process.env.TEST_HOST_GREP } : {}),
  });
  for (const name of readdirSync(__dirname).sort())
    if (name.endsWith('.test.cjs')) mocha.addFile(join(__dirname, name));
  await new Promise<void>((done) => {
    const runner = mocha.run(() => done());
    runner.on('pass', (test) => {
      result.passed++;
      log(`  ✓ ${test.fullTitle()} (${test.duration} ms)`);
    });
    runner.on('pending', (test) => {
      result.skipped.push(test.fullTitle());
      log(`  - ${test.fullTitle()}`);
    });
    runner.on('fail', (test, error) => {
      result.failed++;
      result.failures.push({ title: test.fullTitle(), message: stackOf(error) });
      log(`  ✗ ${test.fullTitle()}\n${stackOf(error)}`);
    });
  });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function log(line: string): void {
  const file = process.env.TEST_HOST_LOG;
  if (file) appendFileSync(file, `${line}\n`);
  else console.log(line);
}
