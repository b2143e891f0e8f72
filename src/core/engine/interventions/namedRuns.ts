import { MechanistError } from '../../../shared/errors.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { type HookPoint, isAttentionMap, parseHookPoint } from '../hookPoints.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';
import { allFinite } from '../nonFinite.ts';
import { checkTokens } from '../runChecks.ts';
import type { CleanRun } from './cleanRun.ts';
import type { Sources } from './editOps.ts';
import type { BatchShape } from './hookAxes.ts';
import type { InterventionPlan } from './parseInterventions.ts';

/** A run that interventions take values from: tokens `[batch][pos]`, or activations recorded at all its positions. */
export type NamedRun = readonly ArrayLike<number>[] | ReadonlyMap<string, PackedArray>;

export type NamedRuns = Readonly<Record<string, NamedRun>>;

function isRecorded(run: NamedRun): run is ReadonlyMap<string, PackedArray> {
  return run instanceof Map;
}

function recordedShape(name: string, run: ReadonlyMap<string, PackedArray>, runner: ModelRunner): BatchShape {
  const shapes = [...run].map(([hook, { dims }]) => {
    const point: HookPoint = parseHookPoint(hook, runner.config);
    return { batch: dims[0], length: dims[point.kind === 'block' && isAttentionMap(point.hook) ? 2 : 1] };
  });
  const [first] = shapes;
  if (first === undefined || shapes.some(({ batch, length }) => batch !== first.batch || length !== first.length)) {
    throw new MechanistError('bad-input', `The recorded activations of run "${name}" are not all of one run's shape.`);
  }
  return first;
}

/**
 * Batch size and number of tokens of each named run.
 * @throws MechanistError `bad-input`, `prompt-empty`, `prompt-too-long`
 */
export function runShapes(runs: NamedRuns, runner: ModelRunner): ReadonlyMap<string, BatchShape> {
  return new Map(
    Object.entries(runs).map(([name, run]) => [
      name,
      isRecorded(run)
        ? recordedShape(name, run, runner)
        : { batch: run.length, length: checkTokens(runner.config, run) },
    ]),
  );
}

function picked(run: ReadonlyMap<string, PackedArray>, name: string, hooks: ReadonlySet<string>) {
  for (const hook of hooks) {
    const array = run.get(hook);
    if (array === undefined) {
      throw new MechanistError('bad-input', `Run "${name}" was recorded without ${hook}.`, { hook });
    }
    if (!allFinite(array.data)) {
      throw new MechanistError('bad-input', `The recorded values of ${hook} in run "${name}" are not all finite.`, {
        hook,
      });
    }
  }
  return run;
}

/** Runs tokens as far up as the hooks need. */
async function record(
  runner: ModelRunner,
  tokens: readonly ArrayLike<number>[],
  hooks: ReadonlySet<string>,
  context: RunContext,
): Promise<ReadonlyMap<string, PackedArray>> {
  const tops = [...hooks].map((hook) => {
    const point = parseHookPoint(hook, runner.config);
    if (point.kind === 'block') return point.layer + 1;
    return point.hook.startsWith('ln_final') ? runner.config.nLayers : 0;
  });
  const { activations } = await runner.run(tokens, { hooks: [...hooks], toLayer: Math.max(...tops), ...context });
  return activations;
}

/**
 * The values that a plan needs. Each run is executed once, or not at all when it was recorded; only the hooks that are
 * needed are kept. One forward pass a run, up to the last of its hooks.
 * @throws MechanistError `bad-input`, `model-corrupt`, `cancelled`
 */
export async function gatherSources(
  runner: ModelRunner,
  plan: InterventionPlan,
  tokens: readonly ArrayLike<number>[],
  runs: NamedRuns,
  clean: CleanRun | undefined,
  context: RunContext,
): Promise<Sources> {
  const sources = new Map<string | null, ReadonlyMap<string, PackedArray>>();
  for (const [name, hooks] of plan.needed) {
    if (name === null) {
      const known = clean !== undefined && [...hooks].every((hook) => clean.activations.has(hook));
      sources.set(null, known ? clean.activations : await record(runner, tokens, hooks, context));
      continue;
    }
    const run = runs[name];
    sources.set(name, isRecorded(run) ? picked(run, name, hooks) : await record(runner, run, hooks, context));
  }
  return sources;
}
