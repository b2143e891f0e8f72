import type { AblationValue, CircuitFile, CircuitScope } from '../../../shared/circuit.ts';
import type { TablePicture } from '../../../shared/figures.ts';
import { count } from '../../../shared/format.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { metricWords } from '../../tasks/metrics.ts';
import { blocksOfPass, CircuitEvaluator } from '../circuitEvaluator.ts';
import { ablationWords } from '../circuitFile.ts';
import { EdgeGraph } from '../edgeGraph.ts';
import { NodeSpace } from '../nodeSpace.ts';
import { acdc, prunedEdges, prunedNodes, pruneNodes } from '../prune.ts';
import { keptAfter, type SearchState } from '../pruneSearch.ts';
import { type FoundCircuitInfo, writerEffects } from '../selectEdges.ts';
import { checkAblation, checkAnswer, circuitParams } from './circuitParams.ts';
import { circuitGraph, circuitValues, nodeMatrix, partsTable } from './discoveryPictures.ts';

interface PruneParams {
  readonly metric: MetricSpec;
  readonly ablation: AblationValue;
  readonly by?: 'kl' | 'metric';
  readonly answer?: string;
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
/** The search is one cell, as each decision needs the ones before; it goes on where it was left. */
const CELL = 'search';

function lossOf({ by = 'kl', metric }: PruneParams): MetricSpec {
  return by === 'kl' ? { kind: 'kl' } : metric;
}

function scopeOf(params: PruneParams, method: Method): CircuitScope {
  return method === ACDC ? 'edges' : (params.scope ?? 'heads+mlps');
}

function cells({ task, model }: StepContext, params: PruneParams, method: Method): StepCell[] {
  checkAblation(params.ablation, task);
  checkAnswer(task, params.answer);
  const { nLayers, nHeads } = model.config;
  const tried = method === ACDC ? new EdgeGraph(model.config).edges : nLayers * (nHeads + 1);
  return [{ id: CELL, passes: Math.min(params.maxPasses ?? Number.POSITIVE_INFINITY, 3 + tried / 2) }];
}

/** What a found circuit says of itself. */
function infoOf({ model, task }: StepContext, params: PruneParams, method: Method): FoundCircuitInfo {
  const { ablation, answer, threshold = DEFAULT_THRESHOLD } = params;
  const about = { method: method.name, metric: lossOf(params), ...(answer !== undefined && { answer }), threshold };
  return {
    name: `${method.name}, threshold ${threshold}`,
    model: { ref: model.info.ref, hash: model.info.hash },
    ablation,
    provenance: { ...about, scope: scopeOf(params, method), rows: task.items.length, data: task.hash },
  };
}

/** What the cell leaves on its way. */
interface Left {
  readonly search: SearchState;
  readonly forwardPasses: number;
}

async function run(context: StepContext, params: PruneParams, method: Method): Promise<CellResult> {
  const { runner, task, memoryBytes, seed, checkpoint } = context;
  const { ablation, answer, threshold = DEFAULT_THRESHOLD, maxPasses = Number.POSITIVE_INFINITY } = params;
  const options = { scope: scopeOf(params, method), ablation, metric: lossOf(params), memoryBytes, seed } as const;
  const evaluator = await CircuitEvaluator.create(runner, task, options, { ...context, onProgress: undefined });
  try {
    const left = (checkpoint?.left ?? undefined) as Left | undefined;
    const cost = () => (left?.forwardPasses ?? 0) + evaluator.passes * task.items.length;
    const reached = (state: () => SearchState) =>
      checkpoint?.reached(() => ({ search: state(), forwardPasses: cost() })) ?? Promise.resolve();
    const search = method === ACDC ? acdc : pruneNodes;
    const found = await search(evaluator, { threshold, maxPasses, answer }, infoOf(context, params, method), {
      ...{ ...context, left: left?.search, reached },
    });
    const { circuit, effects, complete, passes } = found;
    return { circuit, tried: effects, complete, passes, forwardPasses: cost() };
  } finally {
    await evaluator.release();
  }
}

/** A search as far as it is. */
interface Found {
  readonly circuit: CircuitFile;
  readonly tried: SearchState['effects'];
  /** False where the budget ended it. */
  readonly complete: boolean;
  /** Forward passes of the data that trying took. */
  readonly passes: number;
}

/** What is known of a search that is still on its way. */
function foundSoFar(context: StepContext, params: PruneParams, method: Method, { search }: Left): Found {
  const { model, task } = context;
  const { threshold = DEFAULT_THRESHOLD } = params;
  const { effects, blocks } = search;
  const info = infoOf(context, params, method);
  const scope = scopeOf(params, method);
  const circuit =
    scope === 'edges'
      ? prunedEdges(new EdgeGraph(model.config), effects, threshold, info)
      : prunedNodes(new NodeSpace(model.config, scope), scope, effects, threshold, info);
  return { circuit, tried: effects, complete: true, passes: blocks / blocksOfPass(model.config, task) };
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

/** What there was to try, what became of it, and what it took. */
interface Counts {
  readonly parts: string;
  readonly all: number;
  readonly decided: number;
  readonly gone: number;
  readonly passes: number;
  readonly budget: number | null;
}

function countsOf({ model }: StepContext, params: PruneParams, method: Method, { tried, passes }: Found): Counts {
  const { nLayers, nHeads } = model.config;
  const { threshold = DEFAULT_THRESHOLD, maxPasses = null } = params;
  const nodes = params.scope === 'heads' ? nLayers * nHeads : nLayers * (nHeads + 1);
  return {
    parts: method === ACDC ? 'edges' : params.scope === 'heads' ? 'heads' : 'heads and MLPs',
    all: method === ACDC ? tried.length : nodes,
    decided: tried.filter((effect) => effect !== null).length,
    gone: keptAfter(tried, threshold).filter((kept) => kept === 0).length,
    passes,
    budget: maxPasses,
  };
}

function countsTable({ parts, all, decided, gone, passes, budget }: Counts): TablePicture {
  const inTenths = (value: number) => value.toFixed(1);
  const rows = [
    [`${parts} of the model`, count(all)],
    ['decided', count(decided)],
    ['of these out', count(gone)],
    ['still in', count(all - gone)],
    ['forward passes of the data so far', inTenths(passes)],
    ...(budget === null ? [] : [['forward passes left of the budget', inTenths(Math.max(0, budget - passes))]]),
  ];
  return {
    ...{ type: 'table', id: 'search', title: 'The search in numbers', rows },
    subtitle: 'Passes: of trying alone; lower layers that do not change are not run again.',
    columns: [{ name: 'of the search' }, { name: 'number' }],
  };
}

function titleOf(method: Method, { circuit }: Found, { all, decided, gone, parts }: Counts, over: boolean): string {
  if (!over) return `${method.title}: ${decided} of ${all} ${parts} decided, ${gone} out`;
  const edges = circuit.edges === undefined ? '' : `${circuit.edges.length} edges between `;
  return `${method.title} keeps ${edges}${circuit.nodes.length} heads and MLPs`;
}

function assemble(
  context: StepContext,
  params: PruneParams,
  method: Method,
  results: ReadonlyMap<string, CellResult>,
  unfinished: ReadonlyMap<string, CellResult> = new Map(),
): StepResult {
  const { task } = context;
  const { ablation: value, answer, threshold = DEFAULT_THRESHOLD } = params;
  const { label, unit } = metricWords({ ...lossOf(params), normalize: undefined });
  const ablation = ablationWords(value);
  const of = answer === undefined ? '' : `, answer ${answer}`;
  const subtitle = `${label}${of}, threshold ${threshold} ${unit} (${method.source}) · ${task.name} · n = ${task.items.length} · ablated: ${ablation}`;
  const over = results.get(CELL) as unknown as Found | undefined;
  const left = unfinished.get(CELL) as unknown as Left | undefined;
  const found = over ?? (left && foundSoFar(context, params, method, left));
  if (found === undefined) return { title: method.title, subtitle, pictures: [], values: {}, warnings: [], ablation };
  const { circuit, complete, passes } = found;
  const counts = countsOf(context, params, method, found);
  const effect = `Effect: by how much the loss (${label}) rose when it was tried, given all that had gone before it.`;
  const stopped = `The search stopped after ${Math.round(passes * 100) / 100} forward passes, its budget: ${counts.decided} of ${counts.all} ${counts.parts} are decided; what was not tried is kept.`;
  return {
    title: titleOf(method, found, counts, over !== undefined),
    subtitle,
    pictures: [
      circuitGraph(circuit, context.model.config.nLayers, {
        title: over === undefined ? 'What is left of the model so far' : 'The circuit',
        lines:
          method === ACDC
            ? 'Lines: edges that stay; the wider, the more the loss rises without them.'
            : 'Lines to the logits: the wider, the more the loss rises without the node.',
        unit,
      }),
      matrix(context, found, unit, method, params.scope !== 'heads'),
      countsTable(counts),
      partsTable(circuit, unit, effect),
    ],
    values: { ...circuitValues(circuit), decided: counts.decided, passes },
    warnings: complete ? [] : [stopped],
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
  answer: circuitParams.answer,
  threshold: {
    ...{ type: 'number', exclusiveMinimum: 0, default: DEFAULT_THRESHOLD },
    description: 'A part goes when the loss rises by less than this without it; nats for kl, else the metric’s unit.',
  },
  maxPasses: {
    ...{ type: 'number', exclusiveMinimum: 0 },
    description: 'Forward passes of the data after which the search stops; default: no limit.',
  },
} as const;

/** ACDC as a step; the search is one cell, which goes on where it was left. */
export const discoverAcdc: StepKind<PruneParams> = {
  name: 'discover-acdc',
  version: 2,
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
  assemble: (context, params, ...cells) => assemble(context, params, ACDC, ...cells),
};

/** Backward greedy pruning of nodes as a step; the search is one cell, which goes on where it was left. */
export const discoverGreedy: StepKind<PruneParams> = {
  name: 'discover-greedy',
  version: 2,
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
  assemble: (context, params, ...cells) => assemble(context, params, GREEDY, ...cells),
};
