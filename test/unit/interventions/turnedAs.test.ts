import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { load, REFERENCE } from '../reference/referenceFigures.ts';

const figures = JSON.parse(readFileSync(join(REFERENCE, 'rotary-swap.json'), 'utf8')) as {
  readonly ids: readonly number[];
  readonly turnedAs: readonly number[];
  readonly models: Readonly<Record<string, { readonly clean: readonly number[]; readonly swapped: readonly number[] }>>;
};
const cache = mkdtempSync(join(tmpdir(), 'mechanist-turned-'));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

describe.each(Object.entries(figures.models))('rotary positions of %s', (name, { clean, swapped }) => {
  const { ids, turnedAs } = figures;
  const lastLogits = async (turned?: readonly number[]) => {
    const engine = await load(join(REFERENCE, 'models', name), cache);
    try {
      const run = await engine.runner.runWith([ids], { interventions: [], turnedAs: turned });
      return (await run.logits()).data;
    } finally {
      await engine.close();
    }
  };
  const own = ids.map((_, at) => at);

  it('exchanged between two tokens give the logits of transformers', async () => {
    expect(largest(await lastLogits(), clean)).toBeLessThan(1e-4);
    expect(largest(await lastLogits(turnedAs), swapped)).toBeLessThan(1e-4);
    expect(largest(clean, swapped)).toBeGreaterThan(0.1);
  });

  it('are their own: no bit changes; all moved on alike: nothing but rounding changes', async () => {
    const plain = await lastLogits();
    expect(await lastLogits(own)).toEqual(plain);
    expect(largest(await lastLogits(own.map((at) => at + 6)), plain)).toBeLessThan(1e-4);
  });
});

it('are refused where there are none, or not one for each token', async () => {
  const engine = await load(join(REFERENCE, 'models', 'gpt2'), cache);
  try {
    const run = (turnedAs: readonly number[]) => engine.runner.runWith([[1, 2, 3]], { interventions: [], turnedAs });
    await expect(run([0, 1, 2])).rejects.toThrow('does not turn queries and keys');
  } finally {
    await engine.close();
  }
  const rotary = await load(join(REFERENCE, 'models', 'llama-tied'), cache);
  try {
    const run = rotary.runner.runWith([[1, 2, 3]], { interventions: [], turnedAs: [0, 1] });
    await expect(run).rejects.toThrow('one position from 0 on for each of the 3 tokens, not 2');
  } finally {
    await rotary.close();
  }
});
