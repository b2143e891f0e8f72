import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { CellResult, StepContext } from '../../../src/core/experiments/stepKind.ts';
import { pathPairBytes } from '../../../src/core/observables/pathPair.ts';
import { findPaths } from '../../../src/core/observables/steps/findPaths.ts';
import type { FindPathsParams, FoundPaths } from '../../../src/core/observables/steps/findPathsParams.ts';
import type { TaskItem } from '../../../src/shared/taskSet.ts';
import type { TreeLine, TreePicture } from '../../../src/shared/treePicture.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { runStep, stepContext, taskSetOf } from '../../support/steps.ts';

const OBSERVABLE = { ' t7': 1, ' t12': -1.5 };
const params = { observable: OBSERVABLE, beam: 400, length: 3 };

/** The name stands at another token in each row, and rows differ in length. */
const items = [
  [4, [9, 1, 22, 3, 30], 1],
  [6, [9, 8, 2, 14, 3, 30, 5], 3],
  [3, [9, 1, 2, 30], 2],
].map(([end, ids, name], i): TaskItem => {
  const own = ids as number[];
  return {
    ...{ id: `r${i}`, text: '', ids: own, tokens: own.map((id) => ` t${id}`), tags: [] },
    roles: { name: [name as number], END: [end as number] },
    answers: [{ name: 'answer', position: end as number, answer: 7, foils: [12] }],
    corrupted: { other: own.map((id, at) => (at === name ? id + 9 : id)) },
  };
});
const task = taskSetOf(items, ['name', 'END']);

describe('find-paths', () => {
  const config = { ...SHAPES.llama, nLayers: 2, attention: { ...SHAPES.llama.attention, windows: [null, null] } };
  const { model, remove } = randomModel(config, 8);
  let engine: AnalysisEngine;
  let context: StepContext;

  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
    context = stepContext(engine, task);
  });
  afterAll(async () => {
    await engine.runner.close();
    remove();
  });

  const run = async (more: Partial<FindPathsParams>, own: Partial<StepContext> = {}) =>
    runStep(findPaths, { ...context, ...own }, { ...params, ...more });
  const foundIn = ({ cells }: { readonly cells: ReadonlyMap<string, CellResult> }) =>
    cells.get('paths') as unknown as FoundPaths;
  const treeIn = (result: Awaited<ReturnType<typeof run>>): TreePicture => {
    const [tree] = result.pictures;
    if (tree?.type !== 'tree') throw new Error('no tree');
    return tree;
  };

  it('means the same token of every row by a role, wherever it stands', async () => {
    const several = await run({ at: ['name', '-1'] });
    const singles = await Promise.all(items.map(({ id }) => run({ row: id, at: ['name', 'END'] })));
    const names = Object.keys(several.values).filter((name) => name.startsWith('path.'));
    expect(names.length).toBeGreaterThan(50);
    for (const name of names) {
      const single = singles.map(({ values }) => values[name.replaceAll('-1', 'END')]);
      const mean = single.reduce((sum, value) => sum + value, 0) / single.length;
      expect(Math.abs(several.values[name] - mean), name).toBeLessThan(1e-5);
    }
    expect(names).toContain('path.L1.H0@name<=MLP0@name<=emb@name');
    expect(several.subtitle).toContain('places name, -1; n = 3');
  });

  it('takes every token of a single row, and then misses none', async () => {
    const result = await run({ row: 'r1', finalNorm: 'frozen' });
    expect(result.subtitle).toContain('places 1, 2, 3, 4, 5, 6, 7; n = 1');
    expect(Math.abs(result.values['other-tokens'])).toBeLessThan(1e-6);
    const weights = [result.values['sum.1'], result.values.patterns];
    const scale = treeIn(result).lines.find(({ label }) => label === 'scale of the final norm');
    expect(weights.reduce((sum, value) => sum + value, scale?.value ?? Number.NaN)).toBeCloseTo(result.values.total, 5);
  });

  it('draws a tree whose lines under one sum up to it', async () => {
    for (const beam of [5, 400]) {
      const { lines } = treeIn(await run({ beam }));
      const under = (i: number): TreeLine[] => {
        const end = lines.findIndex(({ depth }, j) => j > i && depth <= lines[i].depth);
        const block = lines.slice(i + 1, end < 0 ? undefined : end);
        return block.filter(({ depth }) => depth === lines[i].depth + 1);
      };
      const parents = lines.filter((_, i) => under(i).length > 0);
      expect(parents.length).toBeGreaterThan(3);
      lines.forEach((line, i) => {
        const sum = under(i).reduce((total, { value }) => total + value, 0);
        if (under(i).length > 0) expect(Math.abs(sum - line.value)).toBeLessThan(1e-6);
      });
      expect(new Set(lines.map(({ id }) => id)).size).toBe(lines.length);
    }
  });

  it('goes on from the lengths that it left, to the same paths', async () => {
    const whole = await run({ beam: 6 });
    const left: CellResult[] = [];
    const reached = async (state: () => CellResult) => void left.push(JSON.parse(JSON.stringify(state())));
    await run({ beam: 6 }, { checkpoint: { left: null, reached } });
    expect(left.map((state) => (state as unknown as FoundPaths).lengths.length)).toEqual([1, 2, 3]);
    const rest: CellResult[] = [];
    const resumed = await run(
      { beam: 6 },
      { checkpoint: { left: left[0], reached: async (state) => void rest.push(state()) } },
    );
    expect(rest.length).toBe(2);
    expect(foundIn(resumed).lengths).toEqual(foundIn(whole).lengths);
    // What is there of a search that is not finished is shown.
    const unfinished = findPaths.assemble(context, params, new Map(), new Map([['paths', left[1]]]));
    expect(unfinished.values['tried.2']).toBe(whole.values['tried.2']);
    expect(unfinished.values['tried.3']).toBeUndefined();
  });

  it('says how far it is, over all lengths', async () => {
    const seen: { done: number; total: number }[] = [];
    await run({ beam: 4 }, { onProgress: ({ done, total }) => void seen.push({ done, total }) });
    // Up to four paths are lengthened at each of two lengths after the first; one that has reached the embedding is not.
    const done = seen.map((one) => one.done);
    expect(done).toEqual([...new Set(done)].sort((a, b) => a - b));
    expect(done.length).toBeGreaterThan(5);
    expect(Math.max(...done)).toBeLessThanOrEqual(9);
    expect(new Set(seen.map(({ total }) => total))).toEqual(new Set([9]));
  });

  it('has no shares of a difference that is none', async () => {
    const same = items.map((item) => ({ ...item, corrupted: { other: item.ids } }));
    const result = await run({ at: ['name'] }, { task: taskSetOf(same, ['name', 'END']) });
    expect(result.values.total).toBe(0);
    expect(Object.keys(result.values).filter((name) => name.startsWith('share.'))).toEqual([]);
    expect(Object.values(result.values).every(Number.isFinite)).toBe(true);
    expect(treeIn(result).title).toContain('of no difference');
    expect(JSON.stringify(result.pictures)).not.toContain('NaN');
  });

  it('refuses more rows than fit into memory, and says how many do', async () => {
    const each = pathPairBytes(config, 2);
    await expect(run({}, { memoryBytes: 3 * each })).resolves.toBeDefined();
    await expect(run({}, { memoryBytes: 2.5 * each })).rejects.toThrow('Take at most 2 rows');
    await expect(run({}, { memoryBytes: 0.5 * each })).rejects.toThrow('Take fewer tokens');
  });

  it('says what it cannot search on', () => {
    const cells = (more: Partial<FindPathsParams>) => () => findPaths.cells(context, { ...params, ...more });
    expect(cells({ at: ['nme'] })).toThrow('no role "nme"');
    expect(cells({ at: ['name', '2'] })).toThrow('In row r0 name and 2 are one token');
    expect(cells({ at: ['6'] })).toThrow('Row r0 has no token 6');
    expect(cells({ row: 'r9' })).toThrow('no row "r9"');
    expect(cells({ corruption: 'oter' })).toThrow('Did you mean other?');
    expect(cells({ observable: 'gender' })).toThrow('no observable "gender"');
    const moved = items.map((item, i) => ({
      ...item,
      roles: { name: item.roles.name },
      ids: [...item.ids, i].slice(0, 5 + i),
    }));
    const without = { ...context, task: taskSetOf(moved, ['name']) };
    expect(() => findPaths.cells(without, params)).toThrow('stands elsewhere in every row');
  });
});
