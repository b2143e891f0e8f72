import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const MODELS = join(import.meta.dirname, '../../../models');

it('models/README.md has the sha256 of every file that is made by a script', () => {
  const readme = readFileSync(join(MODELS, 'README.md'), 'utf8');
  const files = ['small-world', 'acronyms', 'planted', 'reference'].flatMap((folder) =>
    readdirSync(join(MODELS, folder)).map((name) => `${folder}/${name}`),
  );
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const hash = createHash('sha256')
      .update(readFileSync(join(MODELS, file)))
      .digest('hex');
    const row = readme.split('\n').find((line) => line.startsWith(`| \`${file}\``));
    expect(row, `${file}: run scripts/reference/writeModelsReadme.py`).toContain(hash);
  }
});
