// node test/support/webviewHarness/screenshots.mjs FOLDER [grid | STATE.json]: pictures of the trace panel (or, with `grid`, of
// the heat-map panel) in all themes and widths.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const [folder, state] = process.argv.slice(2);
if (folder === undefined) {
  console.error('usage: node test/support/webviewHarness/screenshots.mjs FOLDER [STATE.json]');
  process.exit(2);
}
// Inside the repository, so that packages are found.
const temp = mkdtempSync(join('node_modules', '.harness-'));
try {
  const outfile = join(temp, 'shoot.mjs');
  await build({
    entryPoints: [`test/support/webviewHarness/${state === 'grid' ? 'shootGrid' : 'shoot'}.ts`],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'error',
  });
  const { shoot } = await import(pathToFileURL(outfile).href);
  await shoot(folder, state);
} finally {
  rmSync(temp, { recursive: true, force: true });
}
