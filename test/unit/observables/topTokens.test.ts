import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { topTokens } from '../../../src/core/observables/steps/topTokens.ts';
import { joinSamples, randomOfShare, TokenSample } from '../../../src/core/observables/tokenSample.ts';
import { joinTails, TailsOfFeatures, type TokenTails } from '../../../src/core/observables/tokenTails.ts';
import type { TablePicture } from '../../../src/shared/figures.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { FEMALE, jobPairs, MALE, namePairs } from '../../support/genderPairs.ts';
import { runStep, stepContext } from '../../support/steps.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

describe('samples and ends of a stream', () => {
  const random = seededRandom(8);
  const windows = Array.from({ length: 60 }, () => ({
    ids: Array.from({ length: 6 }, () => random.below(9)),
    first: 1,
  }));
  const scored = (some: typeof windows) => {
    const rows = some.length * 5;
    const own = Float64Array.from(some.flatMap(({ ids }) => ids.slice(1).flatMap((id) => [id + id / 7, -(id ** 2)])));
    return { windows: some, rows, own, at: new Map() };
  };

  it('are those of the whole, however it is cut; a token in one context counts once', () => {
    const size = { size: 12, perToken: 3 };
    const cuts = [windows.slice(0, 7), windows.slice(7, 30), windows.slice(30)];
    const gather = (some: typeof windows): readonly TokenTails[] => {
      const own = new TailsOfFeatures(2, size);
      own.add(scored([...some, ...some.slice(0, 1)]));
      return own.tails;
    };
    const whole = gather(windows);
    const parts = cuts.map(gather);
    for (const feature of [0, 1]) {
      const joined = joinTails(
        parts.map((part) => part[feature]),
        size,
      );
      expect(joined.high.map(({ score }) => score)).toEqual(whole[feature].high.map(({ score }) => score));
      expect(joined.low.map(({ score }) => score)).toEqual(whole[feature].low.map(({ score }) => score));
      const keys = joined.high.map(({ ids, at }) => `${ids} ${at}`);
      expect(new Set(keys).size).toBe(12);
      const own = joined.high.map(({ ids, at }) => ids[at]);
      expect(Math.max(...own.map((id) => own.filter((other) => other === id).length))).toBe(3);
      for (const { ids, at, score } of joined.high)
        expect(score).toBe(feature === 0 ? ids[at] + ids[at] / 7 : -(ids[at] ** 2));
    }
  });

  it('draws every token with equal chance, from the seed', () => {
    const draw = (seed: number) => {
      const samples = [0, 1].map((share) => {
        const sample = new TokenSample(10, randomOfShare(seed, share));
        for (const window of windows.slice(share * 30, share * 30 + 30)) sample.add(scored([window]));
        return sample.tokens;
      });
      return joinSamples(samples, 10);
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
    const all = Array.from({ length: 400 }, (_, seed) => draw(seed));
    expect(all.every((tokens) => tokens.length === 10)).toBe(true);
    const mean = all.flat().reduce((sum, { scores }) => sum + scores[0], 0) / 4000;
    const expected = scored(windows).own.filter((_, i) => i % 2 === 0);
    const of = expected.reduce((sum, score) => sum + score, 0) / expected.length;
    expect(Math.abs(mean - of)).toBeLessThan((3 * 3) / Math.sqrt(4000));
  });
});

describe('top-tokens on small-world', () => {
  let folder: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-top-'));
    engine = await load(SMALL_WORLD, folder);
    const texts = [...FEMALE, ...MALE].flatMap((name) => [
      `${name} said that the shop was late. We saw ${name} in the park.`,
      `In the evening, ${name} gave a drink to the farmer.`,
    ]);
    writeFileSync(join(folder, 'names.txt'), texts.join('\n\n'));
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds female names at one end and male ones at the other, with a head’s feature made from one pair of jobs', async () => {
    const file = (name: string) => ({ path: join(folder, name), hash: name });
    const context = stepContext(engine, jobPairs(engine), { file });
    const feature = { observable: { ' she': 1, ' he': -1 }, path: 'L0.H2@name' };
    const params = { features: [feature], corpus: 'names.txt', top: 20, middle: 5 };
    const { pictures, values, warnings, subtitle } = await runStep(topTokens, context, params);
    expect(warnings).toEqual([]);
    expect(subtitle).toMatch(/^\d,?\d+ tokens of 80 documents of names\.txt/);
    const table = pictures[0] as TablePicture;
    const tokens = (place: string) =>
      table.rows.filter((row) => row[0] === place).map((row) => String(row[2]).replace('␣', ''));
    expect(tokens('highest')).toHaveLength(20);
    expect(tokens('middle')).toHaveLength(5);
    expect(tokens('highest').filter((name) => !FEMALE.includes(name))).toEqual([]);
    expect(tokens('lowest').filter((name) => !MALE.includes(name))).toEqual([]);
    expect(String(table.rows[0][3])).toContain(`⟦${String(table.rows[0][2]).replace('␣', ' ')}⟧`);
    const scores = table.rows.filter((row) => row[0] === 'highest').map((row) => Number(row[1]));
    expect(scores).toEqual([...scores].sort((a, b) => b - a));
    expect(values['observable:L0.H2@name.highest']).toBe(scores[0]);
    expect(pictures[1]).toMatchObject({ type: 'histogram' });
  });

  it('has values of their own for features of one name', async () => {
    const file = (name: string) => ({ path: join(folder, name), hash: name });
    const context = stepContext(engine, jobPairs(engine), { file });
    const path = 'L0.H2@name';
    const features = [
      { observable: { ' she': 1, ' he': -1 }, path },
      { observable: { ' he': 1, ' she': -1 }, path },
    ];
    const { values } = await runStep(topTokens, context, { features, corpus: 'names.txt', top: 5 });
    expect(values['observable:L0.H2@name#2.mean']).toBeCloseTo(-values['observable:L0.H2@name.mean'], 9);
    expect(values['observable:L0.H2@name#2.highest']).toBeCloseTo(-values['observable:L0.H2@name.lowest'], 9);
  });

  it('refuses a missing corpus before anything is run', () => {
    const file = (name: string) => ({ path: join(folder, name), hash: name });
    const context = stepContext(engine, namePairs(engine, 1), { file });
    const features = [{ observable: { ' she': 1 }, path: 'L0.H2' }];
    expect(() => topTokens.cells(context, { features, corpus: 'none.txt' })).toThrow(/none\.txt cannot be read/);
  });
});
