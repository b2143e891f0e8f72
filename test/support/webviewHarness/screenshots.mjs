// node test/support/webviewHarness/screenshots.mjs FOLDER [grid | figures | circuit | dataset | coupling [PART OF A NAME] | STATE.json]: pictures of the trace
// panel (or of the heat-map panel, of experiments' results, of circuits, or of datasets) in all themes and widths.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const [folder, state, only] = process.argv.slice(2);
const others = {
  grid: 'shootGrid',
  figures: 'shootFigures',
  circuit: 'shootCircuit',
  dataset: 'shootDataset',
  coupling: 'shootCoupling',
};
if (folder === undefined) {
  console.error(
    'usage: node test/support/webviewHarness/screenshots.mjs FOLDER [grid | figures | circuit | dataset | coupling [PART] | STATE.json]',
  );
  process.exit(2);
}
// Inside the repository, so that packages are found.
const temp = mkdtempSync(join('node_modules', '.harness-'));
try {
  const outfile = join(temp, 'shoot.mjs');
  await build({
    entryPoints: [`test/support/webviewHarness/${others[state] ?? 'shoot'}.ts`],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'error',
  });
  const { shoot } = await import(pathToFileURL(outfile).href);
  await shoot(folder, others[state] === undefined ? state : only);
} finally {
  rmSync(temp, { recursive: true, force: true });
}
