import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CircuitEvaluator, type EvaluatorOptions } from '../../../src/core/circuits/circuitEvaluator.ts';
import { EVALUATION_DEFAULTS, evaluateCircuit } from '../../../src/core/circuits/evaluateCircuit.ts';
import { circuitEvaluate } from '../../../src/core/circuits/steps/circuitEvaluate.ts';
import { ActivationCache } from '../../../src/core/engine/activationCache.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { noSources } from '../../../src/core/experiments/sourcesOfStep.ts';
import type { CellResult, StepContext } from '../../../src/core/experiments/stepKind.ts';
import type { CircuitEvaluation, CircuitFile } from '../../../src/shared/circuit.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';

const circuit: CircuitFile = {
  ...{ schemaVersion: 1, kind: 'circuit', name: 'three nodes', model: { ref: 'random' }, scope: 'heads+mlps' },
  nodes: [
    { node: 'L0.H1', role: 'early' },
    { node: 'L2.H3', role: 'late' },
    { node: 'MLP 1', role: 'late' },
  ],
  ablation: { kind: 'mean', corruption: 'other' },
  provenance: {},
};

const config = SHAPES.gpt2;
const { model, remove } = randomModel(config, 6);
const task = randomTask(config, [8, 8, 8, 8, 8, 8], 4);
const metric = { kind: 'logit-difference', foil: 'max' } as const;
let runner: ModelRunner;
let context: StepContext;
let document: CircuitEvaluation;

beforeAll(async () => {
  runner = await ModelRunner.open(model, { threads: 1 });
  const cache = new ActivationCache(runner, 1 << 20);
  context = {
    ...{ model, runner, cache, version: 'test', task, seed: 3, memoryBytes: 1 << 26 },
    ...{ ...noSources(model.tokenizer), circuit: () => circuit },
  };
  const { scope, ablation } = circuit;
  const options: EvaluatorOptions = { scope, ablation, metric, memoryBytes: 1 << 26, seed: 3 };
  const evaluator = await CircuitEvaluator.create(runner, task, options);
  document = await evaluateCircuit(context, evaluator, circuit, { ...EVALUATION_DEFAULTS, seed: 3 });
});
afterAll(async () => {
  await runner.close();
  remove();
});

describe('an evaluation', () => {
  it('has curves that begin at the empty model and end at the circuit', () => {
    const { addBack, empty, inCircuit } = document;
    expect(addBack.given.map(({ overall }) => overall.mean)).toHaveLength(4);
    expect(addBack.given[0]).toEqual(empty);
    expect(addBack.given[3]).toEqual(inCircuit);
    const curves = [...addBack.random.map(({ overall }) => overall), addBack.greedy?.overall ?? []];
    expect(curves).toHaveLength(21);
    for (const curve of curves) {
      expect(curve[0]).toBeCloseTo(empty.overall.mean, 5);
      expect(curve.at(-1)).toBeCloseTo(inCircuit.overall.mean, 5);
    }
  });

  it('adds the best node first in the greedy order', () => {
    const { addBack, empty, full } = document;
    const sign = Math.sign(full.overall.mean - empty.overall.mean);
    const firsts = addBack.random.map(({ overall }) => sign * overall[1]);
    expect(sign * (addBack.greedy?.overall[1] ?? 0)).toBeCloseTo(Math.max(...firsts), 5);
    expect([...(addBack.greedy?.order ?? [])].sort()).toEqual(['L0.H1', 'L2.H3', 'MLP 1']);
  });

  it('says of each node what the last step of its order adds', () => {
    const { minimality, inCircuit, addBack } = document;
    expect(minimality.map(({ node }) => node)).toEqual(['L0.H1', 'L2.H3', 'MLP 1']);
    // The last of the given order is added when the others are there.
    expect(minimality[2].loss.overall.mean).toBeCloseTo(inCircuit.overall.mean - addBack.given[2].overall.mean, 5);
  });

  it('is complete as far as sets of its own nodes show', () => {
    const { completeness, inCircuit, full, complement, empty } = document;
    expect(completeness.map(({ label }) => label).slice(0, 3)).toEqual(['nothing', 'early', 'late']);
    expect(completeness.filter(({ label }) => label.startsWith('random'))).toHaveLength(10);
    expect(completeness.map(({ label }) => label).slice(-3)).toEqual(['greedy 1', 'greedy 2', 'greedy 3']);
    expect(completeness[0].difference).toBeCloseTo(Math.abs(inCircuit.overall.mean - full.overall.mean), 5);
    // All nodes taken out: what is left of the circuit is nothing, of the model the complement.
    expect(completeness.at(-1)?.removed).toHaveLength(3);
    expect(completeness.at(-1)?.difference).toBeCloseTo(Math.abs(empty.overall.mean - complement.overall.mean), 5);
  });

  it('draws 200 random circuits that differ', () => {
    expect(document.random.overall).toHaveLength(200);
    expect(new Set(document.random.overall.map((value) => value.toFixed(6))).size).toBeGreaterThan(50);
  });

  it('has faithfulness as the ratio of its own means, and warns of what it cannot say', () => {
    const { faithfulness, inCircuit, empty, full, warnings } = document;
    faithfulness.answers.forEach(({ mean, interval }, i) => {
      const [c, e, f] = [inCircuit, empty, full].map(({ answers }) => answers[i].mean);
      expect(mean).toBeCloseTo((c - e) / (f - e), 10);
      expect(interval?.[0]).toBeLessThanOrEqual(mean);
    });
    expect(warnings).toEqual([]);
    expect(document.cost.forwardPasses).toBeGreaterThan(0);
    expect(document.provenance.ablation).toMatch(/corrupted by other/);
  });
});

describe('the step circuit-evaluate', () => {
  const params = { circuit: 'c', metric };
  const run = async (ids: readonly string[]): Promise<Map<string, CellResult>> => {
    const results = new Map<string, CellResult>();
    for (const cell of circuitEvaluate.cells(context, params)) {
      if (!ids.includes(cell.id)) continue;
      results.set(cell.id, JSON.parse(JSON.stringify(await circuitEvaluate.run(context, params, cell))));
    }
    return results;
  };

  it('puts cells that were run apart and in any order together to the same evaluation', async () => {
    const ids = circuitEvaluate.cells(context, params).map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[\w.:/@+-]+$/);
    const results = new Map([...(await run(ids.slice(9))), ...(await run(ids.slice(0, 9)))]);
    const result = circuitEvaluate.assemble(context, params, results);
    const { cost, ...rest } = result.evaluation ?? document;
    const { cost: _, ...whole } = document;
    expect(rest).toEqual(whole);
    expect(cost.forwardPasses).toBeGreaterThan(0);
    expect(result.title).toMatch(/^3 nodes keep -?\d+ % of the metric; the median random circuit of its size -?\d+ %$/);
    expect(result.pictures.map(({ id }) => id)).toEqual([
      ...['add-back', 'add-back-greedy', 'faithfulness', 'random-circuits', 'scores', 'minimality', 'completeness'],
    ]);
    expect(result.values['F.all']).toBe(document.faithfulness.overall.mean);
    expect(result.values['addBack.3.A']).toBe(document.inCircuit.answers[0].mean);
    expect(Object.values(result.values).every(Number.isFinite)).toBe(true);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  it('shows what is there while cells are missing', async () => {
    const some = circuitEvaluate.assemble(context, params, await run(['ends', 'random/25']));
    expect(some.pictures.map(({ id }) => id)).toEqual(['faithfulness', 'random-circuits', 'scores']);
    expect(some.evaluation?.complete).toBe(false);
    const none = circuitEvaluate.assemble(context, params, new Map());
    expect(none.pictures).toEqual([]);
  });

  it('refuses what does not fit', () => {
    const with_ = (change: Partial<CircuitFile>) => ({ ...context, circuit: () => ({ ...circuit, ...change }) });
    const cells = (change: Partial<CircuitFile>) => () => circuitEvaluate.cells(with_(change), params);
    expect(cells({ nodes: [{ node: 'L3.H0' }] })).toThrow(/layers are 0 to 2/);
    expect(cells({ nodes: [{ node: 'L0.H0' }, { node: 'L0.H0' }] })).toThrow(/twice/);
    expect(cells({ ablation: { kind: 'mean', corruption: 'cur' } })).toThrow(
      'There is no corruption "cur". The data have other.',
    );
    expect(cells({ scope: 'edges' })).toThrow(/has no edges/);
  });

  it('names the ablation that was used when the file names another', async () => {
    const own = { ...params, ablation: { kind: 'zero' } as const };
    const [ends] = circuitEvaluate.cells(context, own);
    const results = new Map([[ends.id, await circuitEvaluate.run(context, own, ends)]]);
    const { warnings, ablation } = circuitEvaluate.assemble(context, own, results);
    expect(ablation).toBe('zero');
    expect(warnings).toEqual([expect.stringMatching(/^The circuit file names another ablation/)]);
  });
});
