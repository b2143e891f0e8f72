// Starts and stops the VS Code server that setup.mjs installed.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { env as processEnv } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostPaths } from './setup.mjs';

/** No telemetry, no welcome pages, no look-ups; saving is left to the person, as in a desktop VS Code. */
const quietSettings = {
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'security.workspace.trust.enabled': false,
  'chat.disableAIFeatures': true,
  'chat.commandCenter.enabled': false,
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'extensions.ignoreRecommendations': true,
  'update.mode': 'none',
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.tips.enabled': false,
  'editor.inlayHints.enabled': 'on',
  'files.autoSave': 'off',
  'git.openRepositoryInParentFolders': 'never',
};

/**
 * Starts a VS Code server on 127.0.0.1 and waits until it listens.
 * @param {import('./host.d.mts').ServerOptions} options
 * @returns {Promise<import('./host.d.mts').RunningServer>}
 * @throws {Error} with the end of the server's output.
 */
export async function startServer({
  folder,
  extension,
  settings = {},
  env = {},
  port,
  data,
  startTimeoutMs = 120_000,
}) {
  const ownData = data === undefined;
  const dataFolder = data ?? mkdtempSync(join(tmpdir(), 'mechanist-vscode-'));
  writeSettings(dataFolder, settings);
  if (extension.link) linkExtension(dataFolder, extension.link);
  const childEnv = { ...hostEnv(), ...env };
  if (extension.vsix) installVsix(dataFolder, resolve(extension.vsix), childEnv);
  const chosenPort = port ?? (await freePort());
  const token = randomBytes(16).toString('hex');
  const args = [
    ...serverArgs(dataFolder),
    '--host',
    '127.0.0.1',
    '--port',
    String(chosenPort),
    '--connection-token',
    token,
  ];
  // Without this flag VS Code ignores the payload that names the extension under development, silently.
  if (extension.development) args.push('--enable-smoke-test-driver');
  const child = spawn(hostPaths().node, args, { env: childEnv, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = async () => {
    await killGroup(child);
    if (ownData) rmSync(dataFolder, { recursive: true, force: true, maxRetries: 3 });
  };
  try {
    await listening(child, startTimeoutMs);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: workbenchUrl({ port: chosenPort, token, folder, extension }),
    port: chosenPort,
    pid: child.pid,
    data: dataFolder,
    exited: new Promise((done) => child.once('exit', done)),
    errorLines: () => errorLines(dataFolder),
    stop,
  };
}

function serverArgs(dataFolder) {
  return [
    join(hostPaths().server, 'out', 'server-main.js'),
    '--server-data-dir',
    dataFolder,
    '--accept-server-license-terms',
    '--disable-telemetry',
    '--disable-workspace-trust',
  ];
}

/** The server's environment: no extension gallery, and nothing that an outer npm or Electron left behind. */
function hostEnv() {
  const kept = Object.entries(processEnv).filter(
    ([name]) => !/^(npm_|NODE_OPTIONS$|VSCODE_|ELECTRON_|VITEST)/.test(name),
  );
  return { ...Object.fromEntries(kept), EXTENSIONS_GALLERY: '{"serviceUrl":""}' };
}

/** What a person set in an earlier run of the same data folder stays; `settings` of this run come on top. */
function writeSettings(dataFolder, settings) {
  const file = join(dataFolder, 'data', 'User', 'settings.json');
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify({ ...quietSettings, ...readSettings(file), ...settings }, null, 2));
}

function readSettings(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}

function linkExtension(dataFolder, repository) {
  const { publisher, name } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8'));
  const extensions = join(dataFolder, 'extensions');
  mkdirSync(extensions, { recursive: true });
  // VS Code reads the folder only while there is no list of installed extensions.
  rmSync(join(extensions, 'extensions.json'), { force: true });
  const link = join(extensions, `${publisher}.${name}`);
  rmSync(link, { recursive: true, force: true });
  symlinkSync(resolve(repository), link, 'dir');
}

function installVsix(dataFolder, vsix, env) {
  const args = [...serverArgs(dataFolder), '--install-extension', vsix, '--force'];
  const run = spawnSync(hostPaths().node, args, { env, encoding: 'utf8', timeout: 180_000 });
  if (run.status !== 0 || !/successfully installed/.test(run.stdout))
    throw new Error(`VS Code would not install ${vsix}:\n${run.error?.message ?? run.stdout + run.stderr}`);
}

function workbenchUrl({ port, token, folder, extension }) {
  const url = new URL(`http://127.0.0.1:${port}/`);
  url.searchParams.set('folder', resolve(folder));
  url.searchParams.set('tkn', token);
  if (extension.development) {
    const remote = (path) => `vscode-remote://127.0.0.1:${port}${resolve(path)}`;
    const payload = [
      ['extensionDevelopmentPath', remote(extension.development.path)],
      ['skipWelcome', 'true'],
    ];
    const { tests } = extension.development;
    if (tests) payload.push(['extensionTestsPath', remote(tests)]);
    url.searchParams.set('payload', JSON.stringify(payload));
  }
  return url.href;
}

function listening(child, timeoutMs) {
  return new Promise((done, fail) => {
    let output = '';
    const timer = setTimeout(
      () => fail(new Error(`VS Code did not start in ${timeoutMs / 1000} s:\n${output}`)),
      timeoutMs,
    );
    const settle = (action) => {
      clearTimeout(timer);
      action();
    };
    const onData = (chunk) => {
      output = (output + chunk).slice(-8000);
      if (output.includes('Extension host agent listening')) settle(done);
    };
    child.stdout.on('data', onData);
    child.stderr.on('data', onData);
    child.once('error', (error) => settle(() => fail(error)));
    child.once('exit', (code) => settle(() => fail(new Error(`VS Code ended at start with code ${code}:\n${output}`))));
  });
}

/**
 * Ends a detached child and everything it started: extension hosts and watchers outlive a killed server otherwise.
 * @param {import('node:child_process').ChildProcess} child started with `detached: true`
 */
export async function killGroup(child) {
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
      return true;
    } catch {
      return false;
    }
  };
  if (!child.pid || !signal('SIGTERM')) return;
  for (let waited = 0; waited < 3000; waited += 100) {
    await sleep(100);
    if (!signal(0)) return;
  }
  signal('SIGKILL');
}

function errorLines(dataFolder) {
  const logs = join(dataFolder, 'data', 'logs');
  if (!existsSync(logs)) return [];
  return readdirSync(logs, { recursive: true })
    .filter((name) => name.endsWith('remoteexthost.log') || /mechanist/i.test(name))
    .flatMap((name) => readLines(join(logs, name)))
    .filter((line) => line.includes('[error]'));
}

function readLines(file) {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/**
 * A port of 127.0.0.1 that nobody listens on.
 * @param {number} [wanted] taken when it is free
 * @returns {Promise<number>}
 */
export function freePort(wanted = 0) {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once('error', (error) => (wanted === 0 ? fail(error) : freePort().then(done, fail)));
    probe.listen(wanted, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}
