import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { ObservableSpec } from '../../../src/shared/engineProtocol.ts';
import { load, SMALL_WORLD } from './referenceFigures.ts';

const WOMEN = ['Mary', 'Anna', 'Lisa', 'Emma', 'Sarah', 'Kate', 'Rose', 'Elena'];
const MEN = ['John', 'Peter', 'Paul', 'Mark', 'David', 'Tom', 'Frank', 'Victor'];
const SHE_JOBS = ['nurse', 'secretary', 'librarian', 'maid', 'dancer', 'nanny', 'florist', 'receptionist'];
const HE_JOBS = ['farmer', 'carpenter', 'soldier', 'plumber', 'mechanic', 'pilot', 'miner', 'guard'];
const SHE_HE = { ' she': 1, ' he': -1 };
const FRAMES = ['{} said that', '{} is late because', 'In the evening, {} told us that', '{} went to the shop because'];

// What the examples, hovers and panels rely on when there is no network; the model card has the whole account.
describe('the bundled model', () => {
  let cache: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-reference-'));
    engine = await load(SMALL_WORLD, cache);
  });
  afterAll(async () => {
    await engine?.close();
    await rm(cache, { recursive: true, force: true });
  });

  const value = async (prompt: string, observable: ObservableSpec) => {
    const document = await engine.trace({ model: 'small-world', prompt, observable, method: 'direct' });
    return document.observable.value;
  };
  const inFrame = (frame: string, who: string) => {
    const text = frame.replace('{}', who);
    return text.charAt(0).toUpperCase() + text.slice(1);
  };

  it.each(FRAMES)('tells she from he by name and by job: %s', async (frame) => {
    for (const [sign, names, jobs] of [[1, WOMEN, SHE_JOBS] as const, [-1, MEN, HE_JOBS] as const]) {
      for (const name of names)
        expect(sign * (await value(inFrame(frame, name), SHE_HE)), `${frame} ${name}`).toBeGreaterThan(2);
      for (const job of jobs) {
        expect(sign * (await value(inFrame(frame, `the ${job}`), SHE_HE)), `${frame} ${job}`).toBeGreaterThan(0.5);
      }
    }
  });

  it('gives to the one who is not giving, whoever is named first', async () => {
    for (const [i, she] of WOMEN.entries()) {
      const he = MEN[i];
      const observable = { [` ${she}`]: 1, [` ${he}`]: -1 };
      const start = `When ${she} and ${he} went to the shop,`;
      expect(await value(`${start} ${he} gave a drink to`, observable)).toBeGreaterThan(2);
      expect(await value(`${start} ${she} gave a drink to`, observable)).toBeLessThan(-2);
    }
  });
});
