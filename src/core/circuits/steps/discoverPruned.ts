import type { AblationValue, CircuitFile, CircuitScope } from '../../../shared/circuit.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { metricWords } from '../../tasks/metrics.ts';
import { CircuitEvaluator } from '../circuitEvaluator.ts';
import { ablationWords } from '../circuitFile.ts';
import { EdgeGraph } from '../edgeGraph.ts';
import { acdc, pruneNodes } from '../prune.ts';
import { writerEffects } from '../selectEdges.ts';
import { checkAblation, circuitParams } from './circuitParams.ts';
import { circuitValues, nodeMatrix, partsTable } from './discoveryPictures.ts';

interface PruneParams {
  readonly metric: MetricSpec;
  readonly ablation: AblationValue;
  readonly by?: 'kl' | 'metric';
  readonly threshold?: number;
  readonly maxPasses?: number;
  /** Pruning of nodes only. */
  readonly scope?: Exclude<CircuitScope, 'edges'>;
}

interface Method {
  readonly name: 'acdc' | 'greedy';
  readonly title: string;
  readonly source: string;
}

const ACDC: Method = { name: 'acdc', title: 'ACDC', source: 'Conmy et al. 2304.14997' };
const GREEDY: Method = { name: 'greedy', title: 'Backward greedy pruning', source: 'from the last layer to the first' };

const DEFAULT_THRESHOLD = 0.01;
/** The search is one cell: each decision needs the ones before. */
const CELL = 'search';

function lossOf({ by = 'kl', metric }: PruneParams): MetricSpec {
  return by === 'kl' ? { kind: 'kl' } : metric;
}

function cells({ task, model }: StepContext, params: PruneParams, method: Method): StepCell[] {
  checkAblation(params.ablation, task);
  const { nLayers, nHeads } = model.config;
  const tried = method === ACDC ? new EdgeGraph(model.config).edges : nLayers * (nHeads + 1);
  return [{ id: CELL, passes: Math.min(params.maxPasses ?? Number.POSITIVE_INFINITY, 3 + tried / 2) }];
}

async function run(context: StepContext, params: PruneParams, method: Method): Promise<CellResult> {
  const { runner, task, memoryBytes, seed, model } = context;
  const { ablation, threshold = DEFAULT_THRESHOLD, maxPasses = Number.POSITIVE_INFINITY } = params;
  const scope = method === ACDC ? 'edges' : (params.scope ?? 'heads+mlps');
  const metric = lossOf(params);
  const options = { scope, ablation, metric, memoryBytes, seed } as const;
  const evaluator = await CircuitEvaluator.create(runner, task, options, { ...context, onProgress: undefined });
  try {
    const info = {
      name: `${method.name}, threshold ${threshold}`,
      model: { ref: model.info.ref, hash: model.info.hash },
      ablation,
      provenance: { method: method.name, metric, threshold, scope, rows: task.items.length, data: task.hash },
    };
    const search = method === ACDC ? acdc : pruneNodes;
    const { circuit, effects, complete } = await search(evaluator, { threshold, maxPasses }, info, context);
    const tried = Array.from(effects, (effect) => (Number.isNaN(effect) ? null : effect));
    return { circuit, tried, complete, forwardPasses: evaluator.passes * task.items.length };
  } finally {
    await evaluator.release();
  }
}

interface Found {
  readonly circuit: CircuitFile;
  readonly tried: readonly (number | null)[];
  readonly complete: boolean;
}

/** What each node cost when it was tried, or its kept edges together. */
function matrix({ model }: StepContext, { circuit, tried }: Found, unit: string, method: Method, mlps: boolean) {
  const { nHeads } = model.config;
  if (method === ACDC) {
    const graph = new EdgeGraph(model.config);
    const keep = graph.keep(circuit);
    const sums = writerEffects(
      graph,
      Float64Array.from(tried, (effect) => effect ?? Number.NaN),
      keep,
    );
    const at = (layer: number, head: number | 'mlp') => graph.firstWriter(layer) + (head === 'mlp' ? nHeads : head);
    return nodeMatrix(model.config, (layer, head) => sums[at(layer, head)], {
      ...{ id: 'kept', unit, mlps: true, title: 'What the kept edges of each head and MLP are worth' },
      subtitle: 'Sum over its outgoing edges of how much the loss rose when the edge was tried.',
    });
  }
  const at = (layer: number, head: number | 'mlp') => layer * (nHeads + 1) + (head === 'mlp' ? nHeads : head);
  return nodeMatrix(model.config, (layer, head) => tried[at(layer, head)] ?? null, {
    ...{ id: 'tried', unit, mlps, title: 'How much the loss rose when each head and MLP was tried' },
    subtitle: 'Given all that had gone before it; blank: not tried.',
  });
}

function assemble(
  context: StepContext,
  params: PruneParams,
  method: Method,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { task } = context;
  const { ablation: value, threshold = DEFAULT_THRESHOLD } = params;
  const { label, unit } = metricWords({ ...lossOf(params), normalize: undefined });
  const ablation = ablationWords(value);
  const subtitle = `${label}, threshold ${threshold} ${unit} (${method.source}) · ${task.name} · n = ${task.items.length} · ablated: ${ablation}`;
  const found = results.get(CELL) as unknown as Found | undefined;
  if (found === undefined) return { title: method.title, subtitle, pictures: [], values: {}, warnings: [], ablation };
  const { circuit, complete } = found;
  const edges = circuit.edges === undefined ? '' : `${circuit.edges.length} edges between `;
  const effect = `Effect: by how much the loss (${label}) rose when it was tried, given all that had gone before it.`;
  return {
    title: `${method.title} keeps ${edges}${circuit.nodes.length} heads and MLPs`,
    subtitle,
    pictures: [matrix(context, found, unit, method, params.scope !== 'heads'), partsTable(circuit, unit, effect)],
    values: circuitValues(circuit),
    warnings: complete
      ? []
      : [`The search stopped after ${params.maxPasses} forward passes; what was not tried is kept.`],
    ablation,
    circuit,
  };
}

const properties = {
  ablation: circuitParams.ablation,
  by: {
    ...{ enum: ['kl', 'metric'], default: 'kl' },
    description: 'What may not rise: the divergence from the clean run, or the loss that the metric stands for.',
  },
  metric: circuitParams.metric,
  threshold: {
    ...{ type: 'number', exclusiveMinimum: 0, default: DEFAULT_THRESHOLD },
    description: 'A part goes when the loss rises by less than this without it; nats for kl, else the metric’s unit.',
  },
  maxPasses: {
    ...{ type: 'number', exclusiveMinimum: 0 },
    description: 'Forward passes of the data after which the search stops; default: no limit.',
  },
} as const;

/** ACDC as a step; the search is one cell. */
export const discoverAcdc: StepKind<PruneParams> = {
  name: 'discover-acdc',
  params: {
    type: 'object',
    description:
      'Finds a circuit by ACDC (Conmy et al. 2304.14997): edges are tried one by one from the logits down, and go when the loss rises by less than the threshold. About half a forward pass of the data for every edge of the model.',
    properties,
    required: ['ablation'],
    additionalProperties: false,
  },
  cells: (context, params) => cells(context, params, ACDC),
  run: (context, params) => run(context, params, ACDC),
  assemble: (context, params, results) => assemble(context, params, ACDC, results),
};

/** Backward greedy pruning of nodes as a step; the search is one cell. */
export const discoverGreedy: StepKind<PruneParams> = {
  name: 'discover-greedy',
  params: {
    type: 'object',
    description:
      'Finds a circuit of heads (and MLPs) by taking them out one by one from the last layer to the first; each goes when the loss rises by less than the threshold. About half a forward pass of the data for each.',
    properties: {
      ...properties,
      scope: {
        ...{ enum: ['heads', 'heads+mlps'], default: 'heads+mlps' },
        description: 'What may go; everything else stays.',
      },
    },
    required: ['ablation'],
    additionalProperties: false,
  },
  cells: (context, params) => cells(context, params, GREEDY),
  run: (context, params) => run(context, params, GREEDY),
  assemble: (context, params, results) => assemble(context, params, GREEDY, results),
};
