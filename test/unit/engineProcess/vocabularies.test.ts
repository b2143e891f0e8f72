import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createModelStore } from '../../../src/core/session/createModelStore.ts';
import { loadModel } from '../../../src/core/session/loadModel.ts';
import { ModelTurns } from '../../../src/engine/modelTurns.ts';
import { Vocabularies } from '../../../src/engine/vocabularies.ts';

const root = resolve(import.meta.dirname, '../../..');
const cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-vocabularies-'));
afterAll(() => rmSync(cacheDir, { recursive: true, force: true }));

const store = createModelStore({
  ...{ cacheDir, bundledDir: join(root, 'models'), cwd: root, hubUrl: undefined },
  availableBytes: () => 8e9,
});
const job = { signal: new AbortController().signal, onProgress: () => undefined };

describe('vocabularies', () => {
  it('take the tokenizer of a model that is open, and read that of one that is not', async () => {
    const turns = new ModelTurns(store, (located, on) =>
      loadModel(store, located, { threads: 1, cacheBytes: 0, version: '0.0.0-test' }, on),
    );
    const vocabularies = () => new Vocabularies(store, (key) => turns.reader(key));
    const before = await vocabularies().reader('small-world');
    const open = await turns.withModel('small-world', job, ({ model }) => model);
    const now = await vocabularies().reader('small-world');
    expect(now.tokenizer).toBe(open.tokenizer);
    expect(before.tokenizer).not.toBe(open.tokenizer);
    expect(now.nCtx).toBe(before.nCtx);
    expect((await vocabularies().complete('small-world', 'sh', 3)).map(({ text }) => text)).toContain(' she');
  });
});
