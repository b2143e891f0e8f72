import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backward } from '../../../src/core/engine/backward/backward.ts';
import type { Objective } from '../../../src/core/engine/backward/objective.ts';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import { distance } from '../../support/gradients.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

describe.each(Object.entries(SHAPES))('laws of the gradients of %s', (_, config) => {
  const random = normals(3);
  const prompt = (length: number) => Array.from({ length }, () => Math.abs(Math.floor(random() * 999)) % config.dVocab);
  const LENGTH = 11;
  const BATCH = Array.from({ length: 3 }, () => prompt(LENGTH));
  const metric = { kind: 'log-prob' } as const;
  const objectiveOf = (items: readonly number[], position = LENGTH - 1): Objective => ({
    kind: 'metric',
    metric,
    targets: items.map((item) => [{ name: '', position, answer: 5 + item, foils: [] }]),
  });
  const hooks = allHookPoints(config).map(hookName);
  let model: OpenModel;
  let runner: ModelRunner;
  let backward: Backward;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 8));
    runner = await ModelRunner.open(model, { threads: 1 });
    backward = new Backward(runner);
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  it('of each item do not depend on the others of its batch', async () => {
    const together = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks });
    const alone = await backward.gradients([BATCH[1]], objectiveOf([1]), { hooks });
    expect(together.values[1]).toBeCloseTo(alone.values[0], 5);
    for (const hook of hooks) {
      const all = together.gradients.get(hook)?.data ?? new Float32Array(0);
      const size = all.length / 3;
      expect(distance(all.subarray(size, 2 * size), alone.gradients.get(hook)?.data ?? []), hook).toBeLessThan(5e-5);
    }
  });

  it('are the same when a prompt is run in chunks of positions', async () => {
    const chunked = new Backward(runner, config.nHeads * LENGTH * 3 * 4);
    const runs = runner.counters.runs;
    const whole = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks });
    const between = runner.counters.runs;
    const pieces = await chunked.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks });
    expect(runner.counters.runs - between).toBeGreaterThan(between - runs);
    for (const hook of hooks) {
      const own = whole.gradients.get(hook);
      const limit = hook.endsWith('hook_scale') ? 1e-3 : 1e-5;
      expect(pieces.gradients.get(hook)?.dims).toEqual(own?.dims);
      expect(distance(pieces.gradients.get(hook)?.data ?? [], own?.data ?? []), hook).toBeLessThan(limit);
    }
  });

  it('of weights are summed over the batch, in chunks as well', async () => {
    const weights = [
      'embed',
      'unembed.weight',
      'finalNorm.gain',
      'blocks.0.attention.out.weight',
      'blocks.1.norm1.gain',
    ];
    const all = await backward.weightGradients(BATCH, objectiveOf([0, 1, 2]), { weights });
    const pieces = await new Backward(runner, 1).weightGradients(BATCH, objectiveOf([0, 1, 2]), { weights });
    const single = await Promise.all(
      BATCH.map((tokens, i) => backward.weightGradients([tokens], objectiveOf([i]), { weights })),
    );
    for (const name of weights) {
      const sum = single[0].gradients.get(name)?.data.slice() ?? new Float32Array(0);
      for (const { gradients } of single.slice(1)) {
        gradients.get(name)?.data.forEach((value, i) => {
          sum[i] += value;
        });
      }
      expect(distance(all.gradients.get(name)?.data ?? [], sum), name).toBeLessThan(1e-5);
      expect(distance(pieces.gradients.get(name)?.data ?? [], sum), name).toBeLessThan(1e-5);
    }
  });

  it('are zero at positions after the answer, at every hook', async () => {
    const found = await backward.gradients([BATCH[0]], objectiveOf([0], 4), { hooks, positions: [5, 8, 10] });
    const before = await backward.gradients([BATCH[0]], objectiveOf([0], 4), { hooks, positions: [4] });
    for (const hook of hooks) {
      expect(
        found.gradients.get(hook)?.data.every((value) => value === 0),
        hook,
      ).toBe(true);
      expect(
        before.gradients.get(hook)?.data.some((value) => value !== 0),
        hook,
      ).toBe(true);
    }
  });

  it('at what each head writes are those at attn_out, because it is their sum', async () => {
    const names = ['blocks.1.attn.hook_result', 'blocks.1.hook_attn_out'];
    const { gradients } = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks: names });
    const [result, out] = names.map((hook) => gradients.get(hook)?.data ?? new Float32Array(0));
    expect(gradients.get(names[0])?.dims).toEqual([3, LENGTH, config.nHeads, config.dModel]);
    const { dModel, nHeads } = config;
    result.forEach((value, i) => {
      expect(value).toBe(out[Math.floor(i / (nHeads * dModel)) * dModel + (i % dModel)]);
    });
  });

  it('at chosen positions are rows of those at all, in the order asked for', async () => {
    const all = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks });
    const some = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks, positions: [-1, 2] });
    for (const hook of hooks) {
      const [own, every] = [some.gradients.get(hook), all.gradients.get(hook)];
      const axis = hook.endsWith('_scores') || hook.endsWith('_pattern') ? 2 : 1;
      expect(own?.dims[axis]).toBe(2);
      const width = (every?.dims ?? []).slice(axis + 1).reduce((a, b) => a * b, 1);
      const picked = [LENGTH - 1, 2].flatMap((row) =>
        Array.from(every?.data.subarray((LENGTH + row) * width, (LENGTH + row + 1) * width) ?? []),
      );
      expect(Array.from(own?.data.subarray(2 * width, 4 * width) ?? []), hook).toEqual(picked);
    }
  });

  it('from a residual stream in the middle are those of the whole run', async () => {
    const hook = 'blocks.1.hook_resid_pre';
    const whole = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks: [hook], activations: [hook] });
    const residual = whole.activations.get(hook);
    const direct = (await runner.run(BATCH, { hooks: [hook] })).activations.get(hook);
    expect(residual).toEqual(direct);
    const rest = await backward.gradients(BATCH, objectiveOf([0, 1, 2]), { hooks: [hook], fromLayer: 1, residual });
    expect(rest.gradients.get(hook)).toEqual(whole.gradients.get(hook));
    expect(rest.values).toEqual(whole.values);
  });

  it('run the layers from the lowest hook on only', async () => {
    const last = config.nLayers - 1;
    const runsOf = async (hook: string) => {
      const before = runner.counters.runs;
      await backward.gradients(
        BATCH,
        { kind: 'linear', items: BATCH.map(() => [{ position: -1, terms: [] }]) },
        { hooks: [hook] },
      );
      return runner.counters.runs - before;
    };
    expect(await runsOf(`blocks.${last}.hook_resid_post`)).toBe(config.nLayers);
    expect(await runsOf(`blocks.${last}.attn.hook_z`)).toBe(config.nLayers + 1);
    expect(await runsOf('hook_embed')).toBe(2 * config.nLayers);
  });

  it('report progress and stop between runs', async () => {
    const reports: Progress[] = [];
    await backward.gradients(BATCH, objectiveOf([0, 1, 2]), {
      hooks: ['hook_embed'],
      onProgress: (p) => reports.push(p),
    });
    expect(reports.map(({ done }) => done)).toEqual(Array.from({ length: 2 * config.nLayers }, (__, i) => i + 1));
    expect(reports.at(-1)?.total).toBe(2 * config.nLayers);
    const controller = new AbortController();
    const before = runner.counters.runs;
    const stopped = backward.gradients(BATCH, objectiveOf([0, 1, 2]), {
      hooks: ['hook_embed'],
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === config.nLayers + 1) controller.abort();
      },
    });
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    expect(runner.counters.runs - before).toBeLessThan(2 * config.nLayers + 1);
  });
});

describe('gradients refuse', () => {
  let runner: ModelRunner;
  let remove: () => void;
  const objective: Objective = { kind: 'linear', items: [[{ position: -1, terms: [{ id: 1, weight: 1 }] }]] };

  beforeAll(async () => {
    const random = randomModel(SHAPES.gpt2, 2);
    remove = random.remove;
    runner = await ModelRunner.open(random.model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const target = { name: 'x', position: 1, answer: 3, foils: [] };
  it.each<[string, Objective, readonly string[], RegExp]>([
    ['an unknown hook', objective, ['blocks.0.hook_zz'], /Did you mean/],
    ['a layer out of range', objective, ['blocks.9.hook_resid_pre'], /layers 0 to 2/],
    ['a position outside', { kind: 'linear', items: [[{ position: 7, terms: [] }]] }, [], /Position 7/],
    ['too few answers', { kind: 'linear', items: [] }, [], /1 prompts but answers for 0/],
    ['no answer', { kind: 'linear', items: [[]] }, [], /Prompt 1 has no answer/],
    ['the rank', { kind: 'metric', metric: { kind: 'rank' }, targets: [[target]] }, [], /no gradient/],
    ['KL without a reference', { kind: 'metric', metric: { kind: 'kl' }, targets: [[target]] }, [], /reference/],
    [
      'a foil too few',
      { kind: 'metric', metric: { kind: 'logit-difference', foil: 'one' }, targets: [[target]] },
      [],
      /foil/,
    ],
    ['an unknown token', { kind: 'linear', items: [[{ position: 0, terms: [{ id: 53, weight: 1 }] }]] }, [], /53/],
    ['a wrong shape', { kind: 'residual', gradient: { dims: [1, 2, 24], data: new Float32Array(48) } }, [], /shape/],
  ])('%s', async (__, wrong, hooks, message) => {
    const run = new Backward(runner).gradients([[1, 2, 3]], wrong, { hooks });
    await expect(run).rejects.toMatchObject({ code: 'bad-input', message: expect.stringMatching(message) });
  });

  it('an unknown weight, naming those there are', async () => {
    for (const name of ['blocks.0.attn.W_Q', 'blocks.7.mlp.in.weight', 'wte']) {
      const run = new Backward(runner).weightGradients([[1, 2, 3]], objective, { weights: [name] });
      await expect(run).rejects.toMatchObject({
        code: 'bad-input',
        message: expect.stringContaining('attention.qkv.weight'),
      });
    }
  });
});
