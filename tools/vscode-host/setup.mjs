// Makes a real VS Code out of npm packages alone: code-server's VS Code server, its modules, and the Node it wants.
// Run it as a program (`node tools/vscode-host/setup.mjs`) or call `setUpHost`. Does nothing when all is in place.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { delimiter, join } from 'node:path';
import { argv, env, exit, stderr } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const serverFolder = join(here, 'node_modules', 'code-server', 'lib', 'vscode');
const nodeFolder = join(here, 'node_modules', `node-linux-${arch()}`);
const stampFile = join(here, 'node_modules', '.mechanist-setup');

/** Parts of code-server that nothing here uses, 0.2 GB. */
const unused = ['node_modules/@github/copilot-sdk-linux-x64', 'node_modules/@microsoft/mxc-sdk', 'extensions/copilot'];
/** Optional: without them VS Code runs but writes no log files. */
const nativeModules = ['@vscode/spdlog', '@vscode/native-watchdog'];

/**
 * Why this machine cannot run the browser-hosted VS Code, or null when it can.
 * @returns {string | null}
 */
export function hostUnavailable() {
  if (platform() !== 'linux') return `the browser-hosted VS Code runs on Linux only, this is ${platform()}`;
  if (arch() !== 'x64' && arch() !== 'arm64') return `the browser-hosted VS Code needs x64 or arm64, this is ${arch()}`;
  return null;
}

/**
 * Where the VS Code server lies: its folder, and the Node program that runs it.
 * `VSCODE_SERVER_DIR` and `VSCODE_SERVER_NODE` name another one, to test the oldest supported VS Code.
 * @returns {{server: string, node: string}}
 */
export function hostPaths() {
  return {
    server: env.VSCODE_SERVER_DIR ?? serverFolder,
    node: env.VSCODE_SERVER_NODE ?? join(nodeFolder, 'bin', 'node'),
  };
}

/**
 * Installs the VS Code server when it is not there yet (about two minutes and 0.5 GB the first time).
 * @param {{log?: (line: string) => void}} [options]
 * @returns {Promise<void>}
 * @throws {Error} with what failed and what to do.
 */
export async function setUpHost({ log = () => {} } = {}) {
  const reason = hostUnavailable();
  if (reason) throw new Error(`${reason}. Use a desktop VS Code: npm start -- --desktop`);
  if (env.VSCODE_SERVER_DIR) return;
  const stamp = wantedStamp();
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  log('setting up VS Code from npm (once, about two minutes)');
  await npm(['ci', '--ignore-scripts', '--no-audit', '--no-fund'], here);
  // Not `npm ci`: the shrinkwrap that code-server ships lacks an entry.
  await npm(['install', '--omit=dev', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'], serverFolder);
  for (const part of unused) rmSync(join(serverFolder, part), { recursive: true, force: true });
  checkNode();
  await rebuildNative(log);
  writeFileSync(stampFile, stamp);
  log('VS Code is set up');
}

function wantedStamp() {
  const hash = createHash('sha256');
  for (const file of ['package-lock.json', 'setup.mjs']) hash.update(readFileSync(join(here, file)));
  return hash.update(arch()).digest('hex');
}

function checkNode() {
  const { node } = hostPaths();
  const probe = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (probe.status !== 0)
    throw new Error(`The Node that VS Code needs does not run here (${probe.error?.message ?? probe.stderr.trim()}).`);
}

async function rebuildNative(log) {
  try {
    await npm(['rebuild', ...nativeModules, '--ignore-scripts=false'], serverFolder, {
      PATH: `${join(nodeFolder, 'bin')}${delimiter}${env.PATH}`,
      // The Node package carries its headers, so that node-gyp downloads nothing.
      npm_config_nodedir: nodeFolder,
    });
  } catch {
    log('VS Code will write no log files: its log module could not be compiled (needs g++, make, python3)');
  }
}

/** Runs npm quietly; its output is shown only when it fails. */
function npm(args, cwd, extraEnv = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn('npm', args, { cwd, env: { ...cleanEnv(), ...extraEnv }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        output = (output + chunk).slice(-6000);
      });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`npm ${args.join(' ')} failed in ${cwd}:\n${output}`));
    });
  });
}

/** What an outer `npm start` says about itself would redirect this npm to the outer project. */
function cleanEnv() {
  const kept = Object.entries(env).filter(
    ([name]) => !/^npm_(package|lifecycle|command|config_local_prefix)/.test(name),
  );
  return Object.fromEntries(kept);
}

if (argv[1] && import.meta.url === pathToFileURL(argv[1]).href) {
  setUpHost({ log: (line) => stderr.write(`${line}\n`) }).catch((error) => {
    stderr.write(`${error.message}\n`);
    exit(1);
  });
}
