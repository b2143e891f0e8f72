import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import type { CleanRun } from '../../../src/core/engine/interventions/cleanRun.ts';
import { recordCleanRun } from '../../../src/core/engine/interventions/cleanRun.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { oracleRun } from '../../support/oracle.ts';
import { type OracleRuns, oracleRunWith } from '../../support/oracleInterventions.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { RandomInterventions } from './randomInterventions.ts';

const [BATCH_SIZE, LENGTH] = [3, 7];
/** Relative to the largest logit: float32 against float64 through three layers, with directions of any size. */
const TOLERANCE = 2e-4;

describe.each(Object.entries(SHAPES))('random interventions in %s', (name, config) => {
  const random = seededRandom(Object.keys(SHAPES).indexOf(name) + 100);
  const make = new RandomInterventions(random, config, BATCH_SIZE, LENGTH);
  const batch = () =>
    Array.from({ length: BATCH_SIZE }, () => Array.from({ length: LENGTH }, () => random.below(config.dVocab)));
  const [tokens, other] = [batch(), batch()];
  const HOOKS = allHookPoints(config).map(hookName);
  let model: OpenModel;
  let runner: ModelRunner;
  let runs: OracleRuns;
  let clean: CleanRun;
  let remove: () => void;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 9));
    runner = await ModelRunner.open(model, { threads: 1 });
    const all = (rows: readonly (readonly number[])[]) => rows.map((row) => oracleRun(config, model.weights, row));
    runs = new Map([
      ['clean', all(tokens)],
      ['other', all(other)],
    ]);
    clean = await recordCleanRun(runner, tokens);
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  const engine = async (interventions: readonly Intervention[], from?: CleanRun) => {
    const result = await runner.runWith(tokens, { interventions, runs: { other }, ...(from && { clean: from }) });
    return (await result.logits({ positions: 'all' })).data;
  };

  const compare = (found: ArrayLike<number>, expected: ArrayLike<number>, told: string) => {
    let [difference, scale] = [0, 1];
    expect(found.length).toBe(expected.length);
    for (let i = 0; i < found.length; i += 1) {
      difference = Math.max(difference, Math.abs(found[i] - expected[i]));
      scale = Math.max(scale, Math.abs(expected[i]));
    }
    expect(difference / scale, told).toBeLessThan(TOLERANCE);
  };

  const oracle = (interventions: readonly Intervention[]) =>
    tokens.flatMap((_, item) => oracleRunWith(config, model.weights, tokens, item, interventions, runs).logits.flat());

  it.each(HOOKS.filter((hook) => !/^blocks\.[02]/.test(hook)))(
    'are what the float64 oracle gives: every kind at %s',
    async (hook) => {
      for (const kind of make.kindsAt(hook)) {
        const intervention = make.make(kind, hook);
        compare(await engine([intervention]), oracle([intervention]), JSON.stringify(intervention).slice(0, 300));
      }
    },
  );

  it('are what the oracle gives, several at once, and the same from a clean run', async () => {
    for (let round = 0; round < 15; round += 1) {
      const list = Array.from({ length: 2 + random.below(4) }, () => {
        const hook = HOOKS[random.below(HOOKS.length)];
        const kinds = make.kindsAt(hook);
        return make.make(kinds[random.below(kinds.length)], hook);
      });
      const told = JSON.stringify(list).slice(0, 600);
      const found = await engine(list);
      compare(found, oracle(list), told);
      compare(await engine(list, clean), found, told);
    }
  });

  it('cost only the layers and positions from the first change on when a clean run is given', async () => {
    const at = { hook: 'blocks.2.attn.hook_z', positions: [4, 6] };
    const list: Intervention[] = [{ kind: 'scale', factor: -2, at }];
    const whole = await engine(list);
    const before = runner.counters.blockPositions;
    const found = await engine(list, clean);
    expect(runner.counters.blockPositions - before).toBe(BATCH_SIZE * (LENGTH - 4));
    compare(found, whole, 'resumed');
  });

  it('share the clean run of one prompt that every item repeats', async () => {
    const one = await recordCleanRun(runner, [tokens[0]]);
    const repeated = [tokens[0], tokens[0], tokens[0]];
    const list: Intervention[] = [0, 1, 2].map((item) => ({
      ...{ kind: 'zero', at: { hook: 'blocks.1.attn.hook_z', heads: [item], items: [item], positions: [3, 4, 5, 6] } },
    }));
    const hooks = ['blocks.1.attn.hook_pattern', 'blocks.2.hook_resid_post'];
    const options = { interventions: list, hooks, positions: [5, 6] };
    const plain = await runner.runWith(repeated, options);
    const shared = await runner.runWith(repeated, { ...options, clean: one });
    compare(shared.residual.data, plain.residual.data, 'residual');
    for (const hook of hooks) {
      compare(shared.activations.get(hook)?.data ?? [], plain.activations.get(hook)?.data ?? [], hook);
    }
  });
});
