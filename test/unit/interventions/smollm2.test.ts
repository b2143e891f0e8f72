import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { type CleanRun, recordCleanRun } from '../../../src/core/engine/interventions/cleanRun.ts';
import type { NamedRuns } from '../../../src/core/engine/interventions/namedRuns.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { load, mechanistCache, type Packed, readFigures, smollm2File, unpack } from '../reference/referenceFigures.ts';

interface Steered {
  readonly positions: readonly number[] | null;
  readonly value: number;
  readonly top: { readonly ids: readonly number[]; readonly logits: Packed };
}

interface Pair {
  readonly clean: string;
  readonly ids: readonly number[];
  readonly corruptedIds: readonly number[];
  readonly answer: number;
  readonly foil: number;
  readonly cleanValue: number;
  readonly corruptedValue: number;
  readonly zeroHeads: Packed;
  readonly zeroMlps: Packed;
  readonly patching?: Readonly<Record<'noising' | 'denoising', { readonly exact: Readonly<Record<string, Packed>> }>>;
  readonly paths?: { readonly final: Readonly<Record<'mlpsFrozen' | 'mlpsRecomputed', Packed>> };
  readonly steering?: {
    readonly hook: string;
    readonly vector: Packed;
    readonly everywhere: Steered;
    readonly last: Steered;
  };
}

interface Figures {
  readonly tolerance: number;
  readonly prompts: readonly Pair[];
  readonly meanHeads: { readonly prompts: readonly number[]; readonly values: Packed };
}

const MODULE_SITES = ['hook_resid_pre', 'hook_resid_mid', 'hook_resid_post', 'hook_attn_out', 'hook_mlp_out'];
const file = smollm2File();

// Figures by PyTorch hooks in float32, one full run a cell; here a seeded choice of cells, each a run of its own.
describe.skipIf(file === null)('interventions on SmolLM2 against PyTorch', () => {
  const { prompts, meanHeads, tolerance } = readFigures<Figures>('interventions-smollm2.json');
  const random = seededRandom(1);
  let loaded: AnalysisEngine;
  beforeAll(async () => {
    loaded = await load(file ?? '', mechanistCache());
  }, 300_000);
  afterAll(() => loaded?.close());

  const value = async (
    tokens: readonly (readonly number[])[],
    { answer, foil }: Pair,
    interventions: readonly Intervention[],
    more: { readonly clean?: CleanRun; readonly runs?: NamedRuns } = {},
  ) => {
    const result = await loaded.runner.runWith(tokens, { interventions, ...more });
    const { data } = await result.logits({ columns: [answer, foil] });
    return tokens.map((_, item) => data[2 * item] - data[2 * item + 1]);
  };

  const cells = (packed: Packed, count: number) => {
    const [rows, columns = 1] = packed.dims;
    const data = unpack(packed);
    return Array.from({ length: count }, () => {
      const [row, column] = [random.below(rows), random.below(columns)];
      return { row, column, expected: data[row * columns + column] };
    });
  };
  const expectNear = (found: number, expected: number, told: string) =>
    expect(Math.abs(found - expected), `${told}: ${found}, not ${expected}`).toBeLessThanOrEqual(tolerance);

  it('is held on at least 10 prompts, to 1e-3', () => {
    expect(prompts.length).toBeGreaterThanOrEqual(10);
    expect(tolerance).toBeLessThanOrEqual(1e-3);
  });

  it('changes no bit where a patch changes nothing', async () => {
    const hooks = allHookPoints(loaded.runner.config)
      .map(hookName)
      .filter((hook) => /^blocks\.11\.|^hook|^ln_final/.test(hook));
    for (const tokens of [[prompts[8].ids], prompts.slice(0, 2).map(({ ids }) => ids)]) {
      // Of all positions: for the last one alone the plain run takes a shortcut of its own.
      const { data: expected } = await loaded.runner.logits(tokens, { positions: 'all' });
      for (const hook of hooks) {
        const same: Intervention = { kind: 'freeze', at: { hook } };
        const result = await loaded.runner.runWith(tokens, { interventions: [same] });
        const { data: found } = await result.logits({ positions: 'all' });
        expect(Buffer.from(found.buffer).equals(Buffer.from(expected.buffer)), hook).toBe(true);
      }
    }
  });

  it.each(prompts)('zero-ablates heads and MLPs of "$clean"', async (pair) => {
    const clean = await recordCleanRun(loaded.runner, [pair.ids]);
    expectNear((await value([pair.ids], pair, [], { clean }))[0], pair.cleanValue, 'clean');
    for (const { row, column, expected } of cells(pair.zeroHeads, 4)) {
      const at = { hook: `blocks.${row}.attn.hook_z`, heads: [column] };
      expectNear((await value([pair.ids], pair, [{ kind: 'zero', at }], { clean }))[0], expected, `L${row}.H${column}`);
    }
    for (const { row, expected } of cells(pair.zeroMlps, 2)) {
      const at = { hook: 'hook_mlp_out', layers: [row] };
      expectNear((await value([pair.ids], pair, [{ kind: 'zero', at }]))[0], expected, `MLP ${row}`);
    }
  });

  it.each(prompts.filter((pair) => pair.patching))('patches "$clean" at every site, both ways', async (pair) => {
    for (const direction of ['noising', 'denoising'] as const) {
      const [base, other] = direction === 'noising' ? [pair.ids, pair.corruptedIds] : [pair.corruptedIds, pair.ids];
      const clean = await recordCleanRun(loaded.runner, [base]);
      for (const [site, packed] of Object.entries(pair.patching?.[direction].exact ?? {})) {
        for (const { row, column, expected } of cells(packed, 3)) {
          const at = MODULE_SITES.includes(site)
            ? { hook: `blocks.${row}.${site}`, positions: [column] }
            : { hook: `blocks.${row}.attn.${site}`, heads: [column] };
          const patch: Intervention = { kind: 'patch', from: { run: 'other' }, at };
          const [found] = await value([base], pair, [patch], { clean, runs: { other: [other] } });
          expectNear(found, expected, `${direction} ${JSON.stringify(at)}`);
        }
      }
    }
  });

  it('mean-ablates heads over the prompts of a batch', async () => {
    const batch = meanHeads.prompts.map((index) => prompts[index]);
    const values = unpack(meanHeads.values);
    const [count, layers, heads] = meanHeads.values.dims;
    for (let cell = 0; cell < 4; cell += 1) {
      const [layer, head] = [random.below(layers), random.below(heads)];
      const at = { hook: `blocks.${layer}.attn.hook_z`, heads: [head] };
      const tokens = batch.map(({ ids }) => ids);
      const result = await loaded.runner.runWith(tokens, { interventions: [{ kind: 'mean', over: 'batch', at }] });
      for (let index = 0; index < count; index += 1) {
        const { answer, foil } = batch[index];
        const { data } = await result.logits({ columns: [answer, foil] });
        const expected = values[(index * layers + layer) * heads + head];
        expectNear(data[2 * index] - data[2 * index + 1], expected, `L${layer}.H${head} of prompt ${index}`);
      }
    }
  });

  it('follows one path alone: all other heads frozen, MLPs frozen or not', async () => {
    const pair = prompts[0];
    for (const [mlps, packed] of Object.entries(pair.paths?.final ?? {})) {
      for (const { row, column, expected } of cells(packed, 3)) {
        const sender: Intervention = {
          ...{ kind: 'patch', from: { run: 'other' }, at: { hook: `blocks.${row}.attn.hook_z`, heads: [column] } },
        };
        const frozen: Intervention[] = ['attn.hook_z', ...(mlps === 'mlpsFrozen' ? ['hook_mlp_out'] : [])].map(
          (hook) => ({
            ...{ kind: 'freeze', at: { hook } },
          }),
        );
        const runs = { other: [pair.corruptedIds] };
        const [found] = await value([pair.ids], pair, [...frozen, sender], { runs });
        expectNear(found, expected, `${mlps} L${row}.H${column}`);
      }
    }
  });

  it.each(prompts.filter((pair) => pair.steering))('steers "$clean" by a direction', async (pair) => {
    const { steering } = pair;
    for (const { positions, value: expected, top } of steering ? [steering.everywhere, steering.last] : []) {
      const at = { hook: steering?.hook ?? '', ...(positions && { positions }) };
      const add: Intervention = { kind: 'add', vector: Array.from(unpack(steering?.vector ?? top.logits)), at };
      expectNear((await value([pair.ids], pair, [add]))[0], expected, JSON.stringify(positions));
      const result = await loaded.runner.runWith([pair.ids], { interventions: [add] });
      const { data } = await result.logits({ columns: top.ids });
      for (const [i, logit] of unpack(top.logits).entries()) expectNear(data[i], logit, `logit ${top.ids[i]}`);
    }
  });
});
