// The licences of everything that is bundled into dist, as those licences ask for.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Packages (folders under node_modules) whose files went into the bundles of esbuild's metafiles. */
export function bundledPackages(metafiles) {
  const folders = new Set([
    'node_modules/@vscode/codicons',
    'node_modules/onnxruntime-node',
    'node_modules/onnxruntime-common',
  ]);
  for (const { inputs } of metafiles) {
    for (const input of Object.keys(inputs)) {
      const match = input.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//);
      if (match) folders.add(match[1]);
    }
  }
  return [...folders].sort();
}

/** One section per package: name, version, licence, and its licence file. A package without any licence stops the build. */
export function thirdPartyNotices(folders) {
  const sections = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    if (!license && !file) throw new Error(`${name} ${version} names no licence: it cannot be shipped.`);
    const text = file && existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8').trim() : '';
    return `${name} ${version} (${license ?? 'see below'})\n\n${text}\n`;
  });
  return `Mechanist contains these packages.\n\n${sections.join(`\n${'-'.repeat(80)}\n\n`)}`;
}
