// Runs test/host/suite inside a real extension host and brings back what Mocha counted there.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { startServer } from '../../tools/vscode-host/host.mjs';
import { browserFlags } from './browserFlags.mjs';
import { root } from './programs.mjs';

/**
 * Bundles the runner and every suite file for the extension host.
 * @returns {Promise<string>} path of the module whose `run()` VS Code calls
 */
export async function bundleHostSuite() {
  const outdir = join(root, 'test-results', 'host');
  rmSync(outdir, { recursive: true, force: true });
  await build({ absWorkingDir: root, entryPoints: { run: 'test/host/run.ts' }, ...hostBundle(outdir) });
  await build({ absWorkingDir: root, entryPoints: ['test/host/suite/*.test.ts'], ...hostBundle(outdir) });
  return join(outdir, 'run.cjs');
}

function hostBundle(outdir) {
  return {
    outdir,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: 'inline',
    external: ['vscode', 'mocha', 'onnxruntime-node'],
    outExtension: { '.js': '.cjs' },
    logLevel: 'warning',
  };
}

/**
 * A place for one run: a copy of examples/ that tests may write to, and the two files the runner reports over.
 * @returns {{folder: string, env: Record<string, string>, log: string, result: string, remove: () => void}}
 */
export function hostWorkspace() {
  const base = mkdtempSync(join(tmpdir(), 'mechanist-host-'));
  const folder = join(base, 'examples');
  cpSync(join(root, 'examples'), folder, { recursive: true });
  const result = join(base, 'result.json');
  const log = join(base, 'log.txt');
  return {
    folder,
    log,
    result,
    env: { TEST_HOST_RESULT: result, TEST_HOST_LOG: log },
    remove: () => rmSync(base, { recursive: true, force: true, maxRetries: 3 }),
  };
}

/**
 * Turns the runner's result file and VS Code's exit code into counts. No file, or no test at all, is a failure.
 * @param {string} file
 * @param {number | string} exitCode
 */
export function readHostResult(file, exitCode) {
  if (!existsSync(file)) return failure(`the extension host ended without a result (exit code ${exitCode})`);
  const { passed, failed, skipped, failures } = JSON.parse(readFileSync(file, 'utf8'));
  if (passed + failed === 0) return failure('no host test ran');
  if (failed === 0 && exitCode !== 0) return failure(`all host tests passed but VS Code ended with code ${exitCode}`);
  return { passed, failed, skipped, failures: failures.map(({ title, message }) => `${title}\n${message}`) };
}

function failure(reason) {
  return { passed: 0, failed: 1, skipped: [], failures: [reason] };
}

/**
 * The suite in code-server's extension host, driven by a browser page.
 * @param {{browser: string, log: (line: string) => void}} options
 */
export async function runHostTests({ browser, log }) {
  const tests = await bundleHostSuite();
  const place = hostWorkspace();
  const limitMs = 1000 * Number(env.TEST_HOST_TIMEOUT_S ?? 600);
  let server;
  let chrome;
  const seen = { length: 0 };
  try {
    server = await startServer({
      folder: place.folder,
      extension: { development: { path: root, tests } },
      env: place.env,
    });
    chrome = await chromium.launch({ executablePath: browser, args: browserFlags });
    const exitCode = await waitForTests(await chrome.newPage(), server, { place, limitMs, log, seen });
    printNewLines(place.log, seen, log);
    const result = readHostResult(place.result, exitCode);
    if (result.failed > 0) for (const line of server.errorLines()) log(line);
    return result;
  } finally {
    await chrome?.close();
    await server?.stop();
    place.remove();
  }
}

async function waitForTests(page, server, { place, limitMs, log, seen }) {
  const exit = new Promise((done) => page.exposeFunction('codeAutomationExit', (code) => done(code)));
  await page.exposeFunction('codeAutomationLog', (type, args) => {
    if (type === 'error' && !/Service Worker/.test(String(args[0])))
      log(`    ${args.map(String).join(' ').slice(0, 2000)}`);
  });
  await page.goto(server.url, { waitUntil: 'commit', timeout: 120_000 });
  const deadline = Date.now() + limitMs;
  while (Date.now() < deadline) {
    const code = await Promise.race([exit, sleep(500)]);
    printNewLines(place.log, seen, log);
    if (code !== undefined) return code;
  }
  return `none within ${limitMs / 1000} s`;
}

function printNewLines(file, seen, log) {
  if (!existsSync(file)) return;
  const text = readFileSync(file, 'utf8');
  const fresh = text.slice(seen.length);
  seen.length = text.length;
  for (const line of fresh.split('\n')) if (line) log(line);
}
