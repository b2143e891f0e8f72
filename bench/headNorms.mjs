// Norms of all heads of a model of 1.3 billion parameters: node bench/headNorms.mjs [THREADS]. Writes 0.8 GB to the temporary folder.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const outfile = join(root, 'dist', 'bench', 'headNorms.mjs');
await build({
  entryPoints: [join(root, 'bench', 'headNorms.ts')],
  ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20', packages: 'external', outfile },
});
process.exitCode = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
