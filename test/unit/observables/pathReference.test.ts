import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { readPathPair } from '../../../src/core/observables/pathPair.ts';
import { PathPatcher, type PlacedNode } from '../../../src/core/observables/pathPatcher.ts';
import { type PathStack, withPathStack } from '../../../src/core/observables/pathStack.ts';
import { headsMap } from '../../../src/core/observables/steps/headsMap.ts';
import { parsePath } from '../../../src/core/tasks/pathText.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import { matrixOf, runStep, stepContext, taskSetOf } from '../../support/steps.ts';
import {
  load,
  maxDelta,
  type Packed,
  REFERENCE,
  readFigures,
  smollm2File,
  unpack,
} from '../reference/referenceFigures.ts';

type Maps = Readonly<Record<'direct' | 'difference' | 'patched', Packed>>;

/** Figures of scripts/reference/observablePaths.py: its README says what each field holds. */
interface PathFigures {
  readonly models: readonly {
    readonly model: string;
    readonly rows: readonly {
      readonly clean: readonly number[];
      readonly corrupted: readonly number[];
      readonly places: Readonly<Record<string, number>>;
    }[];
    readonly terms: readonly { readonly id: number; readonly weight: number }[];
    readonly values: readonly (readonly [clean: number, corrupted: number])[];
    readonly map: Maps;
    readonly under: { readonly path: string; readonly map: Maps };
    readonly paths: readonly { readonly path: string; readonly rows: readonly number[] }[];
  }[];
}

const figures = readFigures<PathFigures>('observable-paths.json');
const smollm2 = smollm2File();
const able = figures.models.filter(({ model }) => model !== 'smollm2-135m' || smollm2 !== null);

describe.each(able)('maps and paths of PyTorch on $model', (wanted) => {
  const large = wanted.model === 'smollm2-135m';
  /** Logits. */
  const limit = large ? 1e-4 : 2e-5;
  const items = wanted.rows.map(({ clean, corrupted, places }, i): TaskItem => {
    const roles = Object.fromEntries(Object.entries(places).map(([name, at]) => [name, [at]]));
    const answers = [{ name: 'answer', position: places.END, answer: wanted.terms[0].id, foils: [wanted.terms[1].id] }];
    const tokens = clean.map((id) => `${id}`);
    return { id: `${i}`, text: '', ids: clean, tokens, roles, answers, tags: [], corrupted: { other: corrupted } };
  });
  const task = taskSetOf(items, ['name', 'END']);
  let folder: string;
  let engine: AnalysisEngine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mechanist-paths-'));
    engine = await load(large ? (smollm2 ?? '') : join(REFERENCE, 'models', wanted.model), folder);
  });
  afterAll(async () => {
    await engine.runner.close();
    await rm(folder, { recursive: true });
  });

  const observable = { label: 'observable', terms: wanted.terms.map((term) => ({ ...term, text: '' })) };
  const context = () => stepContext(engine, task, { observable: () => observable });

  it.each([undefined, wanted.under.path])('maps heads under %s', async (under) => {
    const { pictures, values, warnings } = await runStep(headsMap, context(), { observable: 'observable', under });
    const maps = under === undefined ? wanted.map : wanted.under.map;
    for (const measure of ['direct', 'difference', 'patched'] as const) {
      const found = matrixOf(pictures, measure).values.flat().map(Number);
      expect(maxDelta(found, unpack(maps[measure])), measure).toBeLessThan(limit);
    }
    expect(warnings.filter((text) => text.includes('sum up'))).toEqual([]);
    if (under !== undefined) return;
    const clean = wanted.values.reduce((sum, [value]) => sum + value, 0) / wanted.values.length;
    expect(Math.abs(values.clean - clean)).toBeLessThan(limit);
  });

  const placed = (path: string, names: readonly string[]) =>
    parsePath(path).nodes.map(({ node, token }): PlacedNode => {
      const text = token?.kind === 'role' ? token.role : String(token?.index);
      const { position: _, ...rest } = node;
      return { ...rest, place: names.indexOf(text) };
    });

  it('patches paths', async () => {
    const { runner } = engine;
    const direction = await runner.unembedding.direction(wanted.terms);
    const patch = async (stack: PathStack) => {
      for (const [row, { clean, corrupted, places }] of wanted.rows.entries()) {
        const names = Object.keys(places);
        const prompts = { clean, dirty: corrupted, places: Object.values(places), end: names.indexOf('END') };
        const pair = await readPathPair(runner, stack.sweep, prompts, {});
        const patcher = new PathPatcher(stack, pair, direction, 'real');
        for (const { path, rows } of wanted.paths) {
          const nodes = placed(path, names);
          const [found] = await patcher.contributions(nodes.slice(0, -1), nodes.slice(-1), {});
          expect(Math.abs(found - rows[row]), `${path} in row ${row}`).toBeLessThan(limit);
        }
      }
    };
    await withPathStack(runner, patch);
  });
});
