// Bundles the four programs: extension host, engine process, command line, webview panels.
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';
import { bundledPackages, thirdPartyNotices } from './scripts/support/thirdPartyNotices.mjs';

const production = process.argv.includes('--production');
/** `node esbuild.mjs cli` builds that program only. */
const only = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const common = {
  bundle: true,
  sourcemap: !production,
  minify: production,
  logLevel: 'warning',
  // The licences stand in dist/THIRD_PARTY_NOTICES.txt.
  legalComments: 'none',
  metafile: true,
};
const node = {
  ...common,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  external: ['vscode', 'onnxruntime-node'],
  // Packages that ship only ES modules ask for import.meta.url; give them the bundle's own address.
  define: { 'import.meta.url': '__bundle_url' },
  banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
};

mkdirSync('dist', { recursive: true });
const entries = [
  {
    ...node,
    entryPoints: { extension: 'src/extension/extension.ts' },
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
  },
  { ...node, entryPoints: { engine: 'src/engine/main.ts' }, outdir: 'dist', outExtension: { '.js': '.cjs' } },
  { ...node, entryPoints: { cli: 'src/cli/main.ts' }, outdir: 'dist', outExtension: { '.js': '.cjs' } },
  {
    ...common,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    entryPoints: {
      trace: 'src/webview/trace/main.tsx',
      grid: 'src/webview/grid/main.tsx',
      results: 'src/webview/results/main.tsx',
      circuit: 'src/webview/circuit/main.tsx',
      dataset: 'src/webview/dataset/main.tsx',
    },
    outdir: 'dist/webview',
  },
];
const metafiles = [];
for (const entry of entries) {
  const [[name, file]] = Object.entries(entry.entryPoints);
  if (existsSync(file) && (only.length === 0 || only.includes(name))) metafiles.push((await build(entry)).metafile);
}
cpSync('node_modules/@vscode/codicons/dist/codicon.css', 'dist/webview/codicon.css');
cpSync('node_modules/@vscode/codicons/dist/codicon.ttf', 'dist/webview/codicon.ttf');
if (only.length === 0) writeFileSync('dist/THIRD_PARTY_NOTICES.txt', thirdPartyNotices(bundledPackages(metafiles)));
