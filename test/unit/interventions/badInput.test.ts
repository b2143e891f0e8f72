import { open } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordCleanRun } from '../../../src/core/engine/interventions/cleanRun.ts';
import { parseInterventions, type RunShape } from '../../../src/core/engine/interventions/parseInterventions.ts';
import { derangement } from '../../../src/core/engine/interventions/replacement.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { MechanistError } from '../../../src/shared/errors.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { PackedArray } from '../../../src/shared/packedArray.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const { gpt2, llama, mistral, gptNeoX } = SHAPES;
const shape: RunShape = {
  ...{ batch: 2, length: 6 },
  runs: new Map([
    ['other', { batch: 2, length: 6 }],
    ['short', { batch: 2, length: 4 }],
    ['many', { batch: 3, length: 6 }],
    ['one', { batch: 1, length: 6 }],
  ]),
};
const wide = new Array<number>(24).fill(0.5);
const square = Array.from({ length: 24 }, () => wide);
const column = wide.map((x) => [x]);

/** What is wrong with one intervention, or null. */
function problem(value: unknown, config = gpt2, given = shape): string | null {
  const { problems } = parseInterventions([value], config, given);
  return problems?.[0].message ?? null;
}
const zero = (at: object) => ({ kind: 'zero', at });

describe('an intervention', () => {
  it.each([
    [zero({ hook: 'blocks.1.attn.hook_zz' }), /no hook point "blocks.1.attn.hook_zz".*blocks\.1\.attn\.hook_z/],
    [zero({ hook: 'attn.hook_zz' }), /no hook point "attn.hook_zz".*attn\.hook_z\?/],
    [zero({ hook: 'hook_z' }), /Did you mean attn.hook_z\?/],
    [zero({ hook: 'blocks.3.hook_resid_pre' }), /layers 0 to 2/],
    [zero({ hook: 'hook_resid_pre', layers: [3] }), /no layer 3: the model has layers 0 to 2/],
    [zero({ hook: 'blocks.1.hook_resid_pre', layers: [0] }), /already names layer 1/],
    [zero({ hook: 'hook_embed', layers: [0] }), /is in no layer/],
    [zero({ hook: 'attn.hook_z', heads: [4] }), /no head 4: there are 4 \(0 to 3\)/],
    [zero({ hook: 'attn.hook_z', heads: [-1] }), /no head -1/],
    [zero({ hook: 'hook_resid_pre', heads: [0] }), /blocks.0.hook_resid_pre has no heads/],
    [zero({ hook: 'mlp.hook_post', neurons: [40] }), /no neuron 40: there are 40/],
    [zero({ hook: 'hook_resid_pre', neurons: [24] }), /no dimension 24/],
    [zero({ hook: 'attn.hook_pattern', neurons: [6] }), /no key 6/],
    [zero({ hook: 'hook_resid_pre', positions: [6] }), /no position 6: there are 6/],
    [zero({ hook: 'hook_resid_pre', positions: [-7] }), /no position -7/],
    [zero({ hook: 'hook_resid_pre', items: [2] }), /no item 2: there are 2/],
    [{ kind: 'add', vector: [1, 2], at: { hook: 'hook_resid_pre' } }, /"vector" has 2 numbers; .* has 24/],
    [{ kind: 'set', value: [1], at: { hook: 'attn.hook_z' } }, /"value" has 1 numbers; .* has 6/],
    [{ kind: 'projectOut', direction: wide.map(() => 0), at: { hook: 'hook_resid_pre' } }, /points nowhere/],
    [
      { kind: 'patch', from: { run: 'clean' }, at: { hook: 'hook_embed' } },
      /no run "clean". Runs are other, short, many, one/,
    ],
    [
      { kind: 'patch', from: { run: 'short' }, at: { hook: 'hook_embed' } },
      /"short" has 4 positions \(0 to 3\), this one 6/,
    ],
    [
      { kind: 'patch', from: { run: 'short', positions: [0] }, at: { hook: 'attn.hook_pattern', positions: [1] } },
      /same number of tokens/,
    ],
    [
      { kind: 'patch', from: { run: 'other', positions: [0, 1] }, at: { hook: 'hook_embed', positions: [1] } },
      /names 2 positions; 1 are written/,
    ],
    [
      { kind: 'patch', from: { run: 'other', items: [0] }, at: { hook: 'hook_embed' } },
      /names 1 items; this run has 2/,
    ],
    [{ kind: 'patch', from: { run: 'other', items: [0, 2] }, at: { hook: 'hook_embed' } }, /no item of run "other" 2/],
    [{ kind: 'freeze', of: 'many', at: { hook: 'hook_mlp_out' } }, /"many" has 3 items, this one 2/],
    [{ kind: 'mean', over: 'group', at: { hook: 'hook_mlp_out' } }, /needs "groups"/],
    [
      { kind: 'mean', over: 'group', groups: [0], at: { hook: 'hook_mlp_out' } },
      /"groups" has 1 entries; this run has 2/,
    ],
    [{ kind: 'mean', over: 'batch', groups: [0, 1], at: { hook: 'hook_mlp_out' } }, /belongs to a mean over "group"/],
    [{ kind: 'mean', over: 'batch', of: 'short', at: { hook: 'hook_mlp_out' } }, /has 4 positions, this one 6/],
    [{ kind: 'mean', over: 'all', at: { hook: 'attn.hook_attn_scores' } }, /masked entries/],
    [{ kind: 'swapPositions', pairs: [[0, 6]], at: { hook: 'hook_embed' } }, /no position 6/],
    [{ kind: 'swapPositions', pairs: [[0, 1]], at: { hook: 'hook_embed', positions: [0] } }, /leave "positions" out/],
    [
      { kind: 'editPattern', entries: [{ query: 1, key: 0, value: 1 }], at: { hook: 'attn.hook_z' } },
      /only at attn.hook_pattern, not at blocks.0.attn.hook_z/,
    ],
    [
      { kind: 'editPattern', entries: [{ query: 1, key: 2, value: 1 }], at: { hook: 'attn.hook_pattern' } },
      /cannot look at key 2, which comes later/,
    ],
    [
      { kind: 'editPattern', entries: [{ query: 9, key: 2, value: 1 }], at: { hook: 'attn.hook_pattern' } },
      /no query 9/,
    ],
    [
      { kind: 'lowRank', p: 1, a: { left: column, right: [wide] }, at: { hook: 'hook_resid_pre' } },
      /only at hook_attn_out and hook_mlp_out/,
    ],
    [
      { kind: 'lowRank', p: [[1]], a: { left: column, right: [wide] }, at: { hook: 'hook_mlp_out' } },
      /"p" must be 24 rows of 24/,
    ],
    [
      { kind: 'lowRank', p: square, a: { left: [[1]], right: [wide] }, at: { hook: 'hook_mlp_out' } },
      /"a.left" must be 24 rows of 1/,
    ],
    [
      { kind: 'lowRank', p: 1, a: { left: column, right: [wide] }, b: [1], at: { hook: 'hook_mlp_out' } },
      /"b" has 1 numbers/,
    ],
    [{ kind: 'erase', at: { hook: 'hook_embed' } }, /no kind of intervention "erase". Kinds are zero/],
    [{ kind: 'zeros', at: { hook: 'hook_embed' } }, /Did you mean "zero"\?/],
    [{ kind: 'zero' }, /"at" is missing/],
    [
      { kind: 'zero', at: { hook: 'hook_embed', head: [1] } },
      /"head" is not a field; did you mean "heads"\? \(in "at"\)/,
    ],
    [{ kind: 'scale', factor: '2', at: { hook: 'hook_embed' } }, /"factor" must be a finite number/],
    [7, /is an object with "kind" and "at"/],
  ])('%j is refused', (value, message) => {
    expect(problem(value)).toMatch(message);
  });

  it('is checked against the model it is for', () => {
    expect(problem(zero({ hook: 'attn.hook_k', heads: [2] }), llama)).toMatch(/no key-value head 2: there are 2/);
    expect(problem(zero({ hook: 'attn.hook_q', heads: [3] }), llama)).toBeNull();
    expect(problem(zero({ hook: 'hook_pos_embed' }), llama)).toMatch(/no hook point "hook_pos_embed"/);
    expect(problem(zero({ hook: 'hook_resid_mid' }), gptNeoX)).toMatch(/no hook point "hook_resid_mid"/);
    const far = { kind: 'editPattern', entries: [{ query: 5, key: 1, value: 1 }], at: { hook: 'attn.hook_pattern' } };
    expect(problem(far, mistral)).toMatch(/layer 0 looks 4 back/);
    expect(problem(zero({ hook: 'model.layers.0.input_layernorm' }), llama)).toMatch(/behind the norm's gain/);
    expect(problem(zero({ hook: 'transformer.h.0.ln_1' }), gpt2)).toBeNull();
  });

  it('needs other prompts to resample from', () => {
    const resample = { kind: 'resample', seed: 1, at: { hook: 'attn.hook_z' } };
    expect(problem(resample, gpt2, { ...shape, batch: 1 })).toMatch(/at least two prompts/);
    for (const count of [2, 3, 10]) {
      for (let seed = 0; seed < 20; seed += 1) {
        const order = derangement(count, seed);
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
        expect(order.some((item, i) => item === i)).toBe(false);
      }
    }
  });

  it('is found by its index, all mistakes at once', () => {
    const { problems } = parseInterventions(
      [zero({ hook: 'hook_embed' }), 1, zero({ hook: 'hook_embe' })],
      gpt2,
      shape,
    );
    expect(problems?.map(({ index }) => index)).toEqual([1, 2]);
    expect(problems?.[1].nearest).toContain('hook_embed');
    expect(parseInterventions({}, gpt2, shape).problems?.[0].message).toMatch(/given as a list/);
  });

  it('acts at the same place under every name', () => {
    const steps = (hook: string, layers?: number[]) =>
      parseInterventions([zero({ hook, ...(layers && { layers }) })], gpt2, shape).plan?.steps.map(
        ({ point }) => point,
      );
    const point = { kind: 'block', layer: 1, hook: 'hook_attn_out' };
    for (const hook of [
      'blocks.1.hook_attn_out',
      'blocks.1.attn.hook_out',
      'transformer.h.1.attn',
      'transformer.h.1.attn.hook_out',
    ]) {
      expect(steps(hook)).toEqual([point]);
    }
    expect(steps('hook_attn_out', [1])).toEqual([point]);
    expect(steps('attn.hook_out', [1])).toEqual([point]);
    expect(steps('hook_attn_out')).toHaveLength(3);
  });
});

describe('a run with interventions', () => {
  const { model, remove } = randomModel(gpt2, 2);
  const tokens = [
    [1, 2, 3, 4, 5, 6],
    [6, 5, 4, 3, 2, 1],
  ];
  let runner: ModelRunner;
  beforeAll(async () => {
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => null,
      (error: MechanistError) => ({ code: error.code, message: error.message, data: error.data }),
    );

  it('says which intervention is wrong', async () => {
    const interventions: Intervention[] = [
      { kind: 'zero', at: { hook: 'hook_embed' } },
      { kind: 'zero', at: { hook: 'attn.hook_z', heads: [9] } },
    ];
    const found = await failure(runner.runWith(tokens, { interventions }));
    expect(found).toMatchObject({ code: 'bad-input', data: { index: 1 } });
    expect(found?.message).toMatch(/^Intervention 1: There is no head 9/);
  });

  it.each([
    'hook_embed',
    'blocks.1.hook_resid_pre',
    'blocks.1.ln1.hook_normalized',
    'blocks.1.attn.hook_v',
    'blocks.1.attn.hook_z',
    'blocks.1.attn.hook_result',
    'blocks.2.mlp.hook_post',
    'blocks.2.hook_resid_post',
  ])('stops at the first hook point that is not finite: %s', async (hook) => {
    const large: Intervention = { kind: 'scale', factor: 1e30, at: { hook } };
    const found = await failure(runner.runWith(tokens, { interventions: [large, large] }));
    expect(found).toMatchObject({ code: 'bad-input', data: { hook } });
    expect(found?.message).toMatch(/in a run with interventions/);
  });

  it('stops at a norm scale of 0', async () => {
    for (const hook of ['blocks.1.ln1.hook_scale', 'ln_final.hook_scale']) {
      const run = runner.runWith(tokens, { interventions: [{ kind: 'zero', at: { hook } }] });
      const found = await failure(run.then((result) => result.logits()));
      expect(found?.code).toBe('bad-input');
      expect(found?.data.hook).toMatch(/hook_normalized/);
    }
  });

  it('does not blame interventions for what the model does before them', async () => {
    const spoilt = randomModel({ ...gpt2, norm: { kind: 'layernorm', eps: 1e-5 } }, 2);
    const { weight } = spoilt.model.weights.blocks[0].mlp.out;
    const handle = await open(weight.file, 'r+');
    await handle.write(Buffer.from(Float32Array.of(Number.NaN).buffer), 0, 4, weight.offset);
    await handle.close();
    const broken = await ModelRunner.open(spoilt.model, { threads: 1 });
    const above = broken.runWith(tokens, { interventions: [{ kind: 'zero', at: { hook: 'blocks.2.attn.hook_z' } }] });
    expect(await failure(above)).toMatchObject({ code: 'model-corrupt', data: { hook: 'blocks.0.hook_mlp_out' } });
    await broken.close();
    spoilt.remove();
  });

  it('refuses recorded values that do not fit, or are not finite', async () => {
    const hook = 'blocks.1.attn.hook_z';
    const { activations } = await runner.run(tokens, { hooks: [hook] });
    const z = activations.get(hook) as PackedArray;
    const patch = (recorded: ReadonlyMap<string, PackedArray>) =>
      runner.runWith(tokens, {
        interventions: [{ kind: 'patch', from: { run: 'x' }, at: { hook } }],
        runs: { x: recorded },
      });
    expect((await patch(activations)).residual.data).toEqual((await runner.run(tokens)).residual.data);
    expect(await failure(patch(new Map()))).toMatchObject({ code: 'bad-input' });
    const other = await runner.run(tokens, { hooks: ['blocks.0.attn.hook_z'] });
    expect((await failure(patch(other.activations)))?.message).toMatch(/recorded without blocks.1.attn.hook_z/);
    const flat = { dims: [2, 6, 24], data: z.data };
    expect((await failure(patch(new Map([[hook, flat]]))))?.message).toMatch(/have shape \[2, 6, 24\]/);
    const broken = { dims: z.dims, data: z.data.map((x, i) => (i === 5 ? Number.NaN : x)) };
    expect((await failure(patch(new Map([[hook, broken]]))))?.message).toMatch(/not all finite/);
  });

  it('refuses a clean run of other tokens', async () => {
    const clean = await recordCleanRun(runner, [tokens[1]]);
    expect((await failure(runner.runWith(tokens, { interventions: [], clean })))?.message).toMatch(/other tokens/);
  });

  it('can be cancelled, and runs again afterwards', async () => {
    const stop = new AbortController();
    const interventions: Intervention[] = [{ kind: 'freeze', at: { hook: 'attn.hook_pattern' } }];
    const run = runner.runWith(tokens, { interventions, signal: stop.signal, onProgress: () => stop.abort() });
    expect((await failure(run))?.code).toBe('cancelled');
    const again = await runner.runWith(tokens, { interventions });
    expect(again.residual.data).toEqual((await runner.run(tokens)).residual.data);
  });
});
