// `npm start`: builds, fetches the default model, and opens examples/ in a real VS Code with this extension.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process, { env, exit, platform, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { freePort, startServer } from '../tools/vscode-host/host.mjs';
import { hostUnavailable, setUpHost } from '../tools/vscode-host/setup.mjs';
import { findProgram, root, runProgram } from './support/programs.mjs';

const defaultModel = 'smollm2-135m';
const usage = `Usage: npm start -- [options]

  --desktop       use the desktop VS Code (\`code\` on the PATH) instead of the browser-hosted one
  --folder DIR    open this folder instead of examples/
  --vsix FILE     install this packed extension instead of linking the repository
  --port N        listen on this port (default 7321, or any free one)
  --data DIR      keep VS Code's settings and state here (default .vscode-test/start)
  --no-open       do not open a browser
  --no-pull       do not fetch the default model
`;

const say = (line) => stderr.write(`${line}\n`);

async function main() {
  const options = readOptions();
  await build();
  if (options.pull) await pullModel();
  const unavailable = hostUnavailable();
  if (unavailable && !options.desktop) say(`${unavailable}: using the desktop VS Code.`);
  if (options.desktop || unavailable) return startDesktop(options);
  await setUpHost({ log: say });
  await startBrowserHost(options);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      desktop: { type: 'boolean' },
      folder: { type: 'string', default: join(root, 'examples') },
      vsix: { type: 'string' },
      port: { type: 'string' },
      data: { type: 'string', default: join(root, '.vscode-test', 'start') },
      'no-open': { type: 'boolean' },
      'no-pull': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    stdout.write(usage);
    exit(0);
  }
  const port = values.port === undefined ? undefined : Number(values.port);
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
    throw new UsageError(`--port wants a number from 1 to 65535, not "${values.port}".`);
  for (const path of [values.folder, values.vsix])
    if (path !== undefined && !existsSync(path)) throw new UsageError(`There is no ${path}.`);
  return { ...values, port, open: !values['no-open'], pull: !values['no-pull'] };
}

class UsageError extends Error {}

async function build() {
  const { code, output } = await runProgram(process.execPath, ['esbuild.mjs'], { quiet: true });
  if (code !== 0) throw new Error(`The build failed:\n${output}`);
}

/** A start without the real model still works, on a bundled one; so a failure is told and nothing more. */
async function pullModel() {
  const cli = join(root, 'dist', 'cli.cjs');
  if (!existsSync(cli)) return;
  const child = spawn(process.execPath, [cli, 'models', 'pull', defaultModel], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors = (errors + chunk).slice(-4000);
    if (stderr.isTTY) stderr.write(chunk);
  });
  const code = await new Promise((done) => {
    child.on('error', () => done(1));
    child.on('close', done);
  });
  const reason =
    errors
      .trim()
      .split(/[\r\n]+/)
      .at(-1) ?? '';
  if (code !== 0) say(`${defaultModel} could not be fetched; going on with the bundled model. ${reason}`);
}

async function startBrowserHost(options) {
  const port = options.port ?? (await freePort(7321));
  const server = await startServer({
    folder: options.folder,
    extension: options.vsix ? { vsix: resolve(options.vsix) } : { link: root },
    port,
    data: resolve(options.data),
  });
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    await server.stop();
    exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  stdout.write(`${server.url}\n`);
  say('VS Code is running at the address above. Ctrl+C stops it.');
  if (options.open) openBrowser(server.url);
  const code = await server.exited;
  if (!stopping) throw new Error(`VS Code ended unexpectedly (code ${code}).`);
}

/** Opens the browser where there is one; a machine without is no failure. */
function openBrowser(url) {
  const [command, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start', '""'] }[platform] ?? ['xdg-open'];
  if (platform === 'linux' && (!(env.DISPLAY || env.WAYLAND_DISPLAY) || !findProgram(command))) return;
  const child = spawn(command, [...args, url], { stdio: 'ignore', detached: true });
  child.on('error', () => {});
  child.unref();
}

async function startDesktop(options) {
  if (!findProgram('code'))
    throw new Error(
      'There is no `code` on the PATH. In VS Code run "Shell Command: Install \'code\' command in PATH", then start again.',
    );
  const folder = resolve(options.folder);
  if (options.vsix) {
    const { code } = await runProgram('code', ['--install-extension', resolve(options.vsix), '--force']);
    if (code !== 0) throw new Error(`The desktop VS Code would not install ${options.vsix}.`);
  }
  const development = options.vsix ? [] : [`--extensionDevelopmentPath=${root}`];
  const { code } = await runProgram('code', ['--new-window', ...development, folder]);
  if (code !== 0) throw new Error(`The desktop VS Code ended with code ${code}.`);
}

main().catch((error) => {
  const wrongUse = error instanceof UsageError || /^ERR_PARSE_ARGS/.test(error.code ?? '');
  say(error.message);
  if (wrongUse) say(`\n${usage}`);
  exit(wrongUse ? 2 : 1);
});
