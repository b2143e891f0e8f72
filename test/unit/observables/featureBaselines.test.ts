import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { drawTraining, splitSides } from '../../../src/core/observables/probeSplit.ts';
import { featureBaselines } from '../../../src/core/observables/steps/featureBaselines.ts';
import type { TablePicture } from '../../../src/shared/figures.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import { jobPairs, namePairs } from '../../support/genderPairs.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { runStep, stepContext, taskSetOf } from '../../support/steps.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

describe('prompts that are held out', () => {
  const random = seededRandom(1);
  const sides = Array.from({ length: 120 }, (_, i) => {
    const ids = [1, 100 * (i % 2) + random.below(20), 3];
    return { row: Math.floor(i / 2), ids, at: 1, answer: 2 };
  });
  const tokens = (of: readonly number[]) => new Set(of.map((i) => sides[i].ids[1]));

  it('share no token with those that are learned from, and leave the feature’s own prompt to these', () => {
    const { train, heldOut, byToken } = splitSides(sides, 0.25, 0, 3);
    expect(byToken).toBe(true);
    expect([...train, ...heldOut].sort((a, b) => a - b)).toEqual(sides.map((_, i) => i));
    expect([...tokens(heldOut)].filter((token) => tokens(train).has(token))).toEqual([]);
    for (const i of [0, 1]) expect(train).toContain(i);
    expect(heldOut.length / 120).toBeGreaterThan(0.1);
    expect([...tokens(heldOut)].sort((a, b) => a - b)).toEqual([2, 3, 10, 11, 17, 106, 109, 111, 114, 117]);
    expect(splitSides(sides, 0.25, 0, 4).heldOut).not.toEqual(heldOut);
    const same = sides.map((side) => ({ ...side, ids: [1, 2, 3] }));
    expect(splitSides(same, 0.25, 0, 3)).toMatchObject({ byToken: false });
  });

  it('share no token with those that are learned from where both sides have the same tokens', () => {
    const draw = seededRandom(2);
    const shared = Array.from({ length: 200 }, (_, i) => {
      return { row: Math.floor(i / 2), ids: [1, draw.below(24), 3], at: 1, answer: 2 };
    });
    const of = (indices: readonly number[]) => new Set(indices.map((i) => shared[i].ids[1]));
    for (let seed = 0; seed < 8; seed += 1) {
      const { train, heldOut, byToken } = splitSides(shared, 0.25, 6, seed);
      expect(byToken).toBe(true);
      expect([...of(heldOut)].filter((token) => of(train).has(token))).toEqual([]);
      for (const i of [6, 7]) expect(train).toContain(i);
      for (const side of [0, 1]) expect(heldOut.some((i) => i % 2 === side)).toBe(true);
      // The share asked for, of the tokens that may go: each counts once, though both sides have it.
      const free = of(shared.map((_, i) => i)).size - of([6, 7]).size;
      expect(of(heldOut).size).toBe(Math.round(0.25 * free));
    }
  });

  it('are drawn half of each side', () => {
    const drawn = drawTraining(splitSides(sides, 0.25, 0, 3).train, 20, seededRandom(1)) ?? [];
    expect(drawn.filter((i) => i % 2 === 0)).toHaveLength(10);
    expect(new Set(drawn).size).toBe(20);
    expect(drawTraining([0, 1, 2], 4, seededRandom(1))).toBeNull();
  });
});

describe('feature-baselines on small-world', () => {
  let folder: string;
  let engine: AnalysisEngine;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mechanist-baselines-'));
    engine = await load(SMALL_WORLD, folder);
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const feature = { observable: { ' she': 1, ' he': -1 }, path: 'L0.H2@name' };

  const params = { feature, sizes: [2, 20, 200], seeds: 3 };

  it('reads the pronoun off jobs with the first layer’s head without labels; probes catch up with labels', async () => {
    const { values, pictures, warnings, title } = await runStep(
      featureBaselines,
      stepContext(engine, jobPairs(engine)),
      params,
    );
    expect(values['obprop.r2']).toBeGreaterThan(0.95);
    expect(values['obprop.auc']).toBe(1);
    expect(values['linear.20.r2']).toBeGreaterThan(values['linear.2.r2']);
    expect(values['linear.48.r2']).toBeGreaterThan(0.9);
    expect(values['mean.48.auc']).toBe(1);
    expect(values['random.r2']).toBeLessThan(values['obprop.r2']);
    expect(title).toMatch(/^The feature reads ␣she − ␣he with r² \.9\d and AUC 1, without labels/);
    expect(warnings).toEqual(['There are prompts for 48 to learn from, not 200.']);
    expect(pictures.map(({ id }) => id)).toEqual(['r2', 'auc', 'methods', 'score']);
    // With one prompt of each side all three are one direction.
    for (const method of ['logistic', 'mean']) {
      expect(values[`${method}.2.r2`]).toBeCloseTo(values['linear.2.r2'], 6);
      expect(Math.abs(values[`${method}.2.cosine`])).toBeCloseTo(Math.abs(values['linear.2.cosine']), 6);
    }
    const table = pictures[2] as TablePicture;
    expect(table.rows).toHaveLength(1 + 3 * 3 + 1);
  });

  it('reads names less well where templates are mixed than within one', async () => {
    const task = namePairs(engine);
    const mixed = await runStep(featureBaselines, stepContext(engine, task), { ...params, sizes: [2], seeds: 1 });
    for (const template of ['template 1', 'template 2', 'template 3']) {
      const items = task.items.filter(({ tags }) => tags.includes(template));
      const own = await runStep(featureBaselines, stepContext(engine, { ...task, items }), {
        ...params,
        sizes: [2],
        seeds: 1,
      });
      expect(own.values['obprop.r2']).toBeGreaterThan(0.95);
      expect(own.values['obprop.r2']).toBeGreaterThan(mixed.values['obprop.r2']);
    }
  });

  it('sees nothing above chance in a model that was never trained', async () => {
    for (const seed of [1, 2, 3]) {
      const { model, remove } = randomModel({ ...SHAPES.gpt2, dVocab: 300 }, seed);
      const raw = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 22, version: 'test' });
      const item = (token: number, partner: number): TaskItem => ({
        ...{ id: `${token}`, text: '', ids: [5, token, 7, 8], tokens: ['a', 'b', 'c', 'd'], tags: [] },
        roles: { name: [1] },
        answers: [{ name: 'answer', position: 3, answer: 20, foils: [21] }],
        corrupted: { partner: [5, partner, 7, 8] },
      });
      const items = Array.from({ length: 100 }, (_, i) => item(30 + 2 * i, 31 + 2 * i));
      const context = stepContext(raw, taskSetOf(items, ['name']));
      const random = { observable: { ' t20': 1, ' t21': -1 }, path: 'L0.H2@name' };
      const { values } = await runStep(featureBaselines, context, {
        feature: random,
        sizes: [2],
        seeds: 1,
        heldOut: 0.5,
      });
      // Standard error of the area between two samples of 50 that do not differ.
      expect(Math.abs(values['obprop.auc'] - 0.5)).toBeLessThan(3 * Math.sqrt(101 / (12 * 50 * 50)));
      await raw.close();
      remove();
    }
  });

  it('refuses too few pairs, and an unknown role', () => {
    const few = { ...namePairs(engine, 1) };
    expect(() => featureBaselines.cells(stepContext(engine, few), { feature })).toThrow(
      /at least 4 pairs, and pairs has 3/,
    );
    const context = stepContext(engine, namePairs(engine, 3));
    expect(() => featureBaselines.cells(context, { feature, at: 'x' })).toThrow(/no role "x"/);
  });
});
