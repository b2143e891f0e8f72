import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { StepContext, StepKind } from '../stepKind.ts';
import { headsOf } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { pairPositions, pairsOf, pairsSchema } from './rolePairs.ts';
import { layersWithoutFirst } from './swapBosPlan.ts';
import { swapFigures } from './swapFigures.ts';
import { ROTARY, shownRoles, toSchema } from './swapPositions.ts';
import { type Condition, runSwap, type SwapStep, swapCells } from './swapRuns.ts';
import { answersOf, requireRows } from './taskRows.ts';

interface SwapCombinationParams {
  readonly pairs: readonly (readonly string[])[];
  readonly swapped: readonly string[];
  readonly heads: readonly string[];
  readonly to?: readonly string[];
  readonly answers?: readonly string[];
  readonly renormalise?: boolean;
  readonly queries?: 'all' | 'pair';
  readonly metric: MetricSpec;
}

function stepOf(context: StepContext, params: SwapCombinationParams): SwapStep {
  const { task, model } = context;
  requireRows(task);
  const first = headsOf(context, params.swapped);
  const pairs = pairsOf(task, params.pairs);
  const positions = pairs.flatMap((pair) => task.items.flatMap((item) => pairPositions(item, pair) ?? []));
  const blind = first.find(({ layer }) => layersWithoutFirst(model.config, positions).includes(layer));
  if (blind !== undefined) {
    throw new MechanistError(
      'bad-input',
      `${blind.name} cannot see the first position from where the pair stands: layer ${blind.layer} looks only ${model.config.attention.windows[blind.layer]} back. Leave it out.`,
    );
  }
  const conditions: Condition[] = [
    { name: 'clean', positions: false, first: [] },
    { name: 'positions', positions: true, first: [] },
    { name: 'first', positions: false, first },
    { name: 'both', positions: true, first },
  ];
  return {
    pairs,
    conditions,
    heads: headsOf(context, params.heads),
    to: shownRoles(context, params.pairs, params.to),
    answers: answersOf(task, params.answers),
    metric: params.metric,
    renormalise: params.renormalise ?? false,
    queries: params.queries ?? 'all',
  };
}

function warningsOf({ model }: StepContext, { renormalise, queries = 'all' }: SwapCombinationParams): string[] {
  const warnings: string[] = [];
  if (queries === 'all') {
    warnings.push(
      'As published, the attention of every query to the first position is held at its value in the clean run, exchanged for the pair; with queries: pair only the pair is changed.',
    );
  }
  if (renormalise !== true)
    warnings.push('As published, changed rows of a pattern no longer add up to 1; with renormalise they do.');
  if (model.config.positions.kind !== 'learned') {
    warnings.push(ROTARY);
  }
  return warnings;
}

/**
 * Exchanges position embeddings, attention to the first position in several heads at once, and both (E12 of arXiv 2405.04156).
 * A cell is a pair on 64 rows: five passes.
 */
export const swapCombination: StepKind<SwapCombinationParams> = {
  name: 'swap-combination',
  version: 3,
  params: {
    type: 'object',
    description:
      'Exchanges position embeddings (or rotary angles), attention to the first position in several heads at once, and both: attention and metric.',
    properties: {
      pairs: pairsSchema,
      swapped: {
        ...paramSchemas.heads,
        description:
          'Heads whose attention to the first position is exchanged: L1.H8, a circuit file, or a step swap-bos-attention with a threshold.',
      },
      heads: { ...paramSchemas.heads, description: 'Heads whose attention is shown, as L8.H11, or circuits.' },
      to: toSchema,
      answers: paramSchemas.answers,
      renormalise: {
        type: 'boolean',
        default: false,
        description: 'Divides the changed rows of the patterns by their sums.',
      },
      queries: {
        enum: ['all', 'pair'],
        default: 'all',
        description:
          'all: every query attends to the first position as in the clean run, exchanged for the pair, as published. pair: only the pair is changed.',
      },
      metric: paramSchemas.metric,
    },
    required: ['pairs', 'swapped', 'heads'],
    additionalProperties: false,
  },
  cells: (context, params) => swapCells(context, stepOf(context, params)),
  run: (context, params, cell) => runSwap(context, stepOf(context, params), cell),
  assemble: (context, params, results) =>
    swapFigures(context, stepOf(context, params), results, {
      title: 'Exchanging positions and attention to the first position',
      intervention: `${context.model.config.positions.kind === 'rotary' ? 'rotary positions' : 'position embeddings'}, and attention to the first position in ${headsOf(context, params.swapped).length} heads, exchanged between two roles`,
      warnings: warningsOf(context, params),
    }),
};
