// Running and finding programs, for the scripts beside.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { env, platform } from 'node:process';
import { fileURLToPath } from 'node:url';

/** Root folder of the repository. */
export const root = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd?: string, env?: Record<string, string>, quiet?: boolean, signal?: AbortSignal, timeoutMs?: number}} [options]
 *   `quiet` keeps the output back and returns it; otherwise it goes to the terminal.
 * @returns {Promise<{code: number, output: string}>} code 127 when the program is not there
 */
export function runProgram(command, args, options = {}) {
  const { cwd = root, env: extra = {}, quiet = false, signal, timeoutMs } = options;
  return new Promise((done) => {
    const stdio = quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'];
    const child = spawn(command, args, {
      cwd,
      env: { ...env, ...extra },
      stdio,
      signal,
      timeout: timeoutMs,
      shell: platform === 'win32' && !command.endsWith('.exe'),
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk) => {
        output = (output + chunk).slice(-200_000);
      });
    child.on('error', (error) => done({ code: 127, output: `${output}${error.message}` }));
    child.on('close', (code) => done({ code: code ?? 1, output }));
  });
}

/**
 * Full path of a program on the PATH, or null.
 * @param {string} name
 */
export function findProgram(name) {
  const endings = platform === 'win32' ? ['.exe', '.cmd', ''] : [''];
  for (const folder of (env.PATH ?? '').split(delimiter))
    for (const ending of endings) {
      const file = join(folder, name + ending);
      if (isExecutable(file)) return file;
    }
  return null;
}

/**
 * @param {string} file
 */
export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
