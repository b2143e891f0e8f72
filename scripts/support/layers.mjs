// The layers of `npm test`. Each returns {passed, failed, skipped: string[], failures: string[]}.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { hostUnavailable, setUpHost } from '../../tools/vscode-host/setup.mjs';
import { findOrInstallBrowser } from './browser.mjs';
import { findDesktop, runDesktopTests } from './desktopTests.mjs';
import { runHostTests } from './hostTests.mjs';
import { root, runProgram } from './programs.mjs';

const log = (line) => console.log(line);
const bin = (...parts) => join(root, 'node_modules', ...parts);

/** One command that counts as one test. */
async function check(name, script, args) {
  const { code } = await runProgram(process.execPath, [bin(...script), ...args]);
  return code === 0 ? result(1) : result(0, [`${name} (exit code ${code})`]);
}

/** A Vitest run, counted from its JSON report. */
async function vitest(name, args, extraEnv = {}) {
  const report = join(root, 'test-results', `${name}.json`);
  mkdirSync(join(root, 'test-results'), { recursive: true });
  rmSync(report, { force: true });
  const { code } = await runProgram(
    process.execPath,
    [
      bin('vitest', 'vitest.mjs'),
      'run',
      ...args,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { env: extraEnv },
  );
  if (!existsSync(report)) return result(0, [`${name}: Vitest ended without a report (exit code ${code})`]);
  const counted = countVitest(JSON.parse(readFileSync(report, 'utf8')));
  if (code !== 0 && counted.failures.length === 0)
    return result(counted.passed, [`${name}: errors outside the tests (exit code ${code})`], counted.skipped);
  return counted;
}

function countVitest({ testResults }) {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const withStatus = (...status) => tests.filter((test) => status.includes(test.status));
  const named = (...status) => withStatus(...status).map(({ fullName }) => fullName.trim());
  const failures = withStatus('failed').map(({ fullName, failureMessages: [message = ''] }) =>
    `${fullName.trim()}\n${message}`.trim(),
  );
  // A file that cannot be loaded has no tests to count; it is a failure all the same.
  const broken = testResults
    .filter(
      ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((t) => t.status === 'failed'),
    )
    .map(({ name }) => `could not load ${name}`);
  return result(named('passed').length, [...failures, ...broken], named('pending', 'skipped', 'todo'));
}

function result(passed, failures = [], skipped = []) {
  return { passed, failed: failures.length, failures, skipped };
}

/** VS Code host and browser, or why there is none. Set up once for all layers that need them. */
let prepared;
function prepareHost() {
  prepared ??= (async () => {
    const unavailable = hostUnavailable();
    if (unavailable) return { reason: unavailable };
    const browser = await findOrInstallBrowser(log);
    if ('reason' in browser) return browser;
    await setUpHost({ log });
    return browser;
  })();
  return prepared;
}

async function withHost(name, run) {
  const host = await prepareHost();
  return 'reason' in host ? result(0, [], [`${name}: ${host.reason}`]) : run(host.path);
}

/** In the order in which they run: cheap ones first. */
export const layers = {
  lint: () => check('lint', ['@biomejs', 'biome', 'bin', 'biome'], ['check', '.']),
  types: () => check('types', ['typescript', 'bin', 'tsc'], ['-b']),
  knip: () => check('knip', ['knip', 'bin', 'knip.js'], []),
  unit: () => vitest('unit', []),
  host: () => withHost('host', (browser) => runHostTests({ browser, log })),
  desktop: async () => {
    const desktop = findDesktop();
    return 'reason' in desktop
      ? result(0, [], [`desktop: ${desktop.reason}`])
      : runDesktopTests({ path: desktop.path, log });
  },
  e2e: () =>
    withHost('e2e', (browser) => vitest('e2e', ['--config', 'test/e2e/vitest.config.ts'], { CHROMIUM_PATH: browser })),
};
