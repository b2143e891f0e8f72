import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { StepContext } from '../../../src/core/experiments/stepKind.ts';
import { featurePromptOf } from '../../../src/core/observables/featuresOfRow.ts';
import { featureVector } from '../../../src/core/observables/featureVector.ts';
import { finalNormAngles } from '../../../src/core/observables/finalNormAngles.ts';
import { normAlong } from '../../../src/core/observables/normPullBack.ts';
import { PromptReader } from '../../../src/core/observables/promptReader.ts';
import { type CoupleParams, coupleFeatures } from '../../../src/core/observables/steps/coupleFeatures.ts';
import { couplingTitle } from '../../../src/core/observables/steps/couplingTitle.ts';
import type { CouplingPicture } from '../../../src/shared/couplingPicture.ts';
import type { ObservableSpec } from '../../../src/shared/engineProtocol.ts';
import { makeCoupling } from '../../support/couplingFixture.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { movingTask, runStep, stepContext } from '../../support/steps.ts';

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, v, i) => sum + v * b[i], 0);
const angle = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  (Math.acos(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))) * 180) / Math.PI;
const pictureOf = ({ pictures }: { pictures: readonly unknown[] }) => pictures[0] as CouplingPicture;

const observables: readonly ObservableSpec[] = [
  { t1: 1, t2: -1 },
  { t3: 2, t4: -1, t5: -1 },
];
const paths = ['L2.H1@3', 'L2.H1@3 <= L1.H0@2', 'MLP 1'];

describe.each(['gpt2', 'llama'] as const)('couple-features on a model of the shape of %s', (shape) => {
  const { model, remove } = randomModel(SHAPES[shape], 7);
  const folder = mkdtempSync(join(tmpdir(), 'mechanist-couple-'));
  let engine: AnalysisEngine;
  let context: StepContext;

  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
    const path = join(folder, 'c.txt');
    writeFileSync(
      path,
      Array.from({ length: 300 }, (_, i) => `t${(i * 7) % 50} t${(i * i) % 50}${i % 9 === 0 ? '\n\n' : ''}`).join(' '),
    );
    context = stepContext(engine, movingTask(3), { file: () => ({ path, hash: 'c' }) });
  });
  afterAll(async () => {
    await engine.close();
    remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (params: Partial<CoupleParams>) =>
    runStep(coupleFeatures, context, { features: { observables, paths }, row: '2', ...params });

  it('C and cos are those of the feature vectors, and C both ways is cos²', async () => {
    const { values, C } = {
      ...pictureOf(await run({ norm: 'frozen' })),
      C: pictureOf(await run({ norm: 'frozen' })).values.C,
    };
    const prompt = featurePromptOf(context, { row: '2' });
    const vectors = [];
    for (const observable of observables) {
      for (const path of paths) {
        const request = { observable: context.observable(observable), path, norm: 'frozen' as const };
        vectors.push((await featureVector(context, request, prompt)).vector);
      }
    }
    for (const [r, a] of vectors.entries()) {
      for (const [c, b] of vectors.entries()) {
        expect(C[r][c]).toBeCloseTo(dot(a, b) / dot(a, a), 10);
        expect(values.cos[r][c] ?? 0).toBeCloseTo(dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)), 10);
        expect((C[r][c] ?? 0) * (C[c][r] ?? 0)).toBeCloseTo((values.cos[r][c] ?? 0) ** 2, 8);
      }
    }
  });

  it('slopes, r² and means are those of the sample where that is the whole corpus', async () => {
    const { corpus, values } = pictureOf(await run({ corpus: 'c.txt', sample: 5000 }));
    const rows = corpus?.sample.values ?? [];
    expect(rows.length).toBe(corpus?.tokens);
    expect(rows.length).toBeGreaterThan(100);
    const mean = (f: number) => rows.reduce((sum, row) => sum + row[f], 0) / rows.length;
    const moment = (a: number, b: number) =>
      rows.reduce((sum, row) => sum + (row[a] - mean(a)) * (row[b] - mean(b)), 0);
    for (const a of rows[0].keys()) {
      expect(corpus?.means[a]).toBeCloseTo(mean(a), 9);
      for (const b of rows[0].keys()) {
        expect(values.slope[a][b]).toBeCloseTo(moment(a, b) / moment(a, a), 7);
        expect(values.r2[a][b]).toBeCloseTo(moment(a, b) ** 2 / (moment(a, a) * moment(b, b)), 7);
      }
    }
    // Read at one hook, C_S is the slope (methods §1.5); at two, it is about the row's hook.
    expect(values.CS[0][3]).toBeCloseTo(values.slope[0][3] ?? 0, 7);
    expect(Math.abs((values.CS[0][2] ?? 0) - (values.slope[0][2] ?? 0))).toBeGreaterThan(1e-4);
  });

  it('says what the observables have in common before any path', async () => {
    const { values, subtitle } = await run({});
    const [one, other] = await Promise.all(
      observables.map(async (observable) => {
        const { direction } = await context.runner.unembedding.direction(context.observable(observable).terms);
        return direction;
      }),
    );
    const [name] = Object.keys(values).filter((key) => key.startsWith('cosU.'));
    expect(values[name]).toBeCloseTo(dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other)), 10);
    expect(subtitle).toMatch(/ · cos of W_U n, before any path: .+ and .+ [+−]\d\.\d\d · /);
  });

  it('angles at the final norm are those of a gradient by differences', async () => {
    const { norms } = pictureOf(await run({}));
    const { runner } = context;
    const prompt = featurePromptOf(context, { row: '2' });
    const position = prompt.position ?? 0;
    for (const [i, observable] of observables.entries()) {
      const { direction } = await runner.unembedding.direction(context.observable(observable).terms);
      const read = await PromptReader.read(context, Int32Array.from(Array.from(prompt.ids)), position);
      const x = read.final(position);
      const h = 1e-5;
      const gradient = x.map((_, k) => {
        const [more, less] = [x.slice(), x.slice()];
        more[k] += h;
        less[k] -= h;
        return (normAlong(runner.finalNorm, direction, more) - normAlong(runner.finalNorm, direction, less)) / (2 * h);
      });
      const w = direction.map((value, k) => value * runner.finalNorm.gain[k]);
      expect(norms[i].prompt?.angle).toBeCloseTo(angle(w, gradient), 4);
      const { boundary } = await finalNormAngles(context, context.observable(observable), prompt);
      expect(norms[i].boundary === null).toBe(boundary === null);
    }
    expect(norms[0].kind).toBe(shape === 'llama' ? 'RMSNorm' : 'LayerNorm');
    // A density: its area is 1.
    const { density } = norms[0];
    const area = density
      .slice(1)
      .reduce((sum, [at, value], k) => sum + ((value + density[k][1]) / 2) * (at - density[k][0]), 0);
    expect(area).toBeCloseTo(1, 2);
  });

  it('at the boundary ρ is what the biases leave of it, and there is none without a change of sign', async () => {
    const prompt = featurePromptOf(context, { row: '2' });
    const found = [];
    for (let i = 6; i < 30; i += 1) {
      const resolved = context.observable({ [`t${i}`]: 1, [`t${i + 1}`]: -1 });
      found.push((await finalNormAngles(context, resolved, prompt)).boundary);
      expect((await finalNormAngles(context, resolved, { ...prompt, partner: null })).boundary).toBeNull();
    }
    const there = found.flatMap((point) => point ?? []);
    expect(there.length).toBeGreaterThan(0);
    expect(there.length).toBeLessThan(found.length);
    // RMSNorm without biases: n · N(x) = 0 is w · x = 0.
    if (shape === 'llama') for (const { rho } of there) expect(Math.abs(rho)).toBeLessThan(1e-6);
  });

  it('names its numbers, and says what it was made of', async () => {
    const { values, subtitle, ablation, title } = await run({
      features: [{ observable: observables[0], path: 'emb' }],
    });
    expect(Object.keys(values).some((name) => /^angle\..*\.prompt$/.test(name))).toBe(true);
    expect(subtitle).toContain('row 2, norm mode scaled, point prompt · weights only · no ablation');
    expect(ablation).toBe('none');
    expect(title).toContain('one feature');
    expect(Object.values(values).every(Number.isFinite)).toBe(true);
  });

  it('what does not fit is refused in words', async () => {
    await expect(run({ row: '99' })).rejects.toThrow(/no row "99"/);
    await expect(run({ features: { observables, paths: Array.from({ length: 31 }, () => 'emb') } })).rejects.toThrow(
      /62 features/,
    );
    await expect(run({ features: [{ observable: 'gender', path: 'emb' }] })).rejects.toThrow(/no observable "gender"/);
    await expect(run({ features: [{ observable: observables[0], path: 'L9.H0' }] })).rejects.toThrow(/no L9.H0/);
  });
});

describe('the title says the finding', () => {
  const picture = makeCoupling({ corpus: false });

  it('of two observables at one node, with its cosine', () => {
    expect(couplingTitle(picture)).toMatch(
      /^.+ (share a direction|point opposite ways): cos [+−]\.\d\d at L\d+\.H\d+$/,
    );
    const far = {
      ...picture,
      values: { ...picture.values, cos: picture.values.cos.map((row) => row.map((v) => (v ?? 0) * 0.2)) },
    };
    expect(couplingTitle(far)).toContain('hardly share a direction');
  });

  it('of one observable, of its nodes', () => {
    expect(couplingTitle(makeCoupling({ observables: ['occupations'] }))).toMatch(/^Occupations at L\d+\.H\d+ and /);
  });
});
