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
createRequire(import.meta.url)(program);
