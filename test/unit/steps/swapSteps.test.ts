import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { patchHeads } from '../../../src/core/experiments/steps/patchHeads.ts';
import { patchPaths } from '../../../src/core/experiments/steps/patchPaths.ts';
import { swapBosAttention } from '../../../src/core/experiments/steps/swapBosAttention.ts';
import { swapCombination } from '../../../src/core/experiments/steps/swapCombination.ts';
import { swapPositions } from '../../../src/core/experiments/steps/swapPositions.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { average, plainDifferences, plainPattern } from '../../support/plainRuns.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { acronymTask, matrixOf, LOGIT_DIFFERENCE as metric, runStep, stepContext } from '../../support/steps.ts';

/** The limit of methods/acronyms.md §9 for logit differences, and for patterns. */
const TOLERANCE = 1e-4;
const PATTERN = 1e-5;

const [C1, C2] = [2, 4];
const pairs = [['C1', 'C2']];
/** Positions by whose angles tokens are turned: those of C1 and C2 exchanged. */
const turnedAs = Array.from({ length: 11 }, (_, at) => (at === C1 ? C2 : at === C2 ? C1 : at));

function closeTo(value: number, expected: number, tolerance: number): void {
  expect(Math.abs(value - expected)).toBeLessThan(tolerance);
}

describe.each(['gpt2', 'gptNeoX', 'llama'])('on a random %s', (name) => {
  const config = SHAPES[name];
  const learned = config.positions.kind === 'learned';
  const task = acronymTask(3, 8);
  let engine: AnalysisEngine;
  let remove: () => void;

  beforeAll(async () => {
    const random = randomModel(config, 31);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  const perRow = async (
    answer: string,
    interventions: readonly (readonly Intervention[])[],
    angles?: readonly number[],
  ) => {
    const values: number[] = [];
    for (const [i, row] of task.items.entries()) {
      values.push(
        ...(await plainDifferences(engine, [row], answer, { interventions: interventions[i], turnedAs: angles })),
      );
    }
    return average(values);
  };

  /** Attention to the first position of some heads of a layer, exchanged between C1 and C2, as pattern entries. */
  async function exchange(
    row: TaskItem,
    layer: number,
    heads: readonly number[],
    options: { renormalise?: boolean; all?: boolean } = {},
  ): Promise<Intervention[]> {
    const pattern = await plainPattern(engine, row.ids, layer);
    const once = options.renormalise ? [] : await constantsOnce(layer, heads);
    const edits = heads.map((head): Intervention => {
      const own = (query: number) => pattern[head][query === C1 ? C2 : query === C2 ? C1 : query][0];
      const queries = options.all ? row.ids.map((_, query) => query) : [C1, C2];
      return {
        kind: 'editPattern',
        at: { hook: `blocks.${layer}.attn.hook_pattern`, heads: [head] },
        entries: queries.map((query) => ({ query, key: 0, value: own(query) })),
        ...(options.renormalise && { renormalise: true }),
      };
    });
    return [...edits, ...once];
  }

  /** Values of a residual stream of 0: what values have in common. It is taken from them and added to z. */
  async function constantsOnce(layer: number, heads: readonly number[]): Promise<Intervention[]> {
    const { dModel, dHead, nHeads, nKeyValueHeads } = config;
    const hook = `blocks.${layer}.attn.hook_v`;
    const residual = { dims: [1, 1, dModel], data: new Float32Array(dModel) };
    const run = await engine.runner.run([[1]], { fromLayer: layer, toLayer: layer + 1, residual, hooks: [hook] });
    const values = run.activations.get(hook)?.data ?? new Float32Array(0);
    const perKey = nHeads / nKeyValueHeads;
    return [...new Set(heads.map((head) => Math.floor(head / perKey)))].flatMap((key): Intervention[] => {
      const vector = Array.from(values.subarray(key * dHead, (key + 1) * dHead));
      const queries = Array.from({ length: perKey }, (_, i) => key * perKey + i);
      return [
        { kind: 'add', at: { hook, heads: [key] }, vector, factor: -1 },
        { kind: 'add', at: { hook: `blocks.${layer}.attn.hook_z`, heads: queries }, vector },
      ];
    });
  }

  it('E11: exchanges the attention of one head as a plain run does; both rows add up to 2 (§9)', async () => {
    const context = stepContext(engine, task);
    for (const renormalise of [false, true]) {
      const params = { pairs, renormalise, layers: [0, 2], metric };
      const { values, pictures } = await runStep(swapBosAttention, context, params);
      expect(matrixOf(pictures, 'L3.C1-C2').rows.labels).toEqual(['L0', 'L2']);
      for (const [layer, head, answer] of [
        [0, 1, 'L3'],
        [2, 3, 'L1'],
      ] as const) {
        const edits = await Promise.all(task.items.map((row) => exchange(row, layer, [head], { renormalise })));
        const changed = (await perRow(answer, edits)) - average(await plainDifferences(engine, task.items, answer));
        closeTo(values[`${answer}.C1-C2.L${layer}.H${head}`], changed, TOLERANCE);
      }
    }
    const [row] = task.items;
    const [before, after] = [
      await plainPattern(engine, row.ids, 1),
      await plainPattern(engine, row.ids, 1, await exchange(row, 1, [2])),
    ];
    const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);
    closeTo(sum(after[2][C1]) + sum(after[2][C2]), 2, 1e-6);
    after[2].forEach((weights, query) => {
      weights.forEach((weight, key) => {
        if (key !== 0 || (query !== C1 && query !== C2)) expect(weight).toBe(before[2][query][key]);
      });
      if (query !== C1 && query !== C2) closeTo(sum(weights), 1, 1e-6);
    });
  });

  it('E11: finds the heads beyond a threshold as a circuit, and says that rows are left as they become', async () => {
    const params = { pairs, metric, threshold: 0 };
    const { circuit, values, warnings, cells } = await runStep(swapBosAttention, stepContext(engine, task), params);
    const lowest = (node: string) => Math.min(...['L1', 'L2', 'L3'].map((answer) => values[`${answer}.C1-C2.${node}`]));
    const effects = circuit?.nodes.map(({ effect = 0 }) => effect) ?? [];
    expect(effects.length).toBeGreaterThan(0);
    expect(effects).toEqual([...effects].sort((a, b) => a - b));
    for (const { node, effect = 0 } of circuit?.nodes ?? []) closeTo(effect, lowest(node), 1e-6);
    expect(warnings.join()).toContain('no longer add up to 1');
    cells.forEach((_, id) => {
      const some = new Map([...cells].filter(([own]) => own !== id));
      expect(swapBosAttention.assemble(stepContext(engine, task), params, some).circuit).toBeUndefined();
    });
  });

  it.runIf(learned)('E10: exchanges position embeddings; twice is the clean run, bit for bit (§9)', async () => {
    const context = stepContext(engine, task);
    const { values } = await runStep(swapPositions, context, { pairs, heads: ['L1.H2'], metric });
    const swap: Intervention = { kind: 'swapPositions', at: { hook: 'hook_pos_embed' }, pairs: [[C1, C2]] };
    const clean = await plainDifferences(engine, task.items, 'L2');
    closeTo(values['C1-C2.L2.clean'], average(clean), TOLERANCE);
    closeTo(
      values['C1-C2.L2.positions'],
      await perRow(
        'L2',
        task.items.map(() => [swap]),
      ),
      TOLERANCE,
    );
    const masses = await Promise.all(task.items.map((row) => plainPattern(engine, row.ids, 1, [swap])));
    closeTo(values['C1-C2.L1.H2.L3.C2.positions'], average(masses.map((pattern) => pattern[2][10][C2])), PATTERN);
    const twice = await plainDifferences(engine, task.items, 'L2', { interventions: [swap, swap] });
    expect(twice).toEqual(clean);
  });

  it.runIf(!learned)('E10: exchanges the angles of rotary positions as a plain run does, and says so', async () => {
    const context = stepContext(engine, task);
    const { values, warnings } = await runStep(swapPositions, context, { pairs, heads: ['L1.H2'], metric });
    closeTo(values['C1-C2.L2.clean'], average(await plainDifferences(engine, task.items, 'L2')), TOLERANCE);
    closeTo(
      values['C1-C2.L2.positions'],
      average(await plainDifferences(engine, task.items, 'L2', { turnedAs })),
      TOLERANCE,
    );
    expect(Math.abs(values['C1-C2.L2.positions'] - values['C1-C2.L2.clean'])).toBeGreaterThan(TOLERANCE);
    const masses = await Promise.all(task.items.map((row) => plainPattern(engine, row.ids, 1, [], turnedAs)));
    closeTo(values['C1-C2.L1.H2.L3.C2.positions'], average(masses.map((pattern) => pattern[2][10][C2])), PATTERN);
    expect(warnings.join()).toContain('turned by each other’s angles');
  });

  it('E12: exchanges in several heads together, with and without positions, as plain runs do', async () => {
    const context = stepContext(engine, task);
    const swapped = ['L0.H1', 'L1.H0', 'L1.H3'];
    for (const { renormalise, queries } of [
      { renormalise: false, queries: 'all' },
      { renormalise: true, queries: 'pair' },
    ] as const) {
      const params = { pairs, swapped, heads: ['L2.H1'], to: ['C1', 'T2'], renormalise, queries, metric };
      const { values, pictures, warnings } = await runStep(swapCombination, context, params);
      const bars = pictures.find(({ id }) => id === 'C1-C2 metric');
      const names = ['clean', 'positions', 'first', 'both'];
      expect(bars?.type === 'bars' && bars.groups[0].bars.map(({ label }) => label)).toEqual(names);
      expect(warnings.length).toBe((queries === 'all' ? 2 : 0) + (learned ? 0 : 1));
      const options = { renormalise, all: queries === 'all' };
      const edits = await Promise.all(
        task.items.map(async (row) => [
          ...(await exchange(row, 0, [1], options)),
          ...(await exchange(row, 1, [0, 3], options)),
        ]),
      );
      closeTo(values['C1-C2.L3.first'], await perRow('L3', edits), TOLERANCE);
      const swap: Intervention = { kind: 'swapPositions', at: { hook: 'hook_pos_embed' }, pairs: [[C1, C2]] };
      const both = learned ? edits.map((own) => [swap, ...own]) : edits;
      const turned = learned ? undefined : turnedAs;
      for (const [condition, own, angles] of [
        ['first', edits, undefined],
        ['both', both, turned],
      ] as const) {
        closeTo(values[`C1-C2.L3.${condition}`], await perRow('L3', own, angles), TOLERANCE);
        const patterns = await Promise.all(
          task.items.map((row, i) => plainPattern(engine, row.ids, 2, own[i], angles)),
        );
        closeTo(values[`C1-C2.L2.H1.L1.T2.${condition}`], average(patterns.map((p) => p[1][8][5])), PATTERN);
      }
    }
  });

  it('paths: from the last layer they are head patches, from a like run nothing, above the receiver nothing (§9)', async () => {
    const context = stepContext(engine, task);
    const params = { corruption: 'all', metric };
    const heads = await runStep(patchHeads, context, { ...params, layers: [2] });
    const paths = await runStep(patchPaths, context, params);
    for (const answer of ['L1', 'L2', 'L3']) {
      for (let head = 0; head < config.nHeads; head += 1) {
        closeTo(paths.values[`${answer}.L2.H${head}`], heads.values[`${answer}.L2.H${head}`], TOLERANCE);
      }
    }
    expect(paths.warnings.join()).toContain('MLPs are recomputed');
    const none = await runStep(patchPaths, context, { corruption: 'let:{answer}', answers: ['L1'], metric });
    for (const value of matrixOf(none.pictures, 'L1').values.flat()) closeTo(value ?? Number.NaN, 0, TOLERANCE);
    const received = await runStep(patchPaths, context, { ...params, receivers: ['L1.H1.v'], mlps: 'frozen' });
    expect(
      matrixOf(received.pictures, 'L3')
        .values.slice(1)
        .flat()
        .every((value) => value === 0),
    ).toBe(true);
    expect(
      Math.max(...matrixOf(received.pictures, 'L3').values[0].map((value) => Math.abs(value ?? 0))),
    ).toBeGreaterThan(0);
    expect(() => patchPaths.cells(context, { ...params, receivers: ['L1.H1'] })).toThrow('"L1.H1" is no receiver');
  });
});

describe('windows that hide the first position', () => {
  it('exchange nothing, and say so', async () => {
    const { model, remove } = randomModel(SHAPES.gptNeo, 3);
    const engine = await wordEngine(model);
    try {
      const task = acronymTask(2);
      const context = stepContext(engine, task);
      const params = { pairs: [['C1', 'C3']], metric };
      const { pictures, warnings } = await runStep(swapBosAttention, context, params);
      const { values } = matrixOf(pictures, 'L3.C1-C3');
      expect(values[1].every((value) => value === 0)).toBe(true);
      expect(values[0].every((value) => value !== 0)).toBe(true);
      expect(warnings.join()).toContain('In L1 some of these positions do not see the first one');
      const combined = { ...params, swapped: ['L1.H0'], heads: ['L1.H0'] };
      expect(() => swapCombination.cells(context, combined)).toThrow('L1.H0 cannot see the first position');
    } finally {
      await engine.close();
      remove();
    }
  });
});
