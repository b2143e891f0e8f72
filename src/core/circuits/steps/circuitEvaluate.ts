import type { AblationValue, CircuitEvaluation, CircuitFile, CircuitScope } from '../../../shared/circuit.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { CircuitEvaluator, type EvaluatorOptions } from '../circuitEvaluator.ts';
import { ablationWords } from '../circuitFile.ts';
import { RowBootstrap } from '../estimates.ts';
import {
  assembleEvaluation,
  circuitProvenance,
  EVALUATION_DEFAULTS,
  type EvaluationOptions,
} from '../evaluateCircuit.ts';
import { type EvaluationParts, PartRunner, removableNodes } from '../evaluationParts.ts';
import { requireNode } from '../nodeNames.ts';
import { checkAblation, circuitParams } from './circuitParams.ts';
import { evaluationPictures, evaluationValues } from './evaluationPictures.ts';

interface EvaluateParams {
  readonly circuit: string;
  readonly metric: MetricSpec;
  readonly ablation?: AblationValue;
  readonly scope?: CircuitScope;
  readonly randomCircuits?: number;
  readonly randomOrders?: number;
  readonly randomSets?: number;
  readonly greedy?: boolean;
}

/** Draws of one cell. */
const CIRCUITS = 25;
const ORDERS = 5;

interface Asked {
  readonly circuit: CircuitFile;
  readonly evaluator: EvaluatorOptions;
  readonly options: EvaluationOptions;
}

function asked({ circuit: circuitOf, seed, memoryBytes }: StepContext, params: EvaluateParams): Asked {
  const circuit = circuitOf(params.circuit);
  const { metric, ablation = circuit.ablation, scope = circuit.scope } = params;
  const given = (['randomCircuits', 'randomOrders', 'randomSets', 'greedy'] as const).filter(
    (key) => params[key] !== undefined,
  );
  return {
    circuit,
    evaluator: { scope, ablation, metric, memoryBytes, seed },
    options: { ...EVALUATION_DEFAULTS, seed, ...Object.fromEntries(given.map((key) => [key, params[key]])) },
  };
}

const chunks = (total: number, size: number) =>
  Array.from({ length: Math.ceil(total / size) }, (_, i) => ({
    first: i * size,
    count: Math.min(size, total - i * size),
  }));

function cells(context: StepContext, params: EvaluateParams): StepCell[] {
  const { circuit, evaluator, options } = asked(context, params);
  checkAblation(evaluator.ablation, context.task);
  for (const { node } of circuit.nodes) requireNode(node, context.model.config);
  if (evaluator.scope === 'edges' && circuit.edges === undefined) {
    throw new MechanistError('bad-input', `The circuit ${params.circuit} has no edges: evaluate its heads instead.`);
  }
  const n = removableNodes(circuit).length;
  const roles = new Set(circuit.nodes.flatMap(({ role }) => role ?? [])).size;
  const greedySets = Math.min(options.greedySetSize, n);
  return [
    { id: 'ends', passes: 4 },
    { id: 'given', passes: n + 1 },
    { id: 'minimality', passes: n },
    { id: 'roleSets', passes: 2 * (roles + 1) },
    { id: 'randomSets', passes: 2 * options.randomSets },
    { id: 'greedySets', passes: greedySets * (2 * n - greedySets + 1) },
    ...(options.greedy ? [{ id: 'greedy', passes: (n * (n + 1)) / 2 + 2 }] : []),
    ...chunks(options.randomOrders, ORDERS).map(({ first, count }) => ({
      id: `orders/${first}`,
      passes: count * (n + 1),
    })),
    ...chunks(options.randomCircuits, CIRCUITS).map(({ first, count }) => ({ id: `random/${first}`, passes: count })),
  ].map(({ id, passes }) => ({ id, passes: Math.max(passes, 1) }));
}

async function run(context: StepContext, params: EvaluateParams, { id }: StepCell): Promise<CellResult> {
  const { circuit, evaluator: own, options } = asked(context, params);
  const { runner, task } = context;
  const make = () => CircuitEvaluator.create(runner, task, own, { ...context, onProgress: undefined });
  const evaluator = await (context.recent?.(JSON.stringify(['circuit-evaluate', own]), make) ?? make());
  const before = evaluator.passes;
  const parts = new PartRunner(evaluator, circuit, options, context);
  const [part, first] = [id.split('/')[0], Number(id.split('/')[1] ?? 0)];
  const result = async (): Promise<unknown> => {
    switch (part) {
      case 'orders':
        return await parts.orders(first, Math.min(ORDERS, options.randomOrders - first));
      case 'random':
        return await parts.random(first, Math.min(CIRCUITS, options.randomCircuits - first));
      case 'ends':
      case 'given':
      case 'minimality':
      case 'roleSets':
      case 'randomSets':
      case 'greedySets':
      case 'greedy':
        return await parts[part]();
      default:
        throw new Error(`There is no part "${part}" of an evaluation.`);
    }
  };
  return { part: await result(), forwardPasses: (evaluator.passes - before) * task.items.length };
}

function partsOf(results: ReadonlyMap<string, CellResult>): Partial<EvaluationParts> {
  const of = (name: string) => [...results].filter(([id]) => id === name).map(([, { part }]) => part)[0];
  const joined = (name: string) =>
    [...results]
      .filter(([id]) => id.startsWith(`${name}/`))
      .sort(([a], [b]) => Number(a.split('/')[1]) - Number(b.split('/')[1]))
      .flatMap(([, { part }]) => part as unknown[]);
  const single = ['ends', 'given', 'minimality', 'roleSets', 'randomSets', 'greedySets', 'greedy'];
  const parts = Object.fromEntries(single.flatMap((name) => (of(name) === undefined ? [] : [[name, of(name)]])));
  return { ...parts, orders: joined('orders'), random: joined('random') } as Partial<EvaluationParts>;
}

function titleOf(document: CircuitEvaluation, evaluated: number): string {
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const { faithfulness, random, circuit } = document;
  const F = faithfulness.overall.mean;
  if (!Number.isFinite(F)) return `${circuit.name}: the metric does not change when everything is ablated`;
  const sorted = random.overall.filter(Number.isFinite).sort((a, b) => a - b);
  const null_ =
    sorted.length === 0 ? '' : `; the median random circuit of its size ${percent(sorted[sorted.length >> 1])}`;
  return `${evaluated} nodes keep ${percent(F)} of the metric${null_}`;
}

function assemble(context: StepContext, params: EvaluateParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const { circuit, evaluator: options } = asked(context, params);
  const { task, seed } = context;
  const ablation = ablationWords(options.ablation);
  const subtitle = `${circuit.name} on ${task.name} · n = ${task.items.length} · ablated: ${ablation}`;
  const parts = partsOf(results);
  if (parts.ends === undefined) {
    return { title: circuit.name, subtitle, pictures: [], values: {}, warnings: [], ablation, circuit };
  }
  const evaluated = { task, options, bootstrap: new RowBootstrap(task.items.length, seed) };
  const evaluation = assembleEvaluation(
    evaluated,
    circuit,
    { ...parts, ends: parts.ends },
    {
      provenance: circuitProvenance(context, evaluated, circuit),
      complete: results.size === cells(context, params).length,
      cost: {
        forwardPasses: [...results.values()].reduce((sum, { forwardPasses }) => sum + Number(forwardPasses), 0),
        seconds: 0,
      },
    },
  );
  return {
    title: titleOf(evaluation, removableNodes(circuit).length),
    subtitle,
    pictures: evaluationPictures(evaluation),
    values: evaluationValues(evaluation),
    warnings: evaluation.warnings,
    ablation,
    circuit,
    evaluation,
  };
}

/** Faithfulness, minimality, completeness, the add-back curve and random circuits of the same size: `evaluateCircuit` in cells. */
export const circuitEvaluate: StepKind<EvaluateParams> = {
  name: 'circuit-evaluate',
  params: {
    type: 'object',
    description:
      'Tests a circuit: faithfulness (and that of its complement), accuracy, what is lost without each node, completeness, the metric as nodes are added back in the given, the best and random orders, and random circuits of the same size.',
    properties: {
      circuit: { type: 'string', description: 'A *.circuit.json beside this file, or the step that found it.' },
      metric: circuitParams.metric,
      ablation: circuitParams.ablation,
      scope: {
        enum: ['heads', 'heads+mlps', 'edges'],
        description: 'What may be left out; everything else stays. Default: the scope of the circuit file.',
      },
      randomCircuits: {
        ...{ type: 'integer', minimum: 0, default: EVALUATION_DEFAULTS.randomCircuits },
        description: 'Random circuits of the same size: the null to compare with.',
      },
      randomOrders: {
        ...{ type: 'integer', minimum: 0, default: EVALUATION_DEFAULTS.randomOrders },
        description: 'Random orders in which nodes are added back.',
      },
      randomSets: {
        ...{ type: 'integer', minimum: 0, default: EVALUATION_DEFAULTS.randomSets },
        description: 'Random sets of nodes for completeness.',
      },
      greedy: {
        ...{ type: 'boolean', default: EVALUATION_DEFAULTS.greedy },
        description: 'Whether nodes are also added back in the best order; about nodes² / 2 runs.',
      },
    },
    required: ['circuit'],
    additionalProperties: false,
  },
  cells,
  run,
  assemble,
};
