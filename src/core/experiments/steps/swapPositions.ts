import type { MetricSpec } from '../../../shared/metric.ts';
import type { StepContext, StepKind } from '../stepKind.ts';
import { headsOf } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { pairsOf, pairsSchema } from './rolePairs.ts';
import { swapFigures } from './swapFigures.ts';
import { runSwap, type SwapStep, swapCells } from './swapRuns.ts';
import { answersOf, requireRows, rolesOf } from './taskRows.ts';

interface SwapPositionsParams {
  readonly pairs: readonly (readonly string[])[];
  readonly heads: readonly string[];
  readonly to?: readonly string[];
  readonly answers?: readonly string[];
  readonly metric: MetricSpec;
}

/** Schema of the roles that heads attend to. */
export const toSchema = {
  type: 'array',
  items: { type: 'string' },
  description: 'Roles whose attention is shown; default: those of the pairs.',
} as const;

/** The roles that are shown: those named, or those of the pairs. */
export function shownRoles({ task }: StepContext, pairs: readonly (readonly string[])[], to?: readonly string[]) {
  return rolesOf(task, to ?? [...new Set(pairs.flat())]);
}

function stepOf(context: StepContext, params: SwapPositionsParams): SwapStep {
  const { task } = context;
  requireRows(task);
  return {
    pairs: pairsOf(task, params.pairs),
    conditions: [
      { name: 'clean', positions: false, first: [] },
      { name: 'positions', positions: true, first: [] },
    ],
    heads: headsOf(context, params.heads),
    to: shownRoles(context, params.pairs, params.to),
    answers: answersOf(task, params.answers),
    metric: params.metric,
    ...{ renormalise: false, queries: 'all' },
  };
}

const MASK =
  'The tokens stay where they are, and so does what each may attend to: this is not the same as putting the words in another order.';

/** What is exchanged in a model that turns queries and keys by their position. */
export const ROTARY =
  'This model has no position embeddings: the queries and keys of the two tokens are turned by each other’s angles in every head (rotary). Values and MLPs never see a position.';

const isRotary = ({ model }: StepContext) => model.config.positions.kind === 'rotary';

/**
 * Exchanges the position embeddings of two roles (in rotary models: their angles in every head) and shows the attention of heads and the metric before and after (E10 of
 * arXiv 2405.04156). A cell is a pair on 64 rows: two passes.
 */
export const swapPositions: StepKind<SwapPositionsParams> = {
  name: 'swap-positions',
  params: {
    type: 'object',
    description:
      'Exchanges the position embeddings of two roles, or their rotary angles: attention and metric before and after.',
    properties: {
      pairs: pairsSchema,
      heads: paramSchemas.heads,
      to: toSchema,
      answers: paramSchemas.answers,
      metric: paramSchemas.metric,
    },
    required: ['pairs', 'heads'],
    additionalProperties: false,
  },
  cells: (context, params) => swapCells(context, stepOf(context, params)),
  run: (context, params, cell) => runSwap(context, stepOf(context, params), cell),
  assemble: (context, params, results) =>
    swapFigures(context, stepOf(context, params), results, {
      title: isRotary(context) ? 'Exchanging rotary positions' : 'Exchanging position embeddings',
      intervention: `${isRotary(context) ? 'rotary positions' : 'position embeddings'} exchanged between two roles`,
      warnings: [MASK, ...(isRotary(context) ? [ROTARY] : [])],
    }),
};
