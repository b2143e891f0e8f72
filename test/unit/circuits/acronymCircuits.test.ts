import { createReadStream, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { CircuitEvaluator, type EvaluatorOptions } from '../../../src/core/circuits/circuitEvaluator.ts';
import { edgeAttribution } from '../../../src/core/circuits/eap.ts';
import { EVALUATION_DEFAULTS, evaluateCircuit } from '../../../src/core/circuits/evaluateCircuit.ts';
import { acdc, pruneNodes } from '../../../src/core/circuits/prune.ts';
import { edgeCircuit, selectEdges } from '../../../src/core/circuits/selectEdges.ts';
import { loadTaskSet } from '../../../src/core/tasks/loadTaskSet.ts';
import type { AblationValue, CircuitEdge, CircuitFile, CircuitScope } from '../../../src/shared/circuit.ts';
import type { MetricSpec } from '../../../src/shared/metric.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { ACRONYMS, load, PLANTED } from '../reference/referenceFigures.ts';

const DATA = join(import.meta.dirname, '../../../examples/acronyms/acronyms.bundled.jsonl');
const resample: AblationValue = { kind: 'resample', corruption: 'all' };
const difference = { kind: 'logit-difference', foil: 'max' } as const;
const memoryBytes = 1 << 28;
const noLimit = Number.POSITIVE_INFINITY;

let cache: string;
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'mechanist-circuits-'));
});
afterAll(() => rm(cache, { recursive: true, force: true }));

async function open(folder: string, rows: number): Promise<{ engine: AnalysisEngine; task: TaskSet }> {
  const engine = await load(folder, cache);
  const { tokenizer, config } = engine.model;
  const source = { name: DATA, lines: createReadStream(DATA, 'utf8') };
  return { engine, task: await loadTaskSet(source, tokenizer, config.nCtx, { rows }) };
}

const infoOf = (ablation: AblationValue) => ({ name: 'found', model: { ref: 'm' }, ablation, provenance: {} });

describe('the planted circuit is found exactly', () => {
  const planted = JSON.parse(readFileSync(join(PLANTED, 'circuit.json'), 'utf8')) as Pick<
    CircuitFile,
    'edges' | 'nodes'
  > & {
    readonly nodes: readonly unknown[];
  };
  const wantedNodes = planted.nodes
    .map((node) => (typeof node === 'string' ? node : (node as { node: string }).node))
    .sort();
  const edgeText = ({ from, to, channel }: CircuitEdge) => `${from}>${to}.${channel}`;
  const wantedEdges = (planted.edges ?? []).map(edgeText).sort();
  let engine: AnalysisEngine;
  let task: TaskSet;

  beforeAll(async () => {
    ({ engine, task } = await open(PLANTED, 24));
  });
  afterAll(() => engine.close());

  const evaluatorOf = (scope: CircuitScope, metric: MetricSpec, ablation: AblationValue = resample) =>
    CircuitEvaluator.create(engine.runner, task, { scope, ablation, metric, memoryBytes, seed: 1 });

  function check({ nodes, edges }: CircuitFile): void {
    expect(nodes.map(({ node }) => node).sort()).toEqual(wantedNodes);
    if (edges !== undefined) expect(edges.map(edgeText).sort()).toEqual(wantedEdges);
  }

  it.each([
    ['EAP', undefined, 'greedy'],
    ['EAP', undefined, 'score'],
    ['EAP-IG', 5, 'greedy'],
    ['EAP-IG', 5, 'score'],
  ] as const)('by %s (%s steps, %s)', async (_, steps, select) => {
    const options = { corruption: 'all', metric: difference, memoryBytes, steps };
    const { graph, scores } = await edgeAttribution(engine.runner, task, options);
    const keep = selectEdges(graph, scores, wantedEdges.length, select);
    check(edgeCircuit(graph, keep, scores, infoOf(resample)));
    // The weakest planted edge stands far above the strongest other one: no threshold has to be guessed.
    const strengths = Array.from(scores, Math.abs);
    const inside = strengths.filter((_, edge) => keep[edge] === 1);
    const outside = strengths.filter((_, edge) => keep[edge] === 0);
    expect(Math.min(...inside)).toBeGreaterThan(100 * Math.max(...outside));
  });

  it.each<MetricSpec>([{ kind: 'kl' }, difference])('by ACDC: %j', async (metric) => {
    const evaluator = await evaluatorOf('edges', metric);
    const { circuit, complete } = await acdc(evaluator, { threshold: 0.01, maxPasses: noLimit }, infoOf(resample));
    expect(complete).toBe(true);
    check(circuit);
  });

  it.each<[AblationValue, CircuitScope, MetricSpec]>([
    [resample, 'heads+mlps', { kind: 'kl' }],
    [resample, 'heads', difference],
    [{ kind: 'mean' }, 'heads+mlps', { kind: 'kl' }],
    [{ kind: 'mean', corruption: 'all' }, 'heads', difference],
  ])('by backward pruning: %j, %s, %j', async (ablation, scope, metric) => {
    const evaluator = await evaluatorOf(scope, metric, ablation);
    const { circuit } = await pruneNodes(evaluator, { threshold: 0.01, maxPasses: noLimit }, infoOf(ablation));
    check(circuit);
  });

  it('and its edges alone do all that the model does', async () => {
    const evaluator = await evaluatorOf('edges', difference);
    const circuit: CircuitFile = {
      ...{ schemaVersion: 1, kind: 'circuit', scope: 'edges', ...infoOf(resample) },
      nodes: wantedNodes.map((node) => ({ node })),
      edges: planted.edges,
    };
    const { faithfulness, accuracy } = await evaluator.quick(circuit);
    expect(faithfulness.overall.mean).toBeCloseTo(1, 3);
    expect(accuracy.overall.mean).toBe(1);
    const without = { ...circuit, edges: planted.edges?.slice(1) };
    expect((await evaluator.quick(without)).faithfulness.overall.mean).toBeLessThan(0.9);
  });
});

describe('the circuit of the bundled model', () => {
  let engine: AnalysisEngine;
  let task: TaskSet;
  beforeAll(async () => {
    ({ engine, task } = await open(ACRONYMS, 50));
  });
  afterAll(() => engine.close());

  const heads = (nodes: readonly string[]): CircuitFile => ({
    ...{ schemaVersion: 1, kind: 'circuit', scope: 'heads', ...infoOf({ kind: 'mean' }), name: 'three heads' },
    nodes: nodes.map((node) => ({ node })),
  });
  const options: EvaluatorOptions = {
    scope: 'heads',
    ablation: { kind: 'mean' },
    metric: difference,
    memoryBytes,
    seed: 0,
  };

  it('is what its card measured with another program: F .959 for three heads, none −8.65, all 12.29', async () => {
    const evaluator = await CircuitEvaluator.create(engine.runner, task, options);
    const circuit = heads(['L1.H1', 'L1.H2', 'L1.H3']);
    const asked = { ...EVALUATION_DEFAULTS, seed: 0, randomOrders: 2, greedy: false };
    const { faithfulness, random, full, empty } = await evaluateCircuit(
      { model: engine.model, version: 'test' },
      evaluator,
      circuit,
      asked,
    );
    expect(full.overall.mean).toBeCloseTo(12.3, 0);
    expect(empty.overall.mean).toBeCloseTo(-8.6, 0);
    // Other prompts than the card's.
    expect(faithfulness.overall.mean).toBeGreaterThan(0.93);
    expect(faithfulness.overall.mean).toBeLessThan(0.98);
    const below = random.overall.filter((value) => value < faithfulness.overall.mean).length;
    expect(random.overall).toHaveLength(200);
    expect(below / 200).toBeGreaterThanOrEqual(0.95);
    const sorted = [...random.overall].sort((a, b) => a - b);
    expect(sorted[100]).toBeGreaterThan(0.35);
    expect(sorted[100]).toBeLessThan(0.6);
  });

  it('is found by backward pruning: F at least .9 with fewer than 60 % of the heads', async () => {
    // The model is sure of its answers: the divergence hardly feels a logit difference that falls by a logit.
    const evaluator = await CircuitEvaluator.create(engine.runner, task, options);
    const limits = { threshold: 0.3, maxPasses: noLimit };
    const { circuit } = await pruneNodes(evaluator, limits, infoOf(options.ablation));
    expect(circuit.nodes.length).toBeLessThan(0.6 * 12);
    expect(circuit.nodes.map(({ node }) => node)).toEqual(expect.arrayContaining(['L1.H1', 'L1.H2', 'L1.H3']));
    const { faithfulness } = await evaluator.quick(circuit);
    expect(faithfulness.overall.mean).toBeGreaterThan(0.9);
  });

  it('quick answers cost the layers from the first ablated head on', async () => {
    const evaluator = await CircuitEvaluator.create(engine.runner, task, options);
    await evaluator.quick(heads(['L1.H1']));
    const before = evaluator.passes;
    await evaluator.quick(heads(['L1.H1', 'L1.H2']));
    expect(evaluator.passes - before).toBeLessThanOrEqual(1);
  });
});
