import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { patchHeads } from '../../../src/core/experiments/steps/patchHeads.ts';
import { patchResidual } from '../../../src/core/experiments/steps/patchResidual.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { average, plainDifferences } from '../../support/plainRuns.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import {
  acronymTask,
  keepRecent,
  matrixOf,
  LOGIT_DIFFERENCE as metric,
  movingTask,
  runStep,
  stepContext,
} from '../../support/steps.ts';

// Which line of methods/acronyms.md §9, "Exact on any model", is held where: patching all positions, no-op, zero effects and E6 here;
// path patching, E10 and E11 in swapSteps; OV, copying scores, direct logits and rows that add up to 1 in attentionSteps;
// folding and refactoring in refactor; runner against PyTorch in reference. Mean ablation: test/unit/circuits.

/** Float32 sums in another order; the limit of methods/acronyms.md §9 for logit differences. */
const TOLERANCE = 1e-4;

/** Mean over rows by whole runs with interventions. */
async function plain(
  engine: AnalysisEngine,
  rows: readonly TaskItem[],
  tokens: (row: TaskItem) => readonly number[],
  answer: string,
  interventions: readonly Intervention[] = [],
  other?: (row: TaskItem) => readonly number[],
): Promise<number> {
  return average(await plainDifferences(engine, rows, answer, { tokens, interventions, ...(other && { other }) }));
}

describe.each(['gpt2', 'gptNeoX', 'llama', 'mistral'])('patching steps on a random %s', (name) => {
  const config = SHAPES[name];
  let engine: AnalysisEngine;
  let remove: () => void;

  beforeAll(async () => {
    const random = randomModel(config, 21);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('finds exactly nothing where causality forbids it (§9 lines 2 and 3)', async () => {
    const context = stepContext(engine, acronymTask(4), { recent: keepRecent() });
    const current = await runStep(patchResidual, context, { corruption: 'cur:{answer}', metric });
    for (const [i, answer] of ['L1', 'L2', 'L3'].entries()) {
      const { values, columns } = matrixOf(current.pictures, answer);
      expect(columns.labels[2]).toBe('C1');
      for (const row of values) {
        // Left of C_i the runs are the same; right of the place where the letter is predicted nothing counts any more.
        row.forEach((value, at) => {
          if (at < 2 * (i + 1) || at > 8 + i) expect(value).toBe(0);
        });
      }
      expect(Math.abs(values[0][2 * (i + 1)] ?? 0)).toBeGreaterThan(1e-3);
    }
    for (const corruption of ['let:{answer}']) {
      const { pictures } = await runStep(patchResidual, context, { corruption, metric });
      expect(
        matrixOf(pictures, 'L1')
          .values.flat()
          .every((value) => value === 0),
      ).toBe(true);
      const heads = await runStep(patchHeads, context, { corruption, metric, answers: ['L1'] });
      expect(
        matrixOf(heads.pictures, 'L1')
          .values.flat()
          .every((value) => value === 0),
      ).toBe(true);
      expect(heads.warnings.join()).toContain('leaves 4 of 4 rows as they are');
    }
  });

  it('every position of a layer from the other run is the other run (§9 line 1)', async () => {
    const task = acronymTask(3);
    const items = task.items.map((item) => ({ ...item, roles: { all: item.ids.map((_, at) => at) } }));
    const context = stepContext(engine, { ...task, items, roles: ['all'] });
    const { values } = await runStep(patchResidual, context, { corruption: 'all', by: 'role', metric });
    for (const answer of ['L1', 'L2', 'L3']) {
      const whole = values[`${answer}.corrupted`] - values[`${answer}.clean`];
      expect(Math.abs(whole)).toBeGreaterThan(1e-3);
      for (let layer = 0; layer < config.nLayers; layer += 1) {
        expect(Math.abs(values[`${answer}.L${layer}.all`] - whole)).toBeLessThan(TOLERANCE);
      }
    }
  });

  it('E6: the column of the one letter that was changed is its whole effect at every layer (§9 line 3)', async () => {
    const context = stepContext(engine, acronymTask(4));
    const { pictures, values } = await runStep(patchResidual, context, {
      ...{ corruption: 'let:{answer}', metric, answers: ['L2'] },
    });
    const column = matrixOf(pictures, 'L2').values.map((row) => row[9] ?? Number.NaN);
    for (const value of column)
      expect(Math.abs(value - (values['L2.corrupted'] - values['L2.clean']))).toBeLessThan(TOLERANCE);
    expect(Math.abs(column[0])).toBeGreaterThan(1e-3);
  });

  it('gives the numbers of plain runs at roles, for several answers from one pass, in both directions', async () => {
    const task = acronymTask(3);
    const context = stepContext(engine, task);
    for (const direction of ['noising', 'denoising'] as const) {
      const clean = (row: TaskItem) => row.ids;
      const other = (row: TaskItem) => row.corrupted.all;
      const [into, from] = direction === 'noising' ? [clean, other] : [other, clean];
      const params = { corruption: 'all', direction, metric };
      const heads = await runStep(patchHeads, context, { ...params, at: ['C2', 'L3@A1'], layers: [1] });
      expect(heads.pictures.map(({ id }) => id)).toEqual(['L1@C2', 'L2@C2', 'L3@C2', 'L3@A1', 'largest effects']);
      const z = (positions: number[]): Intervention => ({
        ...{ kind: 'patch', at: { hook: 'blocks.1.attn.hook_z', heads: [2], positions }, from: { run: 'other' } },
      });
      for (const [answer, role, at] of [
        ['L2', 'C2', 4],
        ['L3', 'C2', 4],
        ['L3', 'A1', 9],
      ] as const) {
        const patched = await plain(engine, task.items, into, answer, [z([at])], from);
        const before = await plain(engine, task.items, into, answer);
        expect(Math.abs(heads.values[`${answer}@${role}.L1.H2`] - (patched - before))).toBeLessThan(TOLERANCE);
        expect(
          Math.abs(heads.values[`${answer}.${direction === 'noising' ? 'clean' : 'corrupted'}`] - before),
        ).toBeLessThan(TOLERANCE);
      }
      for (const site of ['resid_pre', 'attn_out', 'mlp_out'] as const) {
        const residual = await runStep(patchResidual, context, { ...params, site, roles: ['T2', 'C2'], layers: [1] });
        const patch: Intervention = {
          kind: 'patch',
          at: { hook: `blocks.1.hook_${site}`, positions: [5] },
          from: { run: 'other' },
        };
        const patched = await plain(engine, task.items, into, 'L3', [patch], from);
        const before = await plain(engine, task.items, into, 'L3');
        expect(Math.abs(residual.values['L3.L1.T2'] - (patched - before))).toBeLessThan(TOLERANCE);
      }
    }
  });

  it('patches keys, values, queries and patterns at one role as a plain run does', async () => {
    const task = acronymTask(2);
    const context = stepContext(engine, task);
    const clean = (row: TaskItem) => row.ids;
    const other = (row: TaskItem) => row.corrupted.all;
    for (const site of ['q', 'k', 'v', 'pattern'] as const) {
      const { values } = await runStep(patchHeads, context, {
        corruption: 'all',
        site,
        at: ['A1'],
        layers: [1],
        metric,
      });
      const rotated = config.positions.kind === 'rotary' && (site === 'q' || site === 'k') ? 'rot_' : '';
      const at = { hook: `blocks.1.attn.hook_${rotated}${site}`, heads: [0], positions: [9] };
      const patched = await plain(
        engine,
        task.items,
        clean,
        'L3',
        [{ kind: 'patch', at, from: { run: 'other' } }],
        other,
      );
      const before = await plain(engine, task.items, clean, 'L3');
      expect(Math.abs(values['L3@A1.L1.H0'] - (patched - before)), site).toBeLessThan(TOLERANCE);
    }
  });

  it('takes roles that stand elsewhere in every row, and rows of unlike length', async () => {
    const task = movingTask(7);
    const { values, pictures, cells } = await runStep(patchResidual, stepContext(engine, task), {
      corruption: 'abc',
      metric,
    });
    const matrix = matrixOf(pictures, 'answer');
    expect(matrix.columns).toEqual({ name: 'role', labels: ['S', 'IO', 'X'] });
    const changes: number[] = [];
    for (const row of task.items) {
      const patch: Intervention = {
        ...{ kind: 'patch', at: { hook: 'blocks.1.hook_resid_pre', positions: row.roles.S }, from: { run: 'other' } },
      };
      const patched = await plain(
        engine,
        [row],
        ({ ids }) => ids,
        'answer',
        [patch],
        ({ corrupted }) => corrupted.abc,
      );
      const before = await plain(engine, [row], ({ ids }) => ids, 'answer');
      changes.push(patched - before);
    }
    expect(Math.abs(values['answer.L1.S'] - average(changes))).toBeLessThan(TOLERANCE);
    // Rows 2 and 6 have no X.
    const { effects } = cells.get('L1/abc') as unknown as { effects: { answer: (number | null)[][] } };
    expect(effects.answer[2].filter((value) => value === null).length).toBe(2);
  });
});

describe('cells', () => {
  let engine: AnalysisEngine;
  let remove: () => void;
  const task: TaskSet = acronymTask(5);

  beforeAll(async () => {
    const random = randomModel(SHAPES.gpt2, 4);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('gives equal numbers whatever ran before, and with little memory about the same', async () => {
    const params = { corruption: 'cur:{answer}', metric };
    const kept = await runStep(patchHeads, stepContext(engine, task, { recent: keepRecent() }), params);
    const context = stepContext(engine, task);
    for (const cell of [...patchHeads.cells(context, params)].reverse()) {
      const { forwardPasses: _, ...alone } = await patchHeads.run(context, params, cell);
      const { forwardPasses: __, ...among } = kept.cells.get(cell.id) ?? {};
      expect(JSON.parse(JSON.stringify(alone))).toEqual(among);
    }
    const little = await runStep(patchHeads, stepContext(engine, task, { memoryBytes: 150_000 }), params);
    for (const [key, value] of Object.entries(kept.values)) expect(little.values[key]).toBeCloseTo(value, 4);
  });

  it('leaves null where cells are missing', () => {
    const params = { corruption: 'cur:{answer}', metric, answers: ['L2'] };
    const { pictures, values } = patchResidual.assemble(stepContext(engine, task), params, new Map());
    expect(
      matrixOf(pictures, 'L2')
        .values.flat()
        .every((value) => value === null),
    ).toBe(true);
    expect(values).toEqual({});
  });

  it('says what the data has when a name is wrong', () => {
    const context = stepContext(engine, task);
    const cells = (more: object) => () => patchHeads.cells(context, { corruption: 'cur:{answer}', metric, ...more });
    expect(cells({ corruption: 'cur' })).toThrow(
      'There is no corruption "cur". The data has the corruptions cur:L1, prev:L1',
    );
    expect(cells({ answers: ['L9'] })).toThrow('The data has no answer "L9". Answers: L1, L2, L3.');
    expect(cells({ at: ['C9'] })).toThrow('The data has no role "C9"');
    expect(cells({ layers: [3] })).toThrow('There is no layer 3: the model has layers 0 to 2.');
    expect(() => patchHeads.cells({ ...context, task: { ...task, items: [] } }, { corruption: 'all', metric })).toThrow(
      'test has no row that can be run',
    );
  });
});

describe('cost on the shape of GPT-2 Small', () => {
  const [layers, heads, length] = [12, 12, 11];
  const letters = [1, 2, 3].map((i) => ({ word: 2 * i, read: 7 + i }));
  const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);
  const each = (f: (layer: number) => number) => sum(Array.from({ length: layers }, (_, layer) => f(layer)));
  const unchanged = sum(letters.map(({ read }) => 2 * layers * (read + 1)));

  it('runs E1 and E2 in a sixth of the passes of whole runs: from the changed layer and position on, only to the answer', async () => {
    const windows = new Array<null>(layers).fill(null);
    const { attention, ...rest } = {
      ...SHAPES.gpt2,
      nLayers: layers,
      nHeads: heads,
      nKeyValueHeads: heads,
      dHead: 2,
      dMlp: 16,
    };
    const { model, remove } = randomModel({ ...rest, attention: { ...attention, windows } }, 2);
    const engine = await wordEngine(model);
    const rows = 2;
    try {
      const context = stepContext(engine, acronymTask(rows), { recent: keepRecent() });
      const params = { corruption: 'cur:{answer}', metric };
      const cost = async (kind: typeof patchResidual | typeof patchHeads) => {
        const before = engine.runner.counters.blockPositions;
        const { cells } = await runStep<typeof params>(kind, context, params);
        const told = sum([...cells.values()].map(({ forwardPasses }) => Number(forwardPasses)));
        const counted = (engine.runner.counters.blockPositions - before) / rows;
        expect(told / rows).toBeCloseTo(counted / layers / length, 1);
        return counted;
      };
      // Block positions a prompt. The last block runs for the answer's row alone, which is not counted, but where it is the only one.
      const residual = sum(
        letters.map(({ word, read }) => {
          const earlier = sum(Array.from({ length: read - word }, (_, i) => read + 1 - word - i));
          return each((layer) => earlier * (layers - 1 - layer) + (layers - layer));
        }),
      );
      const ofHeads = sum(
        letters.map(({ word, read }) => heads * (read + 1 - word) * each((layer) => Math.max(0, layers - 2 - layer))),
      );
      expect(await cost(patchResidual)).toBeCloseTo(unchanged + residual, 6);
      expect(await cost(patchHeads)).toBeCloseTo(unchanged + ofHeads, 6);
      const whole = layers * length * (letters.length * layers * length + letters.length * layers * heads);
      expect((2 * unchanged + residual + ofHeads) / whole).toBeLessThan(1 / 6);
    } finally {
      await engine.close();
      remove();
    }
  });
});
