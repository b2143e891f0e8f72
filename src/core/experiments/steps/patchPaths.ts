import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import { pathPatchPlan } from '../../analyses/pathPatch.ts';
import type { Receiver } from '../../analyses/pathReceivers.ts';
import type { StepContext, StepKind } from '../stepKind.ts';
import { headsOf } from './heads.ts';
import { paramSchemas } from './paramSchemas.ts';
import { jobOf } from './patchJobs.ts';
import { patchWords } from './patchResidual.ts';
import { sweepFigures } from './sweepFigures.ts';
import { layersOf, runSweep, type SweepStep, sweepCells } from './sweepStep.ts';
import { answersOf, corruptionJobs, requireRows } from './taskRows.ts';

interface PatchPathsParams {
  readonly receivers?: readonly string[];
  readonly mlps?: 'frozen' | 'recomputed';
  readonly corruption: string;
  readonly direction?: 'noising' | 'denoising';
  readonly layers?: readonly number[];
  readonly answers?: readonly string[];
  readonly metric: MetricSpec;
}

const name = 'patch-paths';

/** Reads `L9.H6.q`: an input of a head, or of the heads of a circuit. */
function receiversOf(context: StepContext, names: readonly string[]): readonly Receiver[] {
  return names.flatMap((text) => {
    const [, heads, input] = /^(.+)\.([qkv])$/.exec(text) ?? [];
    if (input !== 'q' && input !== 'k' && input !== 'v') {
      throw new MechanistError('bad-input', `"${text}" is no receiver. Write an input of a head, as L9.H6.q.`);
    }
    return headsOf(context, [heads]).map(({ layer, head }) => ({ layer, head, input }));
  });
}

function stepOf(context: StepContext, params: PatchPathsParams): SweepStep {
  const { task, model } = context;
  const { corruption, direction = 'noising', mlps = 'recomputed', metric } = params;
  requireRows(task);
  const receivers = params.receivers === undefined ? ('final' as const) : receiversOf(context, params.receivers);
  const jobs = corruptionJobs(task, corruption, answersOf(task, params.answers)).map((job) =>
    jobOf(context, {
      ...{ ...job, id: job.corruption },
      layout: ({ ids }) => String(ids.length),
      planOf: (_, items) => {
        const plan = pathPatchPlan({ receivers, mlps, direction }, items, model.config);
        return { plan, has: plan.axes.columns.labels.map(() => true) };
      },
    }),
  );
  const { labels } = jobs[0].parts[0].plan.axes.columns;
  const layers = layersOf(model.config.nLayers, params.layers);
  return {
    key: JSON.stringify([name, params]),
    metric,
    layers,
    columns: { name: 'head', labels, names: labels },
    jobs,
  };
}

const RECOMPUTED =
  'MLPs are recomputed, as in the code of arXiv 2405.04156: a "direct" path also runs through the MLPs above the sender, and the effects of several senders do not add up. With mlps: frozen they do.';

/**
 * Path patching from every head to the final stream or to inputs of chosen heads (Wang et al. 2022; Goldowsky-Dill et al.
 * 2023). A cell is a layer of senders for one corruption.
 */
export const patchPaths: StepKind<PatchPathsParams> = {
  name,
  version: 2,
  params: {
    type: 'object',
    description: 'Patches the paths from each head to the final stream, or to the q, k or v of chosen heads.',
    properties: {
      receivers: {
        type: 'array',
        items: { type: 'string' },
        minItems: 1,
        description: 'Where the paths end: inputs of heads, as L9.H6.q. Default: the final residual stream.',
      },
      mlps: {
        enum: ['frozen', 'recomputed'],
        default: 'recomputed',
        description:
          'frozen: MLPs write what they write in the unchanged run. recomputed: paths run through them, too.',
      },
      corruption: paramSchemas.corruption,
      direction: paramSchemas.direction,
      layers: paramSchemas.layers,
      answers: paramSchemas.answers,
      metric: paramSchemas.metric,
    },
    required: ['corruption'],
    additionalProperties: false,
  },
  cells: (context, params) => sweepCells(context, stepOf(context, params)),
  run: (context, params, cell) => runSweep(context, stepOf(context, params), cell),
  assemble: (context, params, results) => {
    const to = params.receivers?.join(', ') ?? 'the final stream';
    const { mlps = 'recomputed' } = params;
    return sweepFigures(context, stepOf(context, params), results, {
      title: `Paths from heads to ${to}, with ${params.corruption}`,
      intervention: `${patchWords(params.direction)} along the path from a head to ${to}, MLPs ${mlps}`,
      warnings: mlps === 'recomputed' ? [RECOMPUTED] : [],
    });
  },
};
