// `npm run package`: one VSIX for one platform, and a check that it holds exactly the files of the committed list.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join, relative } from 'node:path';
import process, { exit } from 'node:process';
import { parseArgs } from 'node:util';
import { createVSIX, listFiles } from '@vscode/vsce';
import { root } from './support/programs.mjs';

const listFile = join(root, 'test', 'package', 'files.txt');
const platforms = { linux: 'linux', darwin: 'darwin', win32: 'win32' };
const sizeLimitMB = 40;

function readOptions() {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', default: `${platforms[platform()]}-${arch()}` },
      out: { type: 'string', short: 'o' },
      'update-list': { type: 'boolean' },
    },
  });
  return { ...values, out: values.out ?? join(root, 'dist', `mechanist-${values.target}.vsix`) };
}

/** The engine's native library, whole folder, for `target` only: the package carries those of all platforms, 288 MB. */
function nativeFolder(target) {
  const [os, cpu] = target.split('-');
  const api = readdirSync(join(root, 'node_modules', 'onnxruntime-node', 'bin')).find((name) =>
    name.startsWith('napi'),
  );
  const folder = `node_modules/onnxruntime-node/bin/${api}/${os}/${cpu}`;
  if (!existsSync(join(root, folder))) throw new Error(`onnxruntime-node has no library for ${target} (${folder}).`);
  return folder;
}

function writeIgnoreFile(target) {
  const file = join(root, 'dist', `.vscodeignore-${target}`);
  mkdirSync(join(root, 'dist'), { recursive: true });
  const folder = nativeFolder(target);
  // macOS gets the library twice, under two names; the binding loads the one with the short name.
  const libraries = readdirSync(join(root, folder)).filter((name) => !/\.\d+\.\d+\.\d+\.dylib$/.test(name));
  const lines = libraries.map((name) => `!${folder}/${name}\n`);
  writeFileSync(file, readFileSync(join(root, '.vscodeignore'), 'utf8') + lines.join(''));
  return relative(root, file);
}

/** Names with the platform's own parts cut out, so that one list serves all platforms. */
function comparable(files, target) {
  const native = `${nativeFolder(target)}/`;
  const names = files.map((name) => name.replaceAll('\\', '/')).filter((name) => !name.startsWith(native));
  return [...new Set(names)].sort();
}

function checkList(names, update) {
  if (update) {
    mkdirSync(join(root, 'test', 'package'), { recursive: true });
    writeFileSync(listFile, `${names.join('\n')}\n`);
    return;
  }
  const expected = readFileSync(listFile, 'utf8').trim().split('\n');
  const extra = names.filter((name) => !expected.includes(name));
  const missing = expected.filter((name) => !names.includes(name));
  if (extra.length + missing.length > 0)
    throw new Error(
      [
        'The package does not hold the files of test/package/files.txt.',
        ...extra.map((name) => `  not in the list: ${name}`),
        ...missing.map((name) => `  not in the package: ${name}`),
        'Where this is meant: npm run package -- --update-list',
      ].join('\n'),
    );
}

async function main() {
  const { target, out, 'update-list': update } = readOptions();
  const built = spawnSync(process.execPath, ['esbuild.mjs', '--production'], { cwd: root, stdio: 'inherit' });
  if (built.status !== 0) throw new Error('The build failed.');
  const ignoreFile = writeIgnoreFile(target);
  checkList(comparable(await listFiles({ cwd: root, ignoreFile }), target), update);
  await createVSIX({ cwd: root, target, packagePath: out, ignoreFile, preRelease: false });
  const megabytes = statSync(out).size / 1e6;
  console.log(`${relative(root, out)}: ${megabytes.toFixed(1)} MB`);
  if (megabytes > sizeLimitMB) throw new Error(`That is more than the ${sizeLimitMB} MB that one platform may take.`);
}

main().catch((error) => {
  console.error(error.message);
  exit(1);
});
