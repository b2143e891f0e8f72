import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { StepContext } from '../../../src/core/experiments/stepKind.ts';
import { attentionByRole } from '../../../src/core/experiments/steps/attentionByRole.ts';
import { copyingScatter } from '../../../src/core/experiments/steps/copyingScatter.ts';
import { copyingScores } from '../../../src/core/experiments/steps/copyingScores.ts';
import { meanPattern } from '../../../src/core/experiments/steps/meanPattern.ts';
import { ovCircuit } from '../../../src/core/experiments/steps/ovCircuit.ts';
import { patchHeads } from '../../../src/core/experiments/steps/patchHeads.ts';
import { patchPaths } from '../../../src/core/experiments/steps/patchPaths.ts';
import { patchResidual } from '../../../src/core/experiments/steps/patchResidual.ts';
import { swapBosAttention } from '../../../src/core/experiments/steps/swapBosAttention.ts';
import { swapCombination } from '../../../src/core/experiments/steps/swapCombination.ts';
import { swapPositions } from '../../../src/core/experiments/steps/swapPositions.ts';
import { tokensOf } from '../../../src/core/experiments/steps/tokenSets.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import {
  ACRONYM_ROLES,
  keepRecent,
  matrixOf,
  LOGIT_DIFFERENCE as metric,
  runStep,
  stepContext,
  taskSetOf,
} from '../../support/steps.ts';
import { ACRONYMS, load, REFERENCE, readFigures } from '../reference/referenceFigures.ts';

const ANSWERS = ['L1', 'L2', 'L3'];
/** Limits of methods/acronyms.md §9: metrics, patterns. */
const METRIC = 1e-3;
const PATTERN = 1e-5;

type ByAnswer = Readonly<Record<string, readonly (readonly number[])[]>>;
type Bars = Readonly<
  Record<string, { readonly metric: readonly number[]; readonly attention: readonly (readonly number[])[] }>
>;

/** Figures of scripts/reference/acronymSteps.py: its README says what each field holds. */
interface StepFigures {
  readonly rows: readonly {
    readonly ids: readonly number[];
    readonly answers: readonly number[];
    readonly foils: readonly (readonly number[])[];
    readonly corrupted: Readonly<Record<string, readonly number[]>>;
  }[];
  readonly clean: readonly number[];
  readonly residual: Readonly<Record<'cur' | 'prev' | 'mlp_out' | 'denoising', ByAnswer>>;
  readonly heads: Readonly<Record<'cur' | 'prev@A1', ByAnswer>>;
  readonly paths: Readonly<Record<'final' | 'q' | 'k' | 'v', readonly (readonly (readonly number[])[])[]>>;
  readonly meanPattern: readonly (readonly (readonly number[])[])[];
  readonly attention: readonly (readonly number[])[];
  readonly shown: readonly [number, number];
  readonly swapFirst: Readonly<Record<'published' | 'renormalised', readonly (readonly (readonly number[])[])[]>>;
  readonly swapSeveral: {
    readonly heads: readonly (readonly number[])[];
    readonly published: Bars;
    readonly renormalised: Bars;
  };
  readonly ov: { readonly tokens: readonly number[]; readonly plain: number[][]; readonly full: number[][] };
  readonly copying: { readonly tokens: readonly number[]; readonly top: number; readonly counts: number[][] };
  readonly scatter: { readonly y: readonly number[][][]; readonly scale: readonly number[][] };
}

function taskOf({ rows }: StepFigures) {
  const items = rows.map(
    ({ ids, answers, foils, corrupted }, row): TaskItem => ({
      ...{ id: `${row + 1}`, text: '', ids, tokens: ids.map(String), tags: [], corrupted },
      roles: Object.fromEntries(ACRONYM_ROLES.map((role, at) => [role, [at]])),
      answers: answers.map((answer, a) => ({ name: ANSWERS[a], position: 8 + a, answer, foils: foils[a] })),
    }),
  );
  return taskSetOf(items, ACRONYM_ROLES);
}

function closeTo(value: number | null | undefined, expected: number, tolerance: number, what: string): void {
  expect(Math.abs((value ?? Number.NaN) - expected), what).toBeLessThanOrEqual(tolerance);
}

/** Compares a layers × columns matrix of each answer. */
function sameMatrices(pictures: Parameters<typeof matrixOf>[0], expected: ByAnswer, suffix = ''): void {
  for (const [answer, rows] of Object.entries(expected)) {
    const { values } = matrixOf(pictures, `${answer}${suffix}`);
    expect(values.length).toBe(rows.length);
    values.forEach((row, layer) => {
      expect(row.length).toBe(rows[layer].length);
      row.forEach((value, column) => {
        closeTo(value, rows[layer][column], METRIC, `${answer} L${layer}.${column}`);
      });
    });
  }
}

/** `[layer][head][answer]` as a matrix of each answer. */
function byAnswer(values: readonly (readonly (readonly number[])[])[]): ByAnswer {
  return Object.fromEntries(ANSWERS.map((answer, a) => [answer, values.map((row) => row.map((own) => own[a]))]));
}

describe.each([
  ['gpt2', join(REFERENCE, 'models/gpt2')],
  ['llama-tied', join(REFERENCE, 'models/llama-tied')],
  ['acronyms', ACRONYMS],
])('steps on %s give the numbers of PyTorch', (name, folder) => {
  const figures = readFigures<StepFigures>(`steps-${name}.json`);
  const head = `L${figures.shown[0]}.H${figures.shown[1]}`;
  let cache: string;
  let engine: AnalysisEngine;
  let context: StepContext;

  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'mechanist-steps-'));
    engine = await load(folder, cache);
    context = stepContext(engine, taskOf(figures), { recent: keepRecent() });
  });
  afterAll(async () => {
    await engine?.close();
    await rm(cache, { recursive: true, force: true });
  });

  it('E1 and E4: residual stream, MLP outputs, both directions', async () => {
    const { cur, prev, mlp_out, denoising } = figures.residual;
    const run = (params: object) => runStep(patchResidual, context, { corruption: 'cur:{answer}', metric, ...params });
    const current = await run({});
    sameMatrices(current.pictures, cur);
    ANSWERS.forEach((answer, a) => {
      closeTo(current.values[`${answer}.clean`], figures.clean[a], METRIC, answer);
    });
    sameMatrices((await run({ corruption: 'prev:{answer}' })).pictures, prev);
    sameMatrices((await run({ site: 'mlp_out' })).pictures, mlp_out);
    sameMatrices((await run({ direction: 'denoising' })).pictures, denoising);
  });

  it('E2 and E5: heads, everywhere and at one place', async () => {
    sameMatrices(
      (await runStep(patchHeads, context, { corruption: 'cur:{answer}', metric })).pictures,
      figures.heads.cur,
    );
    const placed = await runStep(patchHeads, context, { corruption: 'prev:{answer}', at: ['A1'], metric });
    sameMatrices(placed.pictures, figures.heads['prev@A1'], '@A1');
  });

  it('path patching to the final stream and to q, k and v of a head', async () => {
    const last = figures.paths.final.length - 1;
    const receivers = { final: undefined, q: [`L${last}.H1.q`], k: [`L${last}.H1.k`], v: [`L${last}.H2.v`] };
    for (const [end, values] of Object.entries(figures.paths)) {
      const own = receivers[end as keyof typeof receivers];
      const params = { corruption: 'all', metric, ...(own && { receivers: own }) };
      sameMatrices((await runStep(patchPaths, context, params)).pictures, byAnswer(values));
    }
  });

  it('E3 and E13: attention by role, mean patterns', async () => {
    const { values } = await runStep(attentionByRole, context, { heads: [head] });
    figures.attention.forEach((row, a) => {
      row.forEach((value, at) => {
        const role = at === 0 ? 'first' : ACRONYM_ROLES[at];
        closeTo(values[`${head}.${ANSWERS[a]}.${role}`], value, PATTERN, role);
      });
    });
    const heads = figures.meanPattern.map((_, own) => `L${figures.shown[0]}.H${own}`);
    const { pictures } = await runStep(meanPattern, context, { heads });
    figures.meanPattern.forEach((pattern, own) => {
      const { values: matrix } = matrixOf(pictures, heads[own]);
      pattern.forEach((row, query) => {
        row.forEach((value, key) => {
          closeTo(matrix[query][key] ?? 0, value, PATTERN, `${query} to ${key}`);
        });
      });
    });
  });

  it('E11: attention to the first position exchanged in each head', async () => {
    for (const renormalise of [false, true]) {
      const params = { pairs: [['C1', 'C2']], renormalise, metric };
      const { pictures } = await runStep(swapBosAttention, context, params);
      sameMatrices(pictures, renameAll(byAnswer(figures.swapFirst[renormalise ? 'renormalised' : 'published'])));
    }
  });

  it('E10 and E12: positions, several heads, both', async () => {
    const swapped = figures.swapSeveral.heads.map(([layer, own]) => `L${layer}.H${own}`);
    for (const renormalise of [false, true]) {
      const params = { pairs: [['C1', 'C2']], swapped, heads: [head], to: ['C1', 'C2', 'T3'], renormalise, metric };
      const { values } = await runStep(swapCombination, context, params);
      const expected = figures.swapSeveral[renormalise ? 'renormalised' : 'published'];
      checkBars(values, head, expected);
    }
    const { positions, clean } = figures.swapSeveral.published;
    const params = { pairs: [['C1', 'C2']], heads: [head], to: ['C1', 'C2', 'T3'], metric };
    checkBars((await runStep(swapPositions, context, params)).values, head, { clean, positions });
  });

  it('E8: OV circuit, as published and with norm and first MLP; copying scores', async () => {
    const { tokens, plain, full } = figures.ov;
    const order = tokensOf(context, tokens).map(({ id }) => tokens.indexOf(id));
    for (const [on, expected] of [
      [false, plain],
      [true, full],
    ] as const) {
      const params = { heads: [head], sets: { x: tokens }, norm: on, mlp0: on };
      const { values } = matrixOf((await runStep(ovCircuit, context, params)).pictures, `${head} x>x`);
      order.forEach((i, row) => {
        order.forEach((j, column) => {
          closeTo(values[row][column], expected[i][j], METRIC, `${tokens[i]} to ${tokens[j]}`);
        });
      });
    }
  });

  it('copying scores', async () => {
    const { tokens, top, counts } = figures.copying;
    const { pictures } = await runStep(copyingScores, context, { tokens, top });
    matrixOf(pictures, 'copying scores').values.forEach((row, layer) => {
      row.forEach((score, own) => {
        closeTo(score, counts[layer][own] / tokens.length, 1e-9, `L${layer}.H${own}`);
      });
    });
  });

  it('E9: what heads write to the tokens of the answers', async () => {
    for (const scale of [false, true]) {
      const params = { heads: [head], to: ['C1', 'C2', 'C3'], scale };
      const { cells } = await runStep(copyingScatter, context, params);
      const { y } = cells.get('rows:0-4') as unknown as { y: number[][][][] };
      figures.scatter.y.forEach((answers, row) => {
        answers.forEach((tokens, answer) => {
          tokens.forEach((value, token) => {
            const expected = scale ? value / figures.scatter.scale[row][answer] : value;
            closeTo(y[0][answer][token][row], expected, METRIC, `row ${row}, ${answer}, ${token}`);
          });
        });
      });
    }
  });
});

function renameAll(values: ByAnswer): ByAnswer {
  return Object.fromEntries(Object.entries(values).map(([answer, own]) => [`${answer}.C1-C2`, own]));
}

function checkBars(values: Readonly<Record<string, number>>, head: string, expected: Bars): void {
  const names = Object.keys(values).map((name) => name.split('.').at(-1));
  expect(new Set(names)).toEqual(new Set(Object.keys(expected)));
  for (const [condition, { metric: scores, attention }] of Object.entries(expected)) {
    ANSWERS.forEach((answer, a) => {
      closeTo(values[`C1-C2.${answer}.${condition}`], scores[a], METRIC, `${condition} ${answer}`);
      for (const [role, at] of [
        ['C1', 2],
        ['C2', 4],
        ['T3', 7],
      ] as const) {
        closeTo(
          values[`C1-C2.${head}.${answer}.${role}.${condition}`],
          attention[a][at],
          PATTERN,
          `${condition} ${role}`,
        );
      }
    });
  }
}
