import { MechanistError } from '../../../shared/errors.ts';
import type { MetricSpec } from '../../../shared/metric.ts';
import type { TaskSet } from '../../../shared/taskSet.ts';
import { patchPlanAt } from '../../analyses/patch.ts';
import type { HeadSite } from '../../analyses/patchHeads.ts';
import type { StepContext, StepKind } from '../stepKind.ts';
import { paramSchemas } from './paramSchemas.ts';
import { jobOf } from './patchJobs.ts';
import { patchWords } from './patchResidual.ts';
import { sweepFigures } from './sweepFigures.ts';
import { layersOf, runSweep, type SweepJob, type SweepStep, sweepCells } from './sweepStep.ts';
import { answersOf, corruptionJobs, requireRows, rolesOf } from './taskRows.ts';

interface PatchHeadsParams {
  readonly site?: HeadSite;
  readonly corruption: string;
  readonly direction?: 'noising' | 'denoising';
  readonly at?: readonly string[];
  readonly layers?: readonly number[];
  readonly answers?: readonly string[];
  readonly metric: MetricSpec;
}

const name = 'patch-heads';
const defaultSite: HeadSite = 'z';

/** A role at which heads are patched, for one answer or for all; null: everywhere. */
interface Place {
  readonly role: string | null;
  readonly answers: readonly string[];
}

/** Reads `C3` (for every answer) and `L3@C3` (for the answer L3). */
function placesOf(task: TaskSet, { at, answers }: PatchHeadsParams): readonly Place[] {
  const chosen = answersOf(task, answers);
  if (at === undefined) return [{ role: null, answers: chosen }];
  const places = new Map<string, Set<string>>();
  for (const text of at) {
    const cut = text.lastIndexOf('@');
    const [role] = rolesOf(task, [text.slice(cut + 1)]);
    const own = cut < 0 ? chosen : answersOf(task, [text.slice(0, cut)]);
    places.set(role, new Set([...(places.get(role) ?? []), ...own]));
  }
  if (places.size === 0)
    throw new MechanistError('bad-input', 'at names no role: leave it out to patch at every position.');
  return [...places].map(([role, own]) => ({ role, answers: chosen.filter((answer) => own.has(answer)) }));
}

function jobsOf(context: StepContext, params: PatchHeadsParams): SweepJob[] {
  const { task, model } = context;
  const { site = defaultSite, direction = 'noising', corruption } = params;
  return placesOf(task, params).flatMap(({ role, answers }) =>
    corruptionJobs(task, corruption, answers).map((job) => {
      const suffix = role === null ? '' : `@${role}`;
      return jobOf(context, {
        ...{ ...job, id: `${job.corruption}${suffix}`, suffix },
        layout: ({ ids, roles }) => `${ids.length} ${role === null ? '' : roles[role]?.join()}`,
        planOf: ({ roles }, items) => {
          const at = role === null ? null : (roles[role] ?? []);
          if (at?.length === 0) return null;
          const plan = patchPlanAt({ site, direction, columns: null, at }, items, model.config);
          return { plan, has: plan.axes.columns.labels.map(() => true) };
        },
      });
    }),
  );
}

function stepOf(context: StepContext, params: PatchHeadsParams): SweepStep {
  requireRows(context.task);
  const jobs = jobsOf(context, params);
  const layers = layersOf(context.model.config.nLayers, params.layers);
  const { name: axis, labels } = jobs[0].parts[0].plan.axes.columns;
  const columns = { name: axis, labels, names: labels };
  return { key: JSON.stringify([name, params]), metric: params.metric, layers, columns, jobs };
}

/**
 * Activation patching of single heads, everywhere or at one role (E2 and E5 of arXiv 2405.04156). A cell is a layer for one
 * corruption and role; answers of one corruption share its runs.
 */
export const patchHeads: StepKind<PatchHeadsParams> = {
  name,
  params: {
    type: 'object',
    description: 'Patches single heads between clean and corrupted runs, at every position or at a role.',
    properties: {
      site: {
        enum: ['z', 'q', 'k', 'v', 'pattern'],
        default: defaultSite,
        description: 'What of a head is taken from the other run. k and v are those of a key-value head.',
      },
      corruption: paramSchemas.corruption,
      direction: paramSchemas.direction,
      at: {
        type: 'array',
        items: { type: 'string' },
        minItems: 1,
        description:
          'Roles at which heads are patched (keys for k and v, queries otherwise), one figure each: C3, or L3@C3 for the answer L3 alone. Default: every position at once.',
      },
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
      title: `Patching ${params.site ?? defaultSite} of heads with ${params.corruption}`,
      intervention: patchWords(params.direction),
      warnings: [],
    }),
};
