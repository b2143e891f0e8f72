import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { circuitToText, readCircuit } from '../../../src/core/circuits/circuitFile.ts';
import { edgeAttribution } from '../../../src/core/circuits/eap.ts';
import { nodeAttribution, strongestNodes } from '../../../src/core/circuits/nodeAttribution.ts';
import { writerEffects } from '../../../src/core/circuits/selectEdges.ts';
import { circuitEvaluate } from '../../../src/core/circuits/steps/circuitEvaluate.ts';
import { discoverEap, discoverEapIg } from '../../../src/core/circuits/steps/discoverEap.ts';
import { discoverAcdc, discoverGreedy } from '../../../src/core/circuits/steps/discoverPruned.ts';
import { ActivationCache } from '../../../src/core/engine/activationCache.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { noSources } from '../../../src/core/experiments/sourcesOfStep.ts';
import type { CellResult, StepContext, StepKind, StepResult } from '../../../src/core/experiments/stepKind.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';
import { matrixOf } from '../../support/steps.ts';

const config = SHAPES.llama;
const { model, remove } = randomModel(config, 6);
const task = randomTask(
  config,
  Array.from({ length: 40 }, () => 6),
  4,
);
const metric = { kind: 'logit-difference', foil: 'mean' } as const;
const ablation = { kind: 'resample', corruption: 'other' } as const;
let runner: ModelRunner;
let context: StepContext;

beforeAll(async () => {
  runner = await ModelRunner.open(model, { threads: 1 });
  const circuit = () => {
    throw new Error('none');
  };
  context = {
    ...{ model, runner, cache: new ActivationCache(runner, 1 << 20), version: 'test', task, seed: 3 },
    ...{ ...noSources(model.tokenizer), memoryBytes: 1 << 26, circuit },
  };
});
afterAll(async () => {
  await runner.close();
  remove();
});

/** What one head does by all its edges. */
function at({ pictures }: StepResult): number {
  return matrixOf(pictures, 'outgoing').values[2][1] ?? 0;
}

async function whole<P>(kind: StepKind<P>, params: P, of = context): Promise<StepResult> {
  const results = new Map<string, CellResult>();
  for (const cell of [...kind.cells(of, params)].reverse()) {
    results.set(cell.id, JSON.parse(JSON.stringify(await kind.run(of, params, cell))));
  }
  return kind.assemble(of, params, results);
}

describe('steps that find circuits', () => {
  it.each([
    ['discover-eap', () => whole(discoverEap, { corruption: 'other', metric, edges: 20 })],
    [
      'discover-eap, nodes',
      () => whole(discoverEap, { corruption: 'other', metric, nodes: ['heads', 'mlps', 'neurons'], top: 12 }),
    ],
    ['discover-eap-ig', () => whole(discoverEapIg, { corruption: 'other', metric, edges: 20, steps: 2 })],
    [
      'discover-acdc',
      () =>
        whole(
          discoverAcdc,
          { ablation, metric, by: 'metric', threshold: 0.05 },
          { ...context, task: { ...task, items: task.items.slice(0, 4) } },
        ),
    ],
    ['discover-greedy', () => whole(discoverGreedy, { ablation, metric, threshold: 0.02 })],
  ])('%s leaves a circuit file that can be read and evaluated', async (_, find) => {
    const result = await find();
    const { circuit } = result;
    if (circuit === undefined) throw new Error('No circuit was found.');
    const { nLayers, nHeads, dMlp } = config;
    const about = { label: 'random', hash: model.info.hash, nLayers, nHeads, dMlp };
    expect(readCircuit(circuitToText(circuit), about)).toEqual({
      circuit: JSON.parse(JSON.stringify(circuit)),
      problems: [],
    });
    expect(result.pictures.map(({ type }) => type)).toEqual(expect.arrayContaining(['matrix', 'table']));
    expect(Object.values(result.values).every(Number.isFinite)).toBe(true);
    expect(result.values.nodes).toBe(circuit.nodes.length);
    const of = { ...context, circuit: () => circuit };
    const params = { circuit: 'found', metric, randomCircuits: 4, randomOrders: 1, randomSets: 1, greedy: false };
    const [ends] = circuitEvaluate.cells(of, params);
    const { evaluation } = circuitEvaluate.assemble(
      of,
      params,
      new Map([[ends.id, await circuitEvaluate.run(of, params, ends)]]),
    );
    expect(evaluation?.inCircuit.overall.mean).not.toBe(evaluation?.empty.overall.mean);
    expect(JSON.parse(JSON.stringify(result.pictures))).toEqual(result.pictures);
  });

  it('a circuit of edges goes through the whole evaluation: nodes come and go with their edges', async () => {
    const few = { ...context, task: { ...task, items: task.items.slice(0, 4) } };
    const { circuit } = await whole(discoverEap, { corruption: 'other', metric, edges: 12 }, few);
    if (circuit === undefined) throw new Error('No circuit was found.');
    const placed = { ...circuit, nodes: circuit.nodes.map((node, i) => (i === 0 ? { ...node, at: ['end'] } : node)) };
    const params = { circuit: 'found', metric, randomCircuits: 3, randomOrders: 2, randomSets: 1 };
    const { evaluation } = await whole(circuitEvaluate, params, { ...few, circuit: () => placed });
    const { addBack, empty, inCircuit, full, minimality, completeness, random, warnings } = evaluation ?? {};
    expect(addBack?.given[0].overall.mean).toBeCloseTo(empty?.overall.mean ?? 0, 4);
    expect(addBack?.given.at(-1)?.overall.mean).toBeCloseTo(inCircuit?.overall.mean ?? 0, 4);
    expect(addBack?.greedy?.overall.at(-1)).toBeCloseTo(inCircuit?.overall.mean ?? 0, 4);
    expect(minimality).toHaveLength(circuit.nodes.length);
    expect(random?.overall).toHaveLength(3);
    const [nothing] = completeness ?? [];
    expect(nothing.difference).toBeCloseTo(Math.abs((inCircuit?.overall.mean ?? 0) - (full?.overall.mean ?? 0)), 4);
    expect(warnings).toEqual([expect.stringMatching(/^Places of nodes/)]);
  });

  it('scores of cells are those of all rows at once, whatever their sizes', async () => {
    const few = await whole(discoverEap, { corruption: 'other', metric, edges: 5 });
    const cells = discoverEap.cells(context, { corruption: 'other', metric });
    expect(cells.map(({ id }) => id)).toEqual(['rows/0', 'rows/32']);
    const part = await whole(
      discoverEap,
      { corruption: 'other', metric, edges: 5 },
      { ...context, task: { ...task, items: task.items.slice(0, 32) } },
    );
    const rest = await whole(
      discoverEap,
      { corruption: 'other', metric, edges: 5 },
      { ...context, task: { ...task, items: task.items.slice(32) } },
    );
    expect(at(few)).toBeCloseTo((32 * at(part) + 8 * at(rest)) / 40, 5);
  });

  it('node scores are sums: of a node’s edges, and an MLP’s of its neurons', async () => {
    const few = { ...task, items: task.items.slice(0, 4) };
    const options = { corruption: 'other', metric, memoryBytes: 1 << 26 };
    const { scores } = await nodeAttribution(runner, few, { ...options, kinds: ['heads', 'mlps', 'neurons'] });
    const { graph, scores: edges } = await edgeAttribution(runner, few, options);
    const sums = writerEffects(graph, edges);
    const { nLayers, nHeads, dMlp } = config;
    for (let layer = 0; layer < nLayers; layer += 1) {
      const first = graph.firstWriter(layer);
      for (let head = 0; head < nHeads; head += 1) {
        expect(scores.get('heads')?.[layer * nHeads + head]).toBeCloseTo(sums[first + head], 4);
      }
      const mlp = scores.get('mlps')?.[layer] ?? Number.NaN;
      expect(mlp).toBeCloseTo(sums[first + nHeads], 4);
      const neurons = scores.get('neurons')?.subarray(layer * dMlp, (layer + 1) * dMlp) ?? [];
      expect(Array.from(neurons).reduce((a, b) => a + b, 0)).toBeCloseTo(mlp, 4);
    }
    expect(Math.max(...sums.map(Math.abs))).toBeGreaterThan(0.01);
  });

  it('a circuit of the strongest nodes has no neuron of an MLP that it has', () => {
    const scores = new Map([
      ['mlps', Float64Array.of(0.5, -2)],
      ['neurons', Float64Array.of(3, 0.1, 4, 1)],
    ] as const);
    const names = (count: number) => strongestNodes(scores, 2, count).map(({ node }) => node);
    expect(names(1)).toEqual(['N1.0']);
    expect(names(2)).toEqual(['N1.0', 'N0.0']);
    expect(names(9)).toEqual(['MLP 1', 'MLP 0']);
  });

  it('of one answer only', async () => {
    const [a, b, both] = await Promise.all(
      ['A', 'B', undefined].map((answer) => whole(discoverEap, { corruption: 'other', metric, answer, edges: 5 })),
    );
    expect(at(both)).toBeCloseTo((at(a) + at(b)) / 2, 5);
    expect(at(a)).not.toBeCloseTo(at(b), 3);
  });

  it('a search by the loss of one answer keeps what that answer needs', async () => {
    const few = { ...context, task: { ...task, items: task.items.slice(0, 8) } };
    const params = { ablation, metric, by: 'metric', threshold: 1e-9 } as const;
    // The MLP of the last layer is tried first, from the whole model.
    const first = async (answer?: string) => {
      const { pictures } = await whole(discoverGreedy, { ...params, answer }, few);
      return matrixOf(pictures, 'tried').values[config.nLayers - 1].at(-1) ?? 0;
    };
    const [a, b, both] = [await first('A'), await first('B'), await first()];
    expect(both).toBeCloseTo((a + b) / 2, 5);
    expect(a).not.toBeCloseTo(b, 3);
    expect(() => discoverGreedy.cells(context, { ...params, answer: 'C' })).toThrow('There is no answer "C"');
  });

  it('stop at their budget and say so', async () => {
    const result = await whole(discoverGreedy, { ablation, metric, maxPasses: 2 });
    expect(result.warnings).toEqual([
      expect.stringMatching(/^The search stopped after 2\.\d+ forward passes, its budget: 6 of 15 heads and MLPs/),
    ]);
    const acdc = await whole(discoverAcdc, { ablation, metric, maxPasses: 1 });
    expect(acdc.warnings).toHaveLength(1);
    expect(acdc.circuit?.edges?.length).toBeGreaterThan(50);
  });

  it('refuse what does not fit', () => {
    const eap = (own: object) => () => discoverEap.cells(context, { corruption: 'other', metric, ...own });
    expect(eap({ corruption: 'cur' })).toThrow('There is no corruption "cur". The data have other.');
    expect(eap({ answer: 'C' })).toThrow('There is no answer "C". The data have A, B.');
    expect(eap({ edges: 10_000 })).toThrow(/ask for 10000 or fewer/);
    expect(() => discoverGreedy.cells(context, { metric, ablation: { kind: 'mean', corruption: 'x' } })).toThrow(/"x"/);
  });

  it('refuse a metric without a gradient, and can be cancelled', async () => {
    const params = { corruption: 'other', metric: { kind: 'kl' } as const };
    const [cell] = discoverEap.cells(context, params);
    await expect(discoverEap.run(context, params, cell)).rejects.toThrow(/0 and flat at the clean run/);
    await expect(discoverEapIg.run(context, { ...params, steps: 2 }, cell)).resolves.toBeDefined();
    const controller = new AbortController();
    controller.abort();
    const stopped = { ...context, signal: controller.signal };
    for (const kind of [discoverEap, discoverEapIg]) {
      await expect(kind.run(stopped, { corruption: 'other', metric }, cell)).rejects.toMatchObject({
        code: 'cancelled',
      });
    }
    for (const kind of [discoverAcdc, discoverGreedy]) {
      await expect(kind.run(stopped, { ablation, metric }, cell)).rejects.toMatchObject({ code: 'cancelled' });
    }
  });
});
