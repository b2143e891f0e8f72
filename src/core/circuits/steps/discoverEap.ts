import type { CircuitFile } from '../../../shared/circuit.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { TaskSet } from '../../../shared/taskSet.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { metricWords } from '../../tasks/metrics.ts';
import { edgeAttribution } from '../eap.ts';
import { EdgeGraph } from '../edgeGraph.ts';
import type { NodeKind } from '../nodeAttribution.ts';
import { type EdgeSelection, edgeCircuit, selectEdges, writerEffects } from '../selectEdges.ts';
import { checkAblation, checkAnswer, circuitParams } from './circuitParams.ts';
import { assembleNodes, DEFAULT_TOP, type NodeParams, runNodes } from './discoverNodes.ts';
import { circuitGraph, circuitValues, nodeMatrix, partsTable } from './discoveryPictures.ts';

interface EapParams {
  readonly corruption: string;
  readonly metric: MetricSpec;
  readonly answer?: string;
  readonly edges?: number;
  readonly select?: EdgeSelection;
  /** EAP only: scores nodes of these kinds in the place of edges. */
  readonly nodes?: readonly NodeKind[];
  readonly top?: number;
  /** EAP-IG only. */
  readonly steps?: number;
}

/** Whether nodes are asked for. */
function isOfNodes(params: EapParams): params is EapParams & NodeParams {
  return params.nodes !== undefined;
}

/** Rows of one cell. */
const ROWS = 32;
const DEFAULT_EDGES = 50;
const DEFAULT_STEPS = 5;

function rowsOf(task: TaskSet, { id }: StepCell): TaskSet {
  const first = Number(id.split('/')[1]);
  return { ...task, items: task.items.slice(first, first + ROWS) };
}

function cells({ task, model }: StepContext, params: EapParams, passes: number): StepCell[] {
  checkAblation({ kind: 'resample', corruption: params.corruption }, task);
  checkAnswer(task, params.answer);
  const all = new EdgeGraph(model.config).edges;
  if ((params.edges ?? 0) > all) {
    throw new MechanistError('bad-input', `The model has ${all} edges: ask for ${params.edges} or fewer of them.`);
  }
  return Array.from({ length: Math.ceil(task.items.length / ROWS) }, (_, i) => ({
    id: `rows/${i * ROWS}`,
    passes: (passes * Math.min(ROWS, task.items.length - i * ROWS)) / task.items.length,
  }));
}

async function run(
  context: StepContext,
  params: EapParams,
  steps: number | undefined,
  cell: StepCell,
): Promise<CellResult> {
  const task = rowsOf(context.task, cell);
  if (isOfNodes(params)) return await runNodes(context, task, params);
  const { corruption, metric, answer } = params;
  const options = { corruption, metric, answer, steps, memoryBytes: context.memoryBytes };
  const found = await edgeAttribution(context.runner, task, options, context);
  return { scores: Array.from(found.scores), rows: found.rows, forwardPasses: found.passes * found.rows };
}

/** Mean of the cells' scores, by rows. */
function meanScores(edges: number, results: ReadonlyMap<string, CellResult>): { scores: Float64Array; rows: number } {
  const sums = new Float64Array(edges);
  let rows = 0;
  for (const result of results.values()) {
    const [own, count] = [result.scores as readonly number[], Number(result.rows)];
    for (let edge = 0; edge < edges; edge += 1) sums[edge] += own[edge] * count;
    rows += count;
  }
  return { scores: sums.map((sum) => sum / Math.max(1, rows)), rows };
}

function assemble(
  context: StepContext,
  params: EapParams,
  method: { readonly name: 'eap' | 'eap-ig'; readonly steps?: number },
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  if (isOfNodes(params)) return assembleNodes(context, params, results);
  const { model, task } = context;
  const { corruption, metric, answer, select = 'greedy' } = params;
  const graph = new EdgeGraph(model.config);
  const { scores, rows } = meanScores(graph.edges, results);
  const { label, unit } = metricWords({ ...metric, normalize: undefined });
  const title =
    method.name === 'eap' ? 'Edge attribution patching' : `EAP with integrated gradients, ${method.steps} steps`;
  const of = answer === undefined ? 'mean over the answers' : `answer ${answer}`;
  const subtitle = `${label}, ${of} · ${task.name} · n = ${rows} · to first order; corruption ${corruption}`;
  const ablation = `the same row corrupted by ${corruption}`;
  if (rows === 0) return { title, subtitle, pictures: [], values: {}, warnings: [], ablation };
  const count = Math.min(params.edges ?? DEFAULT_EDGES, graph.edges);
  const circuit: CircuitFile = edgeCircuit(graph, selectEdges(graph, scores, count, select), scores, {
    name: `${method.name}, ${count} edges`,
    model: { ref: model.info.ref, hash: model.info.hash },
    ablation: { kind: 'resample', corruption },
    provenance: {
      method: method.name,
      steps: method.steps,
      metric,
      answer,
      corruption,
      edges: count,
      select,
      rows,
      data: task.hash,
    },
  });
  const sums = writerEffects(graph, scores);
  const writer = (layer: number, head: number | 'mlp') =>
    graph.firstWriter(layer) + (head === 'mlp' ? model.config.nHeads : head);
  const effect =
    'Effect: the metric of the clean run less that with the edge corrupted, to first order; mean over the prompts.';
  return {
    title: `${title}: ${circuit.edges?.length ?? 0} edges between ${circuit.nodes.length} heads and MLPs`,
    subtitle,
    pictures: [
      circuitGraph(circuit, model.config.nLayers, {
        ...{ title: 'The circuit', unit },
        lines: 'Lines: its edges; width: effect, dashed where the edge lowers the metric.',
      }),
      nodeMatrix(model.config, (layer, head) => sums[writer(layer, head)], {
        ...{ id: 'outgoing', unit, mlps: true, title: 'What each head and MLP does by all its outgoing edges' },
        subtitle: `Sum of the edges’ effects: what corrupting all that it writes would cost, to first order. n = ${rows}.`,
      }),
      partsTable(circuit, unit, effect),
    ],
    values: circuitValues(circuit),
    warnings: [],
    ablation,
    circuit,
  };
}

const params = {
  corruption: { type: 'string', description: 'Corruption of the data whose activations stand in for an edge.' },
  metric: circuitParams.metric,
  answer: circuitParams.answer,
  edges: {
    ...{ type: 'integer', minimum: 1, default: DEFAULT_EDGES },
    description: 'Edges of the circuit, before dead ends are taken out.',
  },
  select: {
    ...{ enum: ['greedy', 'score'], default: 'greedy' },
    description: 'greedy: grows from the logits by the strongest edge into what is there. score: the strongest edges.',
  },
} as const;

/** EAP as a step: cells are stretches of the rows. */
export const discoverEap: StepKind<EapParams> = {
  name: 'discover-eap',
  params: {
    type: 'object',
    description:
      'Finds a circuit by edge attribution patching (Syed et al. 2310.10348): every edge’s effect to first order from two forward passes and one backward pass of the data. With `nodes`, the effects of heads, MLPs or single neurons, and a circuit of the strongest.',
    properties: {
      ...params,
      nodes: {
        ...{ type: 'array', minItems: 1, uniqueItems: true, items: { enum: ['heads', 'mlps', 'neurons'] } },
        description: 'Scores nodes of these kinds in the place of edges. An MLP takes the place of its own neurons.',
      },
      top: {
        ...{ type: 'integer', minimum: 1, default: DEFAULT_TOP },
        description: 'Nodes of the circuit, where nodes are scored.',
      },
    },
    required: ['corruption'],
    additionalProperties: false,
  },
  cells: (context, own) => cells(context, own, 5),
  run: (context, own, cell) => run(context, own, undefined, cell),
  assemble: (context, own, results) => assemble(context, own, { name: 'eap' }, results),
};

/** EAP-IG as a step. */
export const discoverEapIg: StepKind<EapParams> = {
  name: 'discover-eap-ig',
  params: {
    type: 'object',
    description:
      'Finds a circuit by EAP with integrated gradients (Hanna et al. 2403.17806): as EAP, with gradients averaged over runs between the corrupted and the clean prompt. Each step costs a forward and a backward pass.',
    properties: {
      ...params,
      steps: {
        ...{ type: 'integer', minimum: 1, default: DEFAULT_STEPS },
        description: 'Runs between the corrupted and the clean prompt.',
      },
    },
    required: ['corruption'],
    additionalProperties: false,
  },
  cells: (context, own) => cells(context, own, 2 + 4 * (own.steps ?? DEFAULT_STEPS)),
  run: (context, own, cell) => run(context, own, own.steps ?? DEFAULT_STEPS, cell),
  assemble: (context, own, results) =>
    assemble(context, own, { name: 'eap-ig', steps: own.steps ?? DEFAULT_STEPS }, results),
};
