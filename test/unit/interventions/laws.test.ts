import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

/** Largest difference relative to the largest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [difference, scale] = [0, 1e-6];
  for (let i = 0; i < a.length; i += 1) {
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(b[i]));
  }
  return difference / scale;
}

/** Without the sign of zeros. */
const unsigned = (values: Float32Array | undefined) => values?.map((value) => value + 0);

const LENGTH = 9;

describe.each(Object.entries(SHAPES))('interventions in %s', (_, config) => {
  const { nHeads, nKeyValueHeads, dModel, dVocab } = config;
  const random = normals(11);
  const prompt = () => Array.from({ length: LENGTH }, () => Math.abs(Math.floor(random() * 1000)) % dVocab);
  const vector = (length = dModel) => Array.from({ length }, random);
  const BATCH = [prompt(), prompt(), prompt()];
  const OTHER = [prompt(), prompt(), prompt()];
  const HOOKS = allHookPoints(config).map(hookName);
  const mid = config.parallelResidual ? 'blocks.1.hook_attn_out' : 'blocks.1.hook_resid_mid';
  let runner: ModelRunner;
  let model: OpenModel;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 5));
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const logits = async (interventions: readonly Intervention[], tokens = BATCH) => {
    const result = await runner.runWith(tokens, { interventions, runs: { other: OTHER } });
    return (await result.logits({ positions: 'all' })).data;
  };
  const plain = async () => (await runner.logits(BATCH, { positions: 'all' })).data;

  it.each(HOOKS)('changes no bit when %s is patched from itself', async (hook) => {
    const expected = await plain();
    const patch: Intervention = { kind: 'patch', at: { hook }, from: { run: 'same' } };
    for (const intervention of [patch, { kind: 'freeze', at: { hook } } as const]) {
      const result = await runner.runWith(BATCH, { interventions: [intervention], runs: { same: BATCH } });
      expect((await result.logits({ positions: 'all' })).data).toEqual(expected);
    }
  });

  it('changes no bit without interventions, or with ones that multiply by 1 or add 0', async () => {
    const expected = await plain();
    expect(await logits([])).toEqual(expected);
    const one: Intervention[] = ['hook_resid_pre', 'attn.hook_z', 'mlp.hook_post'].flatMap((hook) => [
      { kind: 'scale', factor: 1, at: { hook } },
      {
        kind: 'add',
        vector: new Array<number>(
          hook === 'attn.hook_z' ? config.dHead : hook === 'mlp.hook_post' ? config.dMlp : dModel,
        ).fill(0),
        at: { hook },
      },
    ]);
    expect(await logits(one)).toEqual(expected);
    const low = { p: 1, a: { left: vector().map(() => [0]), right: [vector()] }, b: vector().map(() => 0) };
    const same: Intervention[] = [
      { kind: 'lowRank', ...low, at: { hook: 'hook_mlp_out' } },
      { kind: 'lowRank', ...low, at: { hook: 'hook_attn_out' } },
    ];
    expect(distance(await logits(same), expected)).toBe(0);
  });

  it('gives the other run from a layer on when its residual stream is patched in at every position', async () => {
    const later = HOOKS.filter((hook) => hook.startsWith('blocks.2.') || hook.startsWith('ln_final'));
    const expected = await runner.run(OTHER, { hooks: later });
    for (const hook of ['blocks.2.hook_resid_pre', 'blocks.1.hook_resid_post']) {
      const patched = await runner.runWith(BATCH, {
        interventions: [{ kind: 'patch', at: { hook }, from: { run: 'other' } }],
        runs: { other: OTHER },
        hooks: later,
      });
      expect(patched.residual.data).toEqual(expected.residual.data);
      for (const name of later) expect(patched.activations.get(name)).toEqual(expected.activations.get(name));
    }
  });

  it('moves with all heads of a layer what attn_out moves', async () => {
    const from = { run: 'other' } as const;
    const expected = await logits([{ kind: 'patch', at: { hook: 'blocks.1.hook_attn_out' }, from }]);
    for (const hook of ['blocks.1.attn.hook_z', 'blocks.1.attn.hook_result']) {
      expect(distance(await logits([{ kind: 'patch', at: { hook }, from }]), expected), hook).toBeLessThan(1e-5);
    }
    expect(distance(expected, await plain())).toBeGreaterThan(1e-3);
  });

  it('reads what an intervention leaves', async () => {
    const hooks = HOOKS.filter((hook) => hook.startsWith('blocks.1.') || !hook.startsWith('blocks.'));
    for (const hook of hooks) {
      const expected = (await runner.run(OTHER, { hooks: [hook] })).activations.get(hook);
      const { activations } = await runner.runWith(BATCH, {
        interventions: [{ kind: 'patch', at: { hook }, from: { run: 'other' } }],
        runs: { other: OTHER },
        hooks: [hook],
      });
      const found = activations.get(hook);
      expect(found?.dims, hook).toEqual(expected?.dims);
      expect(unsigned(found?.data), hook).toEqual(unsigned(expected?.data));
    }
  });

  it('applies interventions at one hook in their order', async () => {
    const set: Intervention = { kind: 'set', value: vector(), at: { hook: 'blocks.1.hook_resid_pre', positions: [3] } };
    const scale: Intervention = { kind: 'scale', factor: 2.5, at: { hook: 'blocks.1.hook_resid_pre', positions: [3] } };
    const read = async (interventions: readonly Intervention[]) => {
      const result = await runner.runWith(BATCH, { interventions, hooks: ['blocks.1.hook_resid_pre'], positions: [3] });
      return result.activations.get('blocks.1.hook_resid_pre')?.data.subarray(0, dModel) ?? [];
    };
    const value = Float32Array.from(set.kind === 'set' && typeof set.value !== 'number' ? set.value : []);
    expect(distance(await read([scale, set]), value)).toBe(0);
    expect(
      distance(
        await read([set, scale]),
        value.map((x) => x * 2.5),
      ),
    ).toBeLessThan(1e-6);
  });

  it('lets interventions at disjoint places commute', async () => {
    const list: Intervention[] = [
      { kind: 'zero', at: { hook: 'blocks.0.attn.hook_z', heads: [1] } },
      { kind: 'scale', factor: 3, at: { hook: 'blocks.0.attn.hook_z', heads: [2], positions: [4] } },
      { kind: 'add', vector: vector(), at: { hook: 'blocks.1.hook_resid_pre', positions: [2] } },
      { kind: 'projectOut', direction: vector(), at: { hook: mid, positions: [5] } },
      { kind: 'patch', from: { run: 'other' }, at: { hook: 'blocks.2.mlp.hook_post', neurons: [0, 7] } },
      { kind: 'set', value: 1, at: { hook: 'blocks.2.mlp.hook_post', neurons: [3], items: [1] } },
    ];
    const expected = await logits(list);
    expect(distance(expected, await plain())).toBeGreaterThan(1e-3);
    expect(distance(await logits([...list].reverse()), expected)).toBeLessThan(1e-6);
  });

  it('changes nothing earlier than the first position or in other items', async () => {
    const expected = await plain();
    const width = dVocab;
    for (const hook of HOOKS.filter((name) => name.startsWith('blocks.0.') || !name.startsWith('blocks.'))) {
      const at = { hook, positions: [5], items: [1] };
      const found = await logits([
        { kind: 'scale', factor: 1.7, at },
        { kind: 'patch', from: { run: 'other' }, at },
      ]);
      const touched = found.subarray((LENGTH + 5) * width, 2 * LENGTH * width);
      expect(found.subarray(0, (LENGTH + 5) * width), hook).toEqual(expected.subarray(0, (LENGTH + 5) * width));
      expect(found.subarray(2 * LENGTH * width), hook).toEqual(expected.subarray(2 * LENGTH * width));
      // Patching position embeddings changes nothing: they are the same in every prompt.
      if (hook !== 'hook_pos_embed')
        expect(touched, hook).not.toEqual(expected.subarray((LENGTH + 5) * width, 2 * LENGTH * width));
    }
  });

  it('keeps what the causal mask hides hidden', async () => {
    const expected = await plain();
    for (const intervention of [
      { kind: 'set', value: 2, at: { hook: 'blocks.0.attn.hook_pattern', positions: [6] } },
      { kind: 'scale', factor: -1, at: { hook: 'blocks.0.attn.hook_attn_scores', positions: [6] } },
      { kind: 'set', value: 0, at: { hook: 'blocks.0.attn.hook_attn_scores', positions: [6] } },
    ] as const) {
      const changed = BATCH.map((row) => [...row.slice(0, 7), 1, 2]);
      const [one, two] = [await logits([intervention]), await logits([intervention], changed)];
      const size = LENGTH * dVocab;
      expect(distance(one.subarray(0, 7 * dVocab), two.subarray(0, 7 * dVocab))).toBeLessThan(1e-6);
      expect(one.subarray(0, 6 * dVocab)).toEqual(expected.subarray(0, 6 * dVocab));
      expect(distance(one.subarray(0, size), expected.subarray(0, size))).toBeGreaterThan(1e-4);
    }
  });

  it('swaps twice to the same, at every hook', async () => {
    const expected = await plain();
    for (const hook of HOOKS.filter((name) => name.startsWith('blocks.1.') || !name.startsWith('blocks.'))) {
      if (/scores|pattern/.test(hook)) continue;
      const swap: Intervention = {
        kind: 'swapPositions',
        pairs: [
          [2, 6],
          [0, -1],
        ],
        at: { hook },
      };
      expect(await logits([swap, swap]), hook).toEqual(expected);
      expect(await logits([swap]), hook).not.toEqual(expected);
    }
  });

  it('projects out twice as once', async () => {
    const at = { hook: mid };
    const out: Intervention = { kind: 'projectOut', direction: vector(), at };
    const once = await logits([out]);
    expect(distance(await logits([out, out]), once)).toBeLessThan(1e-5);
    const { activations } = await runner.runWith(BATCH, { interventions: [out], hooks: [mid] });
    const left = activations.get(mid)?.data ?? new Float32Array(0);
    const direction = out.kind === 'projectOut' ? out.direction : [];
    for (let row = 0; row < left.length / dModel; row += 1) {
      const product = direction.reduce((sum, d, i) => sum + d * left[row * dModel + i], 0);
      expect(Math.abs(product)).toBeLessThan(1e-4);
    }
  });

  it('replaces a module by yP + xA + b', async () => {
    const [rank, random2] = [3, () => vector().map((x) => 0.3 * x)];
    const p = Array.from({ length: dModel }, random2);
    const left = Array.from({ length: dModel }, () => vector(rank));
    const right = Array.from({ length: rank }, random2);
    const b = vector();
    for (const [hook, norm] of [
      ['blocks.1.hook_mlp_out', 'ln2'],
      ['blocks.1.hook_attn_out', 'ln1'],
    ] as const) {
      const normed = `blocks.1.${norm}.hook_normalized`;
      const { activations } = await runner.run(BATCH, { hooks: [hook, normed] });
      const [y, unit] = [hook, normed].map((name) => activations.get(name)?.data ?? new Float32Array(0));
      const block = model.weights.blocks[1];
      const gain = await runner.files.tensor((norm === 'ln1' ? block.norm1 : block.norm2).gain);
      const x = config.norm.kind === 'layernorm' ? unit : unit.map((value, i) => value * gain[i % dModel]);
      const expected = y.map((__, at) => {
        const [row, column] = [Math.floor(at / dModel) * dModel, at % dModel];
        let sum = b[column];
        for (let i = 0; i < dModel; i += 1) {
          sum += y[row + i] * p[i][column];
          for (let r = 0; r < rank; r += 1) sum += x[row + i] * left[i][r] * right[r][column];
        }
        return sum;
      });
      const positions = [2, 5];
      const replaced = await runner.runWith(BATCH, {
        interventions: [{ kind: 'lowRank', p, a: { left, right }, b, at: { hook, positions } }],
        hooks: [hook],
      });
      const found = replaced.activations.get(hook)?.data ?? new Float32Array(0);
      for (let row = 0; row < 3 * LENGTH; row += 1) {
        const own = found.subarray(row * dModel, (row + 1) * dModel);
        const source = positions.includes(row % LENGTH) ? expected : y;
        expect(distance(own, source.subarray(row * dModel, (row + 1) * dModel))).toBeLessThan(2e-5);
      }
    }
  });

  it('is linear in the embeddings with patterns, norm scales and MLPs frozen', async () => {
    const frozen: Intervention[] = [
      'attn.hook_pattern',
      'ln1.hook_scale',
      'ln2.hook_scale',
      'hook_mlp_out',
      'ln_final.hook_scale',
    ].map((hook) => ({ kind: 'freeze', at: { hook } }));
    const [u, v] = [vector(), vector()];
    const at = (add: readonly number[]) =>
      logits([{ kind: 'add', vector: add, at: { hook: 'hook_embed', positions: [3] } }, ...frozen]);
    const [zero, a, b, both] = [
      await at(u.map(() => 0)),
      await at(u),
      await at(v),
      await at(u.map((x, i) => 2 * x - v[i])),
    ];
    const predicted = zero.map((base, i) => base + 2 * (a[i] - base) - (b[i] - base));
    expect(distance(both, predicted)).toBeLessThan(1e-4);
    expect(distance(a, zero)).toBeGreaterThan(1e-2);
  });

  it('zeroes heads by attention, by z, by result and by value alike', async () => {
    const group = nHeads / nKeyValueHeads;
    const heads = Array.from({ length: group }, (__, i) => group + i).filter((head) => head < nHeads);
    const own = nKeyValueHeads === 1 ? Array.from({ length: nHeads }, (__, i) => i) : heads;
    const kv = nKeyValueHeads === 1 ? 0 : 1;
    const byZ = await logits([{ kind: 'zero', at: { hook: 'blocks.1.attn.hook_z', heads: own } }]);
    expect(distance(byZ, await plain())).toBeGreaterThan(1e-3);
    for (const at of [
      { hook: 'blocks.1.attn.hook_result', heads: own },
      { hook: 'blocks.1.attn.hook_pattern', heads: own },
      { hook: 'blocks.1.attn.hook_v', heads: [kv] },
    ]) {
      expect(distance(await logits([{ kind: 'zero', at }]), byZ), at.hook).toBeLessThan(1e-5);
    }
  });
});
