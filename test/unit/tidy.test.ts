import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commandTitles, promptLanguageId, settingDefaults } from '../../src/shared/contributions.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (name: string) => readFileSync(join(root, name), 'utf8');
const manifest = JSON.parse(read('package.json'));

function filesUnder(folder: string, ending: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
    .sort();
}

/** Text files that git knows, or would know: whatever a clone may hold one day. */
function ownFiles(): string[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1e8,
  });
  return listed
    .split('\0')
    .filter((name) =>
      /\.(ts|tsx|mts|mjs|js|json|jsonc|md|py|yaml|yml|txt|css|prompt)$|(^|\/)(run|\.[a-z]+)$/.test(name),
    )
    .filter((name) => existsSync(join(root, name)));
}

/** Commands that the palette never shows: links and lenses run them. */
function hiddenCommands(): ReadonlySet<string> {
  const items: readonly { readonly command: string; readonly when: string }[] =
    manifest.contributes.menus.commandPalette;
  return new Set(items.filter(({ when }) => when === 'false').map(({ command }) => command));
}

describe('package.json, the code and the README name the same things', () => {
  it('has one command for each in contributions.ts, under the same title', () => {
    const declared = Object.fromEntries(
      manifest.contributes.commands.map((c: { command: string; title: string }) => [c.command, c.title]),
    );
    expect(declared).toEqual(commandTitles);
    for (const { category } of manifest.contributes.commands) expect(category).toBe('Mechanist');
  });

  it('has one setting for each in contributions.ts, with the same default', () => {
    const { properties } = manifest.contributes.configuration;
    const declared = Object.fromEntries(
      Object.entries(properties).map(([id, value]) => [id, (value as { default: unknown }).default]),
    );
    const inCode = Object.fromEntries(Object.entries(settingDefaults).map(([id, value]) => [`mechanist.${id}`, value]));
    expect(declared).toEqual(inCode);
  });

  it('contributes the prompt language with a configuration file that exists', () => {
    const [language] = manifest.contributes.languages;
    expect(language.id).toBe(promptLanguageId);
    expect(existsSync(join(root, language.configuration))).toBe(true);
    for (const grammar of manifest.contributes.grammars) expect(existsSync(join(root, grammar.path))).toBe(true);
  });

  it('lists every command of the palette and every setting in the README', () => {
    const readme = read('README.md');
    const hidden = hiddenCommands();
    const wanted = [
      ...Object.entries(commandTitles).flatMap(([id, title]) => (hidden.has(id) ? [] : [`Mechanist: ${title}`])),
      ...Object.keys(settingDefaults).map((id) => `mechanist.${id}`),
    ];
    expect(wanted.filter((text) => !readme.includes(text))).toEqual([]);
  });

  it('keeps the number of commands that the palette shows, and of settings, small', () => {
    const hidden = hiddenCommands();
    expect(Object.keys(commandTitles).filter((id) => !hidden.has(id)).length).toBeLessThanOrEqual(15);
    expect(Object.keys(settingDefaults).length).toBeLessThanOrEqual(12);
  });

  it('has a changelog heading for this version, or one for what is unreleased', () => {
    const headings = read('CHANGELOG.md').match(/^## \[(.+?)\]/gm) ?? [];
    expect(headings.some((h) => h.includes(manifest.version) || h.includes('Unreleased'))).toBe(true);
  });
});

describe('sources', () => {
  it('has no file of more than 300 lines in src', () => {
    const long = filesUnder('src', /\.(ts|tsx)$/).filter((name) => read(name).split('\n').length > 301);
    expect(long).toEqual([]);
  });

  it('names no place of the machine it was written on', () => {
    const place = /(^|[\s"'`(=:])\/(work|root|opt\/ref)\//m;
    const guilty = ownFiles().filter((name) => name !== 'test/unit/tidy.test.ts' && place.test(read(name)));
    expect(guilty).toEqual([]);
  });

  it('records no registry address in the lock files', () => {
    for (const name of ['package-lock.json', 'tools/vscode-host/package-lock.json'])
      expect(read(name)).not.toMatch(/"resolved": "(?!https:\/\/registry\.npmjs\.org\/)/);
  });

  it('runs every test file there is', () => {
    const known = /^test\/(unit\/.*\.test\.tsx?|host\/suite\/[^/]+\.test\.ts|e2e\/[^/]+\.e2e\.ts)$/;
    expect(filesUnder('test', /\.(test|e2e)\.tsx?$/).filter((name) => !known.test(name))).toEqual([]);
  });

  it('skips no test without a condition', () => {
    const skips = /\b(it|test|describe)\.(skip|todo|only)\b/;
    expect(filesUnder('test', /\.tsx?$/).filter((n) => n !== 'test/unit/tidy.test.ts' && skips.test(read(n)))).toEqual(
      [],
    );
  });
});

describe('analyses', () => {
  /** An analysis is a function of a context: its name, its file, and the comment over it. */
  const analyses = filesUnder('src/core/analyses', /\.ts$/).flatMap((file) =>
    [
      ...read(file).matchAll(
        /(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\nexport async function (\w+)\(\s*context: AnalysisContext/g,
      ),
    ].map(([, comment, name]) => ({ name, file, comment })),
  );
  const exported = filesUnder('src/core/analyses', /\.ts$/).flatMap((file) => [
    ...read(file).matchAll(/export async function \w+\(\s*context: AnalysisContext/g),
  ]);
  const textOf = (folder: string) => filesUnder(folder, /\.ts$/).map(read).join('\n');

  it('has a comment over each', () => {
    expect(analyses.length).toBeGreaterThan(0);
    expect(analyses.length).toBe(exported.length);
  });

  it.each(analyses)('$name says what it costs in forward passes', ({ comment }) => {
    expect(comment.replaceAll(/\s*\n \* /g, ' ')).toMatch(/forward pass/i);
  });

  it.each(analyses)('$name has a law test and a reference figure', ({ name }) => {
    // headDetail is `.head(…)` of the engine, directAttribution the `direct` of a trace.
    const [word] = /^[a-z]+/.exec(name) ?? [name];
    const used = new RegExp(`\\b${word}\\b`);
    expect(textOf('test/unit/analyses')).toMatch(used);
    expect(textOf('test/unit/reference')).toMatch(used);
  });
});
