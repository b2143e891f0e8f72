import type { CircuitFile } from '../../../shared/circuit.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { TaskSet } from '../../../shared/taskSet.ts';
import type { CellResult, StepContext, StepResult } from '../../experiments/stepKind.ts';
import { metricWords } from '../../tasks/metrics.ts';
import { type NodeKind, nodeAttribution, strongestNodes } from '../nodeAttribution.ts';
import { circuitGraph, circuitValues, nodeMatrix, partsTable } from './discoveryPictures.ts';

/** Parameters of attribution patching by nodes. */
export interface NodeParams {
  readonly corruption: string;
  readonly metric: MetricSpec;
  readonly answer?: string;
  readonly nodes: readonly NodeKind[];
  readonly top?: number;
}

export const DEFAULT_TOP = 20;

/** Scores of the nodes on some rows. */
export async function runNodes(context: StepContext, task: TaskSet, params: NodeParams): Promise<CellResult> {
  const { corruption, metric, answer, nodes: kinds } = params;
  const options = { corruption, metric, answer, kinds, memoryBytes: context.memoryBytes };
  const { scores, rows, passes } = await nodeAttribution(context.runner, task, options, context);
  const nodes = Object.fromEntries([...scores].map(([kind, values]) => [kind, Array.from(values)]));
  return { nodes, rows, forwardPasses: passes * rows };
}

/** Mean of the cells' scores, by rows. */
function meanScores(kinds: readonly NodeKind[], results: ReadonlyMap<string, CellResult>) {
  const all = [...results.values()];
  const rows = all.reduce((sum, result) => sum + Number(result.rows), 0);
  const scores = new Map<NodeKind, Float64Array>();
  for (const kind of kinds) {
    for (const result of all) {
      const own = (result.nodes as Readonly<Record<NodeKind, readonly number[]>>)[kind];
      const sums = scores.get(kind) ?? new Float64Array(own.length);
      scores.set(kind, sums);
      for (let i = 0; i < own.length; i += 1) sums[i] += (own[i] * Number(result.rows)) / rows;
    }
  }
  return { scores, rows };
}

const WORDS: Readonly<Record<NodeKind, string>> = { heads: 'heads', mlps: 'MLPs', neurons: 'neurons' };

/** The strongest nodes as a circuit, to be tested. */
export function assembleNodes(
  context: StepContext,
  params: NodeParams,
  results: ReadonlyMap<string, CellResult>,
): StepResult {
  const { model, task } = context;
  const { corruption, metric, answer, nodes: kinds, top = DEFAULT_TOP } = params;
  const { scores, rows } = meanScores(kinds, results);
  const { label, unit } = metricWords({ ...metric, normalize: undefined });
  const of = answer === undefined ? 'mean over the answers' : `answer ${answer}`;
  const subtitle = `${label}, ${of} · ${task.name} · n = ${rows} · to first order; corruption ${corruption}`;
  const ablation = `the same row corrupted by ${corruption}`;
  const title = 'Attribution patching of nodes';
  if (rows === 0) return { title, subtitle, pictures: [], values: {}, warnings: [], ablation };
  const { nLayers, nHeads } = model.config;
  const nodes = strongestNodes(scores, nLayers, top);
  const circuit: CircuitFile = {
    ...{ schemaVersion: 1, kind: 'circuit', name: `attribution, ${nodes.length} nodes` },
    model: { ref: model.info.ref, hash: model.info.hash },
    ...{ scope: 'heads+mlps', nodes, ablation: { kind: 'resample', corruption } },
    provenance: {
      ...{ method: 'attribution patching of nodes', metric, ...(answer !== undefined && { answer }), corruption },
      ...{ nodes: kinds, top, rows, data: task.hash },
    },
  };
  const effect = 'Effect: the metric of the clean run less that with the node corrupted, to first order.';
  const [heads, mlps] = [scores.get('heads'), scores.get('mlps')];
  const matrix = nodeMatrix(
    model.config,
    (layer, head) => (head === 'mlp' ? mlps?.[layer] : heads?.[layer * nHeads + head]) ?? null,
    {
      ...{ id: 'nodes', unit, mlps: mlps !== undefined, title: 'What each head and MLP does' },
      subtitle: `${effect} Mean over the prompts; n = ${rows}.`,
    },
  );
  const neurons = nodes.filter(({ node }) => node.startsWith('N')).length;
  const words = kinds.map((kind) => WORDS[kind]).join(', ');
  return {
    title: `${title}: the ${nodes.length} strongest of ${words}${neurons > 0 ? `, ${neurons} of them neurons` : ''}`,
    subtitle,
    pictures: [
      circuitGraph(circuit, nLayers, {
        ...{ title: 'The circuit', unit },
        lines: 'Lines to the logits: the wider, the stronger; dashed where the node lowers the metric.',
      }),
      ...(heads === undefined && mlps === undefined ? [] : [matrix]),
      partsTable(circuit, unit, effect),
    ],
    values: circuitValues(circuit),
    warnings: [],
    ablation,
    circuit,
  };
}
