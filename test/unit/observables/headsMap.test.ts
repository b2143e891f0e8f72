import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { ModelConfig } from '../../../src/core/models/modelConfig.ts';
import { featureVector } from '../../../src/core/observables/featureVector.ts';
import { spearman, topOverlap } from '../../../src/core/observables/rankCorrelation.ts';
import { headsMap } from '../../../src/core/observables/steps/headsMap.ts';
import { length } from '../../../src/core/observables/vectors.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { type Matrix, type OracleRun, oracleRun } from '../../support/oracle.ts';
import { overwriteTensor } from '../../support/overwriteTensor.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';
import { type RestrictedNode, restrictedRun } from '../../support/restrictedRun.ts';
import { matrixOf, runStep, stepContext } from '../../support/steps.ts';
import { load, SMALL_WORLD } from '../reference/referenceFigures.ts';

const SPEC = { ' t7': 1, ' t12': -1.5 };
const TERMS = [
  { id: 7, weight: 1 },
  { id: 12, weight: -1.5 },
];
const observableOf = (logits: readonly number[]) => TERMS.reduce((sum, { id, weight }) => sum + weight * logits[id], 0);

function small(config: ModelConfig): ModelConfig {
  const heads = { nLayers: 2, nHeads: 2, nKeyValueHeads: config.nKeyValueHeads < config.nHeads ? 1 : 2, dHead: 12 };
  return { ...config, ...heads, attention: { ...config.attention, windows: [null, null] } };
}

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llama', 'mistral'])('heads-map of %s', (shape) => {
  const config = small(SHAPES[shape]);
  const task = randomTask(config, [6, 5, 6], 4);
  const positions = task.items.map(({ answers }) => answers[0].position);
  let engine: AnalysisEngine;
  let remove: () => void;
  let runs: { readonly clean: OracleRun; readonly corrupted: OracleRun }[];

  beforeAll(async () => {
    const made = randomModel(config, 5);
    remove = made.remove;
    engine = await AnalysisEngine.open(made.model, { threads: 1, cacheBytes: 1 << 24, version: 'test' });
    runs = task.items.map(({ ids, corrupted }) => ({
      clean: oracleRun(config, made.model.weights, [...ids]),
      corrupted: oracleRun(config, made.model.weights, [...corrupted.other]),
    }));
  });
  afterAll(async () => {
    await engine.runner.close();
    remove();
  });

  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  /** Mean fall of the observable along a path whose first node's input changes by `change` in each row. */
  const fall = (nodesOf: (row: number) => RestrictedNode[], change: (row: number) => number[]) =>
    mean(
      task.items.map(({ ids }, row) => {
        const { weights } = engine.model;
        const restriction = { config, weights, tokens: [...ids], clean: runs[row].clean, freezeScales: false };
        const patched = restrictedRun({ ...restriction, nodes: nodesOf(row) }, change(row));
        const at = positions[row];
        return observableOf(runs[row].clean.logits[at]) - observableOf(patched[at]);
      }),
    );
  const changeOf = (row: number, name: string, at: number, from = 0) => {
    const [clean, corrupted] = [runs[row].clean, runs[row].corrupted].map((run) =>
      (run.activations.get(name)?.[at] ?? []).slice(from, from + config.dModel),
    );
    return corrupted.map((value, i) => value - clean[i]);
  };

  it('has parts that sum up to the observable, and to their difference in the pair', async () => {
    const { values, cells, warnings } = await runStep(headsMap, stepContext(engine, task), { observable: SPEC });
    const [clean, corrupted] = (['clean', 'corrupted'] as const).map((side) =>
      mean(runs.map((run, row) => observableOf(run[side].logits[positions[row]]))),
    );
    expect(values.clean).toBeCloseTo(clean, 4);
    expect(values.corrupted).toBeCloseTo(corrupted, 4);
    expect(values.miss).toBeLessThan(1e-4);
    expect(warnings.filter((text) => text.includes('sum up'))).toEqual([]);
    const sum = (measure: string) =>
      Object.entries(values).reduce((total, [name, value]) => total + (name.startsWith(`${measure}.`) ? value : 0), 0);
    expect(sum('difference')).toBeCloseTo(clean - corrupted, 4);
    const { constant } = cells.get('rows:0-2') as { constant: number };
    expect(sum('direct') + constant).toBeCloseTo(clean, 4);
  });

  it('patches a head as the model does when its output alone is another', async () => {
    const result = await runStep(headsMap, stepContext(engine, task), { observable: SPEC });
    const { finalNorm, unembedding } = engine.runner;
    const { direction, bias } = await unembedding.direction(TERMS);
    for (let layer = 0; layer < config.nLayers; layer += 1) {
      for (let head = 0; head < config.nHeads; head += 1) {
        const falls = task.items.map((_, row) => {
          const at = positions[row];
          const change = changeOf(row, `blocks.${layer}.attn.hook_result`, at, head * config.dModel);
          const final = runs[row].clean.activations.get(`blocks.${config.nLayers - 1}.hook_resid_post`)?.[at] ?? [];
          const patched = finalNorm.normed(Float64Array.from(final, (value, i) => value + change[i]));
          const value = patched.reduce((sum, entry, i) => sum + entry * direction[i], bias);
          return observableOf(runs[row].clean.logits[at]) - value;
        });
        expect(matrixOf(result.pictures, 'patched').values[layer][head]).toBeCloseTo(mean(falls), 4);
      }
    }
  });

  it.each(['noising', 'denoising'] as const)('patches heads in the whole model, %s', async (total) => {
    const { pictures, values } = await runStep(headsMap, stepContext(engine, task), { observable: SPEC, total });
    for (const [layer, row] of matrixOf(pictures, 'total').values.entries()) {
      for (const [head, value] of row.entries()) {
        const hook = `blocks.${layer}.attn.hook_z`;
        const effects = task.items.map(({ ids, corrupted }, r) => {
          const [base, source] =
            total === 'noising' ? [runs[r].clean, runs[r].corrupted] : [runs[r].corrupted, runs[r].clean];
          const other = source.activations.get(hook) ?? [];
          const own = (column: number) => Math.floor(column / config.dHead) === head;
          const edit = (name: string, rows: Matrix) =>
            name === hook ? rows.map((z, at) => z.map((entry, c) => (own(c) ? other[at][c] : entry))) : rows;
          const tokens = [...(total === 'noising' ? ids : corrupted.other)];
          const patched = oracleRun(config, engine.model.weights, tokens, new Map(), edit).logits[positions[r]];
          const change = observableOf(base.logits[positions[r]]) - observableOf(patched);
          return total === 'noising' ? change : -change;
        });
        expect(Math.abs((value ?? Number.NaN) - mean(effects)), `L${layer}.H${head}`).toBeLessThan(1e-4);
      }
    }
    expect(values['spearman.patched.total']).toBeGreaterThan(-1);
    expect(values['total.emb']).toBeUndefined();
  });

  it('has norms of what the paper takes back through both gains', async () => {
    const { values } = await runStep(headsMap, stepContext(engine, task), { observable: SPEC });
    const { runner, cache } = engine;
    const [{ ids }] = task.items;
    const observable = { label: '', terms: TERMS.map((term) => ({ ...term, text: '' })) };
    const size = (row: readonly number[] | undefined) => {
      const shift = config.norm.kind === 'rmsnorm' ? 0 : mean(row ?? []);
      return length((row ?? []).map((value) => value - shift));
    };
    const final = size(runs[0].clean.activations.get('blocks.1.hook_resid_post')?.[3]);
    for (const [layer, head] of [
      [0, 1],
      [1, 0],
    ]) {
      const prompt = { ids, position: 3 };
      const request = { observable, path: `L${layer}.H${head}@2`, norm: 'scaled' } as const;
      const { vector } = await featureVector({ runner, cache }, request, prompt);
      const own = size(runs[0].clean.activations.get(`blocks.${layer}.hook_resid_pre`)?.[1]);
      expect(values[`norm.L${layer}.H${head}`] / (length(vector) * final * own)).toBeCloseTo(1, 5);
    }
  });

  it('goes one node down: parts of what a node reads, patched along the path alone', async () => {
    const pre = (layer: number) => `blocks.${layer}.hook_resid_pre`;
    for (const under of ['L1.H1@first', ...(config.parallelResidual ? ['MLP 1'] : ['MLP 1', 'L1.H0@-2 <= MLP 0'])]) {
      const { values, pictures } = await runStep(headsMap, stepContext(engine, task), { observable: SPEC, under });
      expect(values.miss).toBeLessThan(1e-5);
      const reads = (row: number) =>
        under.includes('@first') ? 0 : under.includes('@-2') ? task.items[row].ids.length - 2 : positions[row];
      const nodesOf = (row: number): RestrictedNode[] => {
        const at = positions[row];
        if (under === 'MLP 1') return [{ kind: 'mlp', layer: 1, reads: at, writes: at }];
        const head = {
          kind: 'head',
          layer: 1,
          head: under.startsWith('L1.H1') ? 1 : 0,
          reads: reads(row),
          writes: at,
        } as const;
        if (!under.includes('MLP')) return [head];
        return [head, { kind: 'mlp', layer: 0, reads: reads(row), writes: reads(row) }];
      };
      const patched = matrixOf(pictures, 'patched').values;
      expect(patched.length).toBe(under === 'MLP 1' && !config.parallelResidual ? 2 : 1);
      for (const [layer, row] of patched.entries()) {
        for (const [head, value] of row.entries()) {
          const name = `blocks.${layer}.attn.hook_result`;
          const wanted = fall(nodesOf, (r) => changeOf(r, name, reads(r), head * config.dModel));
          expect(Math.abs((value ?? Number.NaN) - wanted), `${under} L${layer}.H${head}`).toBeLessThan(1e-4);
        }
      }
      const embedded = fall(nodesOf, (r) => changeOf(r, pre(0), reads(r)));
      expect(values['patched.emb']).toBeCloseTo(embedded, 4);
    }
  });

  it('refuses paths and rows that it cannot work with', () => {
    const context = stepContext(engine, task);
    expect(() => headsMap.cells(context, { observable: SPEC, under: 'L0.H1' })).toThrow('No head writes');
    expect(() => headsMap.cells(context, { observable: SPEC, under: 'L9.H1' })).toThrow('no L9.H1');
    expect(() => headsMap.cells(context, { observable: SPEC, corruption: 'othr' })).toThrow('Did you mean other?');
    const total = 'noising' as const;
    expect(() => headsMap.cells(context, { observable: SPEC, under: 'L1.H1', total })).toThrow('whole model');
    const bare = { ...task, corruptions: [] };
    expect(() => headsMap.cells(stepContext(engine, bare), { observable: SPEC })).toThrow('Give its rows a corrupted');
  });
});

describe('heads-map of the bundled model', () => {
  let folder: string;
  let task: TaskSet;
  const data = join(import.meta.dirname, '../../../examples/observables/subject.small-world.jsonl');

  const mapOf = async (path: string) => {
    const engine = await load(path, folder);
    const lines = await readFile(data, 'utf8');
    task = await loadTaskSet({ name: 'subject', lines }, engine.model.tokenizer, 128, { rows: 30 });
    const result = await runStep(headsMap, stepContext(engine, task), { observable: { ' she': 1, ' he': -1 } });
    await engine.runner.close();
    return { ...result, patched: matrixOf(result.pictures, 'patched').values.flat().map(Number) };
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'mechanist-map-'));
  });
  afterAll(async () => {
    await rm(folder, { recursive: true });
  });

  it('agrees with norms as far as norms go; random weights show nothing of it', async () => {
    const trained = await mapOf(SMALL_WORLD);
    expect(trained.warnings).toEqual([]);
    const norms = matrixOf(trained.pictures, 'norm').values.flat().map(Number);
    const sizes = trained.patched.map(Math.abs);
    const top = sizes.indexOf(Math.max(...sizes));
    const above = norms.filter((norm) => norm < norms[top]).length;
    expect(above).toBeGreaterThan(norms.length / 2);
    expect(trained.values['spearman.norm.patched']).toBeGreaterThan(0);

    const random = join(folder, 'random');
    await cp(SMALL_WORLD, random, { recursive: true });
    const engine = await load(random, folder);
    const { weights } = engine.model;
    await engine.runner.close();
    const draw = normals(11);
    const matrices = weights.blocks.flatMap(({ attention: { qkv, out }, mlp }) => {
      const inputs = qkv.kind === 'separate' ? [qkv.q, qkv.k, qkv.v] : [qkv.qkv];
      return [...inputs, out, mlp.in, ...(mlp.gate === null ? [] : [mlp.gate]), mlp.out].map(({ weight }) => weight);
    });
    for (const matrix of [...matrices, weights.embed]) {
      await overwriteTensor(
        matrix,
        new Float32Array(matrix.byteLength / 4).map(() => 0.02 * draw()),
      );
    }
    const untrained = await mapOf(random);
    const largest = Math.max(...untrained.patched.map(Math.abs));
    expect(largest).toBeLessThan(0.02 * Math.max(...sizes));
    expect(Math.abs(untrained.values.clean - untrained.values.corrupted)).toBeLessThan(0.5);
  });
});

describe('rank correlation', () => {
  it('is that of ranks, with shared ranks for equal values', () => {
    expect(spearman([1, 2, 3, 4], [10, 20, 25, 1000])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 3, 4], [4, 3, 2, 1])).toBeCloseTo(-1, 12);
    // Pearson correlation of the ranks by NumPy.
    expect(spearman([1, 2, 2, 3, 5], [2, 1, 4, 4, 9])).toBeCloseTo(0.7631578947368421, 12);
    expect(spearman([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(topOverlap([5, 4, 3, 2], [1, 9, 8, 0], 2)).toBe(1);
  });
});
