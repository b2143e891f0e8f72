import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { attentionByRole } from '../../../src/core/experiments/steps/attentionByRole.ts';
import { copyingScatter } from '../../../src/core/experiments/steps/copyingScatter.ts';
import { copyingScores } from '../../../src/core/experiments/steps/copyingScores.ts';
import { meanPattern } from '../../../src/core/experiments/steps/meanPattern.ts';
import { ovCircuit } from '../../../src/core/experiments/steps/ovCircuit.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import { wordEngine } from '../../support/gridContext.ts';
import { average, plainPattern } from '../../support/plainRuns.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { acronymTask, matrixOf, movingTask, runStep, stepContext } from '../../support/steps.ts';

const PATTERN = 1e-5;
const sum = (numbers: readonly number[]) => numbers.reduce((total, value) => total + value, 0);

function closeTo(value: number, expected: number, tolerance: number, what = ''): void {
  expect(Math.abs(value - expected), what).toBeLessThan(tolerance);
}

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llamaAdjacent', 'mistral'])('on a random %s', (name) => {
  const config = SHAPES[name];
  const task = acronymTask(4, 6);
  let engine: AnalysisEngine;
  let remove: () => void;

  beforeAll(async () => {
    const random = randomModel(config, 41);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('E3: attention to roles, the first position and elsewhere adds up to 1 and is that of plain runs (§9)', async () => {
    const context = stepContext(engine, task);
    const heads = ['L1.H3', 'L0.H0'];
    const { pictures, values } = await runStep(attentionByRole, context, { heads, roles: ['C1', 'T1', 'C2', 'A1'] });
    const [picture] = pictures;
    if (picture.type !== 'bars') throw new Error(picture.type);
    expect(picture.groups.map(({ label }) => label)).toEqual(['L1', 'L2', 'L3']);
    for (const { bars } of picture.groups) {
      expect(bars.map(({ label }) => label)).toEqual(['C1', 'T1', 'C2', 'A1', 'first', 'elsewhere']);
      closeTo(sum(bars.map(({ mean }) => mean)), 1, 1e-6);
    }
    const patterns = await Promise.all(task.items.map(({ ids }) => plainPattern(engine, ids, 1)));
    closeTo(values['L1.H3.L2.C2'], average(patterns.map((pattern) => pattern[3][9][4])), PATTERN);
    closeTo(values['L1.H3.L3.first'], average(patterns.map((pattern) => pattern[3][10][0])), PATTERN);
    const shares = await runStep(attentionByRole, context, { heads, roles: ['C1', 'BOS'], renormalise: true });
    const share = average(patterns.map((pattern) => pattern[3][10][2] / (1 - pattern[3][10][0])));
    closeTo(shares.values['L1.H3.L3.C1'], share, PATTERN);
    expect(Object.keys(shares.values)).not.toContain('L1.H3.L3.BOS');
  });

  it('E13: mean patterns are means of plain ones, with rows that add up to 1; nothing is seen ahead (§9)', async () => {
    const context = stepContext(engine, task);
    const { pictures, values } = await runStep(meanPattern, context, { heads: ['L2.H1'] });
    const { values: matrix } = matrixOf(pictures, 'L2.H1');
    const patterns = await Promise.all(task.items.map(({ ids }) => plainPattern(engine, ids, 2)));
    matrix.forEach((row, query) => {
      row.forEach((value, key) => {
        if (key > query) expect(value).toBeNull();
        else closeTo(value ?? Number.NaN, average(patterns.map((pattern) => pattern[1][query][key])), PATTERN);
      });
      closeTo(sum(row.map((value) => value ?? 0)), 1, 1e-6);
    });
    const previous = patterns.map((pattern) => average(pattern[1].slice(1).map((row, i) => row[i])));
    closeTo(values['L2.H1.previous-token'], average(previous), PATTERN);
    expect(values['L2.H1.T1.C1']).toBe(matrix[3][2]);
  });

  it('E13 by role: sums over the positions of a role, on rows of unlike length', async () => {
    const moving = movingTask(5);
    const { pictures } = await runStep(meanPattern, stepContext(engine, moving), { heads: ['L1.H2'] });
    const { values, rows } = matrixOf(pictures, 'L1.H2');
    expect(rows.labels).toEqual(['S', 'IO', 'X']);
    const own: number[] = [];
    for (const { ids, roles } of moving.items) {
      const pattern = await plainPattern(engine, ids, 1);
      own.push(average(roles.S.map((query) => sum(roles.S.map((key) => pattern[2][query][key])))));
    }
    closeTo(values[0][0] ?? Number.NaN, average(own), PATTERN);
  });

  /** What heads write for token embeddings that come into a layer, `[token][head]` → `[d_model]`, from the engine's graph. */
  async function written(ids: readonly number[], layer: number): Promise<Float32Array[][]> {
    const { runner } = engine;
    const { dModel, nHeads } = runner.config;
    const hook = `blocks.${layer}.attn.hook_result`;
    const results: Float32Array[][] = [];
    for (const id of ids) {
      const data = (await runner.embed([[id]])).tokens;
      const options = { fromLayer: layer, toLayer: layer + 1, residual: { dims: [1, 1, dModel], data }, hooks: [hook] };
      const result = (await runner.run([[id]], options)).activations.get(hook)?.data ?? new Float32Array(0);
      results.push(Array.from({ length: nHeads }, (_, head) => result.slice(head * dModel, (head + 1) * dModel)));
    }
    return results;
  }

  /** Logits that a part of the residual stream adds at norm scale 1, relative to the mean over the vocabulary, with the unembedding's bias. */
  async function logitsOf(row: Float32Array): Promise<Float32Array> {
    const { runner } = engine;
    const { data } = await runner.unembedding.logits(runner.finalNorm.applyLinear(row, 1));
    const mean = average(Array.from(data));
    return data.map((value) => value - mean);
  }

  it('E8: what changes with the token read is what the graphs give; a set of heads is the sum of single ones (§9)', async () => {
    const context = stepContext(engine, task);
    const sets = { in: [5, 9, 30], out: [7, 5, 40, 51] };
    for (const layer of [0, 2]) {
      const heads = [`L${layer}.H1`, `L${layer}.H${config.nHeads - 1}`];
      const { pictures } = await runStep(ovCircuit, context, { heads, sets, norm: true });
      const rows = [5, 9, 30];
      const from = await written(rows, layer);
      for (const [h, head] of [1, config.nHeads - 1].entries()) {
        const { values } = matrixOf(pictures, `${heads[h]} in>out`);
        // Ordered by their text: t30, t5, t9 and t40, t5, t51, t7.
        const of = (id: number, token: number) =>
          values[['30', '5', '9'].indexOf(String(id))][['40', '5', '51', '7'].indexOf(String(token))] ?? Number.NaN;
        const [first, second] = await Promise.all([logitsOf(from[0][head]), logitsOf(from[1][head])]);
        for (const token of sets.out)
          closeTo(of(5, token) - of(9, token), first[token] - second[token], 1e-4, heads[h]);
      }
      const [single, other, both] = [heads[0], heads[1], 'sum'].map(
        (one) => matrixOf(pictures, `${one} in>out`).values,
      );
      both.forEach((row, i) => {
        row.forEach((value, j) => {
          closeTo(value ?? 0, (single[i][j] ?? 0) + (other[i][j] ?? 0), 1e-6);
        });
      });
    }
  });

  it('E8: the norm’s scale and the first MLP make a difference, and the diagonal is the token itself', async () => {
    const context = stepContext(engine, task);
    const params = { heads: ['L1.H0'], sets: { x: [5, 9, 30, 12] } };
    const plain = await runStep(ovCircuit, context, params);
    const [normed, after] = [
      await runStep(ovCircuit, context, { ...params, norm: true }),
      await runStep(ovCircuit, context, { ...params, mlp0: true }),
    ];
    const { values } = matrixOf(plain.pictures, 'L1.H0 x>x');
    expect(matrixOf(normed.pictures, 'L1.H0 x>x').values).not.toEqual(values);
    expect(matrixOf(after.pictures, 'L1.H0 x>x').values).not.toEqual(values);
    const diagonal = average(values.map((row, i) => row[i] ?? Number.NaN));
    closeTo(plain.values['L1.H0.x>x.diagonal'], diagonal, 1e-6);
    const largest = values.filter((row, i) => (row[i] ?? 0) === Math.max(...row.map((value) => value ?? 0))).length;
    expect(plain.values['L1.H0.x>x.argmax']).toBe(largest);
    expect(plain.values['L1.H0.x>x.rows']).toBe(4);
    expect(plain.warnings.join()).toContain('As published, the norm and the first MLP are left out');
    expect(normed.warnings).toEqual([]);
  });

  it('copying scores are shares of the tokens, and all of them where the whole vocabulary is looked at (§9)', async () => {
    const context = stepContext(engine, task);
    const tokens = ['@role:C1', '@role:C2'];
    const { values, pictures } = await runStep(copyingScores, context, { tokens, top: 5 });
    const { values: matrix } = matrixOf(pictures, 'copying scores');
    const n = new Set(task.items.flatMap(({ ids }) => [ids[2], ids[4]])).size;
    for (const score of matrix.flat()) {
      expect(score).toBeGreaterThanOrEqual(0);
      closeTo(((score ?? 0) * n) % 1, Math.round(((score ?? 0) * n) % 1), 1e-9);
    }
    const all = await runStep(copyingScores, context, { tokens, top: config.dVocab, layers: [1] });
    expect(Object.values(all.values).every((score) => score === 1)).toBe(true);
    expect(Object.keys(all.values).length).toBe(config.nHeads);
    expect(Object.keys(values).length).toBe(config.nHeads * config.nLayers);
  });

  it('E9: writes what z·W_O·W_U gives, without what is the same for every token read (§9)', async () => {
    const { runner } = engine;
    const context = stepContext(engine, task);
    const params = { heads: ['L1.H2'], to: ['C1', 'C2', 'C3'] };
    const { cells, values, pictures } = await runStep(copyingScatter, context, params);
    const scaled = await runStep(copyingScatter, context, { ...params, scale: true });
    const of = (from: typeof cells) => from.get('rows:0-3') as unknown as Record<'x' | 'y', number[][][][]>;
    const hooks = ['blocks.1.attn.hook_result', 'blocks.1.attn.hook_pattern', 'ln_final.hook_scale'];
    // The part that belongs to no token: for a token read alone, what is written less the OV circuit's.
    const [[alone]] = [(await written([5], 1)).map((heads) => heads[2])];
    const logits = await logitsOf(alone);
    const circuit = await runStep(ovCircuit, context, {
      ...{ heads: ['L1.H2'], norm: true, sets: { in: [5], out: task.items.map(({ answers }) => answers[1].answer) } },
    });
    const { columns, values: ov } = matrixOf(circuit.pictures, 'L1.H2 in>out');
    for (const [row, { ids, answers }] of task.items.entries()) {
      const { activations } = await runner.run([ids], { hooks, positions: [10] });
      const [result, pattern, scale] = hooks.map((hook) => activations.get(hook)?.data ?? new Float32Array(0));
      const { answer } = answers[1];
      const constant = logits[answer] - (ov[0][columns.labels.indexOf(`␣t${answer}`)] ?? Number.NaN);
      const total = await logitsOf(result.slice(2 * config.dModel, 3 * config.dModel));
      closeTo(of(cells).y[0][2][1][row], total[answer] - constant, 1e-4);
      closeTo(of(scaled.cells).y[0][2][1][row], (total[answer] - constant) / scale[0], 1e-4);
      closeTo(of(cells).x[0][2][1][row], pattern[2 * ids.length + 4], PATTERN);
    }
    // Out of sight the attention does not vary, and has no correlation.
    const seen = config.attention.windows[1] === null;
    expect(Math.abs(values['L1.H2.L3.C2.r'] ?? 2) <= 1).toBe(seen);
    expect(pictures.map(({ id }) => id)).toEqual(['L1.H2 L1', 'L1.H2 L2', 'L1.H2 L3']);
  });

  it('takes heads from a circuit, and refuses what is none', async () => {
    const circuit = { nodes: [{ node: 'L1.H1' }, { node: 'MLP 0' }] } as unknown as CircuitFile;
    const context = stepContext(engine, task, { circuit: () => circuit });
    const { pictures } = await runStep(meanPattern, context, { heads: ['a.circuit.json'] });
    expect(pictures.map(({ id }) => id)).toEqual(['L1.H1']);
    expect(() => meanPattern.cells(context, { heads: ['L9.H1'] })).toThrow('The model has no L9.H1');
    expect(() => meanPattern.cells(context, { heads: ['MLP 0'] })).toThrow('MLP 0 is no head');
    const wrong = { heads: ['L1.H1'], to: ['C1'] };
    expect(() => copyingScatter.cells(context, wrong)).toThrow('to names 1, tokens 3 (L1, L2, L3)');
    expect(() => ovCircuit.cells(context, { heads: ['L1.H1'], sets: { x: ['@letters'] } })).toThrow(
      'There is no set @letters',
    );
  });
});
