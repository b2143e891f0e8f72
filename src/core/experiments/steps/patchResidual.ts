import type { MetricSpec } from '../../../shared/metric.ts';
import { patchPlanAt } from '../../analyses/patch.ts';
import type { StreamSite } from '../../analyses/patchStreams.ts';
import type { StepContext, StepKind } from '../stepKind.ts';
import { paramSchemas } from './paramSchemas.ts';
import { jobOf } from './patchJobs.ts';
import { sweepFigures } from './sweepFigures.ts';
import { layersOf, runSweep, type SweepStep, sweepCells } from './sweepStep.ts';
import { answersOf, columnsOf, corruptionJobs, requireRows } from './taskRows.ts';

interface PatchResidualParams {
  readonly site?: StreamSite;
  readonly corruption: string;
  readonly direction?: 'noising' | 'denoising';
  readonly by?: 'position' | 'role';
  readonly roles?: readonly string[];
  readonly layers?: readonly number[];
  readonly answers?: readonly string[];
  readonly metric: MetricSpec;
}

const name = 'patch-residual';
const defaultSite: StreamSite = 'resid_pre';

/** In words, as a figure says it. */
export function patchWords(direction: 'noising' | 'denoising' = 'noising'): string {
  return direction === 'noising'
    ? 'the corrupted activation in the clean run'
    : 'the clean activation in the corrupted run';
}

function stepOf(context: StepContext, params: PatchResidualParams): SweepStep {
  const { task, model } = context;
  const { site = defaultSite, corruption, direction = 'noising', by, roles, metric } = params;
  requireRows(task);
  const { positionsOf, ...columns } = columnsOf(task, by, roles);
  const jobs = corruptionJobs(task, corruption, answersOf(task, params.answers)).map((job) =>
    jobOf(context, {
      ...job,
      id: job.corruption,
      layout: (item) => `${item.ids.length} ${JSON.stringify(columns.name === 'role' ? positionsOf(item) : null)}`,
      planOf: (item, items) => {
        const positions = positionsOf(item);
        const spec = { site, direction, columns: { ...columns, positions }, at: null };
        return { plan: patchPlanAt(spec, items, model.config), has: positions.map(({ length }) => length > 0) };
      },
    }),
  );
  const layers = layersOf(model.config.nLayers, params.layers);
  return { key: JSON.stringify([name, params]), metric, layers, columns, jobs };
}

/**
 * Activation patching of the residual stream or a module's output, by layer and position or role (Vig et al. 2020; Meng et al.
 * 2022; E1, E4 and E6 of arXiv 2405.04156). A cell is a layer for one corruption; answers of one corruption share its runs.
 * Positions before the first changed token, and layers and positions that a patch cannot reach, are not run.
 */
export const patchResidual: StepKind<PatchResidualParams> = {
  name,
  params: {
    type: 'object',
    description: 'Patches the residual stream between clean and corrupted runs, by layer and position or role.',
    properties: {
      site: {
        enum: ['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out'],
        default: defaultSite,
        description: 'What is taken from the other run.',
      },
      corruption: paramSchemas.corruption,
      direction: paramSchemas.direction,
      by: paramSchemas.by,
      roles: paramSchemas.roles,
      layers: paramSchemas.layers,
      answers: paramSchemas.answers,
      metric: paramSchemas.metric,
    },
    required: ['corruption'],
    additionalProperties: false,
  },
  cells: (context, params) => sweepCells(context, stepOf(context, params)),
  run: (context, params, cell) => runSweep(context, stepOf(context, params), cell),
  assemble: (context, params, results) =>
    sweepFigures(context, stepOf(context, params), results, {
      title: `Patching ${params.site ?? defaultSite} with ${params.corruption}`,
      intervention: patchWords(params.direction),
      warnings: [],
    }),
};
