import type { CircuitFile } from '../../../shared/circuit.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { CellResult, StepContext, StepKind } from '../stepKind.ts';
import { meanOf } from './estimate.ts';
import { headName } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { jobOf } from './patchJobs.ts';
import { pairPositions, pairsOf, pairsSchema, type RolePair } from './rolePairs.ts';
import { layersWithoutFirst, swapBosPlan } from './swapBosPlan.ts';
import { sweepFigures } from './sweepFigures.ts';
import { layerCell, layersOf, runSweep, type SweepCellResult, type SweepStep, sweepCells } from './sweepStep.ts';
import { answersOf, requireRows } from './taskRows.ts';

interface SwapBosAttentionParams {
  readonly pairs: readonly (readonly string[])[];
  readonly renormalise?: boolean;
  readonly threshold?: number;
  readonly layers?: readonly number[];
  readonly answers?: readonly string[];
  readonly metric: MetricSpec;
}

const name = 'swap-bos-attention';

function stepOf(context: StepContext, params: SwapBosAttentionParams): SweepStep {
  const { task, model } = context;
  requireRows(task);
  const answers = answersOf(task, params.answers);
  const jobs = pairsOf(task, params.pairs).map((pair) => jobOfPair(context, params, pair, answers));
  const labels = Array.from({ length: model.config.nHeads }, (_, head) => `H${head}`);
  return {
    key: JSON.stringify([name, params]),
    metric: params.metric,
    layers: layersOf(model.config.nLayers, params.layers),
    columns: { name: 'head', labels, names: labels },
    jobs,
  };
}

function jobOfPair(
  context: StepContext,
  { renormalise = false }: SwapBosAttentionParams,
  pair: RolePair,
  answers: readonly string[],
) {
  const { config } = context.model;
  return jobOf(context, {
    ...{ id: pair.name, suffix: `.${pair.name}`, answers, corruption: null },
    layout: (item) => `${item.ids.length} ${pairPositions(item, pair)?.join()}`,
    planOf: (item) => {
      const positions = pairPositions(item, pair);
      if (positions === null) return null;
      const has = Array.from({ length: config.nHeads }, () => true);
      return { plan: swapBosPlan({ positions, renormalise }, config), has };
    },
  });
}

/** Layers that leave the first position out of sight, in words. */
function windowWarnings({ task, model }: StepContext, { pairs }: SwapBosAttentionParams): string[] {
  const positions = pairsOf(task, pairs).flatMap((pair) =>
    task.items.flatMap((item) => pairPositions(item, pair) ?? []),
  );
  const layers = layersWithoutFirst(model.config, positions);
  if (layers.length === 0) return [];
  return [
    `In ${layers.map((layer) => `L${layer}`).join(', ')} some of these positions do not see the first one: there nothing is exchanged.`,
  ];
}

/** Heads whose exchange lowers some answer by more than the threshold, lowest first; null while cells are missing. */
function circuitOf(
  { model, task }: StepContext,
  step: SweepStep,
  results: ReadonlyMap<string, CellResult>,
  { pairs, threshold }: SwapBosAttentionParams,
): CircuitFile | undefined {
  if (threshold === undefined) return undefined;
  const lowest = new Map<string, number>();
  for (const job of step.jobs) {
    for (const layer of step.layers) {
      const cell = results.get(layerCell(layer, job)) as SweepCellResult | undefined;
      if (cell === undefined) return undefined;
      for (const answer of job.answers) {
        cell.effects[answer].forEach((values, head) => {
          const mean = meanOf(values.filter((value) => value !== null)) ?? 0;
          const node = headName(layer, head);
          lowest.set(node, Math.min(lowest.get(node) ?? 0, mean));
        });
      }
    }
  }
  const nodes = [...lowest].filter(([, effect]) => effect < -threshold).sort(([, a], [, b]) => a - b);
  return {
    ...{ schemaVersion: 1, kind: 'circuit', name: `heads of ${name}`, scope: 'heads' },
    model: { ref: model.info.ref, hash: model.info.hash },
    nodes: nodes.map(([node, effect]) => ({ node, effect })),
    ablation: { kind: 'mean' },
    provenance: { method: name, pairs, threshold, rows: task.items.length, data: task.hash },
  };
}

const PUBLISHED =
  'The two rows are left as they become, as published: they no longer add up to 1, only both together to 2 (value biases count once all the same, as in the published weights). With renormalise each is divided by its sum.';

/**
 * Exchanges how much two roles attend to the first position, in one head at a time, and says what that does to every answer
 * (E11 of arXiv 2405.04156). With a threshold it finds a circuit: the heads whose exchange lowers some answer by more. A cell
 * is a layer for one pair, all answers from one pass.
 */
export const swapBosAttention: StepKind<SwapBosAttentionParams> = {
  name,
  version: 2,
  params: {
    type: 'object',
    description: 'Exchanges how much two roles attend to the first position, one head at a time.',
    properties: {
      pairs: pairsSchema,
      renormalise: {
        type: 'boolean',
        default: false,
        description: 'Divides the two rows by their new sums; as published they are left as they become.',
      },
      threshold: {
        type: 'number',
        minimum: 0,
        description:
          'The step finds a circuit: the heads whose exchange lowers some answer by more than this, in units of the metric.',
      },
      layers: paramSchemas.layers,
      answers: paramSchemas.answers,
      metric: paramSchemas.metric,
    },
    required: ['pairs'],
    additionalProperties: false,
  },
  cells: (context, params) => sweepCells(context, stepOf(context, params)),
  run: (context, params, cell) => runSweep(context, stepOf(context, params), cell),
  assemble: (context, params, results) => {
    const step = stepOf(context, params);
    const circuit = circuitOf(context, step, results, params);
    const renormalised = params.renormalise === true;
    const figures = sweepFigures(context, step, results, {
      title: 'Exchanging attention to the first position, one head at a time',
      intervention: `attention to the first position exchanged between two roles, ${renormalised ? 'rows renormalised' : 'rows as they become'}`,
      warnings: [...(renormalised ? [] : [PUBLISHED]), ...windowWarnings(context, params)],
    });
    return { ...figures, ...(circuit !== undefined && { circuit }) };
  },
};
