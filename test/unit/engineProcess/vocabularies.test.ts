import { afterAll, describe, expect, it } from 'vitest';
import { Vocabularies } from '../../../src/engine/vocabularies.ts';
import { bundledTurns } from '../../support/bundledTurns.ts';

const { store, turns, remove } = bundledTurns();
afterAll(remove);

const job = { signal: new AbortController().signal, onProgress: () => undefined };

describe('vocabularies', () => {
  it('take the tokenizer of a model that is open, and read that of one that is not', async () => {
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
