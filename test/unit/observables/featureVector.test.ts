import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { featurePromptOf, featuresOfRow } from '../../../src/core/observables/featuresOfRow.ts';
import { type FeatureVector, featureVector } from '../../../src/core/observables/featureVector.ts';
import { dot, length, plus } from '../../../src/core/observables/vectors.ts';
import type { LinearisationPoint, NormMode } from '../../../src/shared/features.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';
import { stepContext } from '../../support/steps.ts';

const config = SHAPES.gpt2;
const PROMPT = [5, 17, 3, 40, 22, 9];
const PARTNER = [5, 2, 3, 40, 11, 9];
const OBSERVABLE = {
  label: 't7 − t12',
  terms: [
    { id: 7, text: ' t7', weight: 1 },
    { id: 12, text: ' t12', weight: -1 },
  ],
};

describe('feature vectors', () => {
  const { model, remove } = randomModel(config, 12);
  let engine: AnalysisEngine;

  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  const feature = (path: string, norm: NormMode = 'frozen', point: LinearisationPoint = 'prompt', more: object = {}) =>
    featureVector(engine, { observable: OBSERVABLE, path, norm, point }, { ids: PROMPT, partner: PARTNER, ...more });
  const streamOf = async (hook: string, ids = PROMPT, position = -1) => {
    const { activations } = await engine.runner.run([ids], { hooks: [hook], positions: [position] });
    return Float64Array.from(activations.get(hook)?.data ?? []);
  };
  const observed = async (ids: readonly number[]) => {
    const { data } = await engine.runner.logits([ids], { columns: [7, 12] });
    return data[0] - data[1];
  };

  it('say what they are: name, tokens, hook, norms passed', async () => {
    const own = await feature('L2.H1@3 <= MLP 1');
    expect(own).toMatchObject({ name: 't7 − t12 at L2.H1 <= MLP 1', hook: 'blocks.1.hook_resid_mid', norm: 'frozen' });
    expect(own.path.map(({ position }) => position)).toEqual([2, 2]);
    expect(own.norms.map(({ norm }) => norm)).toEqual(['ln_final', 'blocks.2.ln1', 'blocks.1.ln2']);
    expect((await feature('emb')).hook).toBe('blocks.0.hook_resid_pre');
    expect((await feature('L2.H1')).hook).toBe('blocks.2.hook_resid_pre');
  });

  it('read a head at the token that adds most, where none is named', async () => {
    const whole = await engine.trace({
      ...{ model: 'm', prompt: PROMPT.map((id) => ` t${id}`).join(''), method: 'direct' },
      observable: { ' t7': 1, ' t12': -1 },
    });
    const { dims, data } = whole.direct.bySource;
    for (const [layer, head] of [
      [2, 0],
      [1, 3],
      [0, 2],
    ]) {
      const first = (layer * dims[1] + head) * dims[2];
      const sizes = [...data.subarray(first, first + dims[2])].map(Math.abs);
      const { path } = await feature(`L${layer}.H${head}`);
      expect(path[0].position).toBe(sizes.indexOf(Math.max(...sizes)));
    }
  });

  it('hold the tokens that are written to the one that the prompt chose', async () => {
    const heads = [0, 1, 2, 3].map((head) => `L2.H${head}`);
    const chosen = await Promise.all(heads.map(async (head) => (await feature(head)).path[0].position ?? 0));
    const early = chosen.findIndex((position) => position < PROMPT.length - 1);
    expect(early).toBeGreaterThanOrEqual(0);
    const [head, at] = [heads[early], chosen[early]];
    const later = `${head} <= L1.H0@${at + 2}`;
    await expect(feature(later)).rejects.toThrow(`L1.H0 writes at token ${at + 1} and cannot read token ${at + 2}`);
    await expect(feature(`${head} <= MLP 1 <= L0.H0@${at + 2}`)).rejects.toThrow('which comes later');
    expect((await feature(`${head} <= L1.H0@${at + 1}`)).path.map(({ position }) => position)).toEqual([at, at]);
  });

  it('with one MLP give its exact value at the prompt, in the modes that promise it', async () => {
    const written = await streamOf('blocks.2.hook_mlp_out');
    const x = await streamOf('blocks.2.hook_resid_mid');
    for (const norm of ['frozen', 'jacobian', 'secant'] as const) {
      const own = await feature('MLP 2', norm);
      const direct = await feature('emb', norm);
      const wanted = dot(direct.vector, written) + direct.offset;
      expect(dot(own.vector, x) + own.offset).toBeCloseTo(wanted, 4);
    }
  });

  it('of the observable itself are 0 at the boundary of a pair that flips its sign', async () => {
    const [from, to] = [await observed(PARTNER), await observed(PROMPT)];
    expect(from * to, 'a pair that flips').toBeLessThan(0);
    const own = await feature('emb', 'jacobian', 'boundary');
    const [a, b] = await Promise.all([PARTNER, PROMPT].map((ids) => streamOf('blocks.2.hook_resid_post', ids)));
    // On the segment the affine form is 0 where the observable is.
    const rising = dot(own.vector, plus(b, a, -1));
    const t = -(dot(own.vector, a) + own.offset) / rising;
    const rows = Float32Array.from(a, (value, i) => value + t * (b[i] - value));
    const logits = await engine.runner.unembedding.logits(engine.runner.finalNorm.apply(rows), [7, 12]);
    expect(Math.abs(logits.data[0] - logits.data[1])).toBeLessThan(1e-4);
    expect(Math.abs(own.norms[0].rho)).toBeLessThan(Math.abs((await feature('emb')).norms[0].rho) + 0.05);
    expect(own.warnings).toEqual([]);
  });

  it('by the mean of a segment give the difference of the pair exactly', async () => {
    const [a, b] = await Promise.all([PARTNER, PROMPT].map((ids) => streamOf('blocks.2.hook_resid_post', ids)));
    const own = await feature('emb', 'jacobian', 'mean');
    const wanted = (await observed(PROMPT)) - (await observed(PARTNER));
    expect(Math.abs(dot(own.vector, plus(b, a, -1)) - wanted)).toBeLessThan(1e-3 * Math.abs(wanted));
  });

  it('say so with the numbers where a pair does not flip the sign, or is one prompt', async () => {
    const same = await feature('MLP 2', 'frozen', 'boundary', { partner: PROMPT });
    expect(same.warnings.join(' ')).toMatch(/same sign, [+−]\S+ and [+−]\S+: .*linearised where the observable is/);
    expect(same.warnings.join(' ')).toContain('Both prompts of the pair are the same before MLP 2 at token 6');
    const before = await feature('L2.H0@1 <= MLP 0', 'frozen', 'mean');
    expect(before.warnings.join(' ')).toContain('MLP 0 at token 1');
  });

  it('warn where the norm turns the gradient, with ρ and the angle', async () => {
    const value = await observed(PROMPT);
    const own = await feature('emb');
    const [{ rho, angle }] = own.norms;
    expect(own.warnings.length > 0).toBe(Math.abs(rho) > 0.3);
    expect(angle).toBeCloseTo(Math.asin(Math.abs(rho)), 3);
    expect(Number.isFinite(value)).toBe(true);
    // A direction that points along the stream itself.
    const next = (
      await engine.runner.unembedding.top(
        engine.runner.finalNorm.apply(Float32Array.from(await streamOf('blocks.2.hook_resid_post'))),
        1,
      )
    ).ids[0][0];
    const along = { label: 'top', terms: [{ id: next, text: ` t${next}`, weight: 1 }] };
    const top = await featureVector(engine, { observable: along, path: 'emb' }, { ids: PROMPT });
    expect(top.norms[0].rho).toBeGreaterThan(0.3);
    expect(top.warnings[0]).toMatch(/^At ln_final ρ is \+0\.\d+: its scale turns the gradient by \d+\.\d° /);
  });

  it.each([
    [
      'a pair of unlike lengths',
      'L2.H1',
      { partner: PROMPT.slice(1) },
      'boundary',
      '6 and 5 tokens; they differ from token 1 on',
    ],
    ['a boundary without a pair', 'L2.H1', { partner: null }, 'boundary', 'name the other prompt'],
    ['a path that the model does not have', 'L2.H9', {}, 'prompt', 'heads 0 to 3'],
    ['a role that the prompt does not have', 'L2.H1@name', { roles: { end: [5] } }, 'prompt', 'no role "name"'],
  ] as const)('refuse %s', async (_, path, more, point, message) => {
    await expect(feature(path, 'frozen', point, more)).rejects.toThrow(message);
  });

  it('refuse the secant at the boundary, where it is 0 by definition', async () => {
    await expect(feature('L2.H1', 'secant', 'boundary')).rejects.toThrow('choose the norm mode jacobian');
  });

  it('are made at a row of the data, with the observables of the experiment', async () => {
    const task = randomTask(config, [7, 9]);
    const context = stepContext(engine, task);
    const prompt = featurePromptOf(context, { row: 'r1' });
    expect(prompt).toMatchObject({ ids: task.items[1].ids, partner: task.items[1].corrupted.other, position: 7 });
    const spec = { observable: { ' t7': 1 }, path: 'L2.H1@first', point: 'mean' } as const;
    const [own] = await featuresOfRow(context, [spec], { row: 'r1', corruption: 'other' });
    expect(own.path[0].position).toBe(0);
    expect(() => featurePromptOf(context, { row: 'r7' })).toThrow('no row "r7"');
    expect(() => featurePromptOf(context, { corruption: 'othr' })).toThrow('Did you mean other?');
    await expect(featuresOfRow(context, [{ observable: 'gender', path: 'emb' }], {})).rejects.toThrow('gender');
  });

  it('of one path at one place have cosines that no scale of the observable changes', async () => {
    const cosine = (a: FeatureVector, b: FeatureVector) =>
      dot(a.vector, b.vector) / (length(a.vector) * length(b.vector));
    const random = normals(3);
    const terms = Array.from({ length: 3 }, (_, i) => ({ id: 10 + i, text: ` t${10 + i}`, weight: random() }));
    const times = (factor: number) => ({
      label: '',
      terms: terms.map((term) => ({ ...term, weight: factor * term.weight })),
    });
    const of = (factor: number) =>
      featureVector(engine, { observable: times(factor), path: 'L2.H1@2' }, { ids: PROMPT });
    const [own, other, third] = [await of(1), await of(-2.5), await feature('L2.H1@2')];
    expect(cosine(own, other)).toBeCloseTo(-1, 9);
    expect(Math.abs(cosine(own, third))).toBeCloseTo(Math.abs(cosine(other, third)), 9);
  });
});
