#!/usr/bin/env node
// The command `mechanist`. In a fresh clone there is nothing built yet, and after a change what is built is old:
// then it builds first.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const program = join(root, 'dist', 'cli.cjs');

/** Time of the newest change to the command line's sources; 0 in an installation without them. */
function newestSource() {
  const folders = ['shared', 'core', 'cli'].map((name) => join(root, 'src', name)).filter(existsSync);
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  return Math.max(0, ...files.map((file) => statSync(file).mtimeMs));
}

if (!existsSync(program) || statSync(program).mtimeMs < newestSource()) {
  try {
    // Standard output belongs to the result.
    execFileSync(process.execPath, ['esbuild.mjs', 'cli'], { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const installed = existsSync(join(root, 'node_modules', 'esbuild'));
    const why = installed ? `\n${error.stderr ?? error.message}` : ' Run `npm ci` first.';
    process.stderr.write(`mechanist: the program could not be built.${why}\n`);
    process.exit(1);
  }
}
// As in the engine process of the extension: what one layer frees serves the next (src/extension/engineClient.ts).
const allocator = { MALLOC_MMAP_THRESHOLD_: String(32 << 20), MALLOC_TRIM_THRESHOLD_: String(512 << 20) };
if (process.platform === 'linux' && !('MALLOC_TRIM_THRESHOLD_' in process.env) && 'execve' in process) {
  // Node 22.15 and later; older ones go on without.
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, args, { ...allocator, ...process.env });
}
createRequire(import.meta.url)(program);
