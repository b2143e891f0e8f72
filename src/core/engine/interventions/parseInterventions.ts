import { MechanistError } from '../../../shared/errors.ts';
import type { Intervention, InterventionSite } from '../../../shared/intervention.ts';
import type { ModelConfig } from '../../models/modelConfig.ts';
import { type HookPoint, hookName } from '../hookPoints.ts';
import { checkKind } from './checkKind.ts';
import { type BatchShape, type HookAxes, hookAxes } from './hookAxes.ts';
import { readIntervention } from './readIntervention.ts';
import { sitePoints } from './sitePoints.ts';

/** What a list of interventions is checked against: the batch that it changes, and the runs it may name. */
export interface RunShape extends BatchShape {
  readonly runs: ReadonlyMap<string, BatchShape>;
}

/** Where one intervention acts at one hook point; all indices counted from 0. Absent: all. */
export interface Selection {
  readonly items?: readonly number[];
  readonly positions?: readonly number[];
  readonly heads?: readonly number[];
  readonly neurons?: readonly number[];
}

/** One intervention at one hook point. */
export interface InterventionStep {
  /** Index in the list that was given. */
  readonly index: number;
  readonly point: HookPoint;
  readonly axes: HookAxes;
  readonly selection: Selection;
  readonly intervention: Intervention;
}

/** Interventions that fit a model and a batch, one step per hook point, in the stated order. */
export interface InterventionPlan {
  readonly shape: RunShape;
  readonly steps: readonly InterventionStep[];
  /** Hooks whose values are needed from each run, by its name; null: this batch without interventions. */
  readonly needed: ReadonlyMap<string | null, ReadonlySet<string>>;
  /** First block whose result changes; `nLayers` when only the final norm is touched. */
  readonly firstLayer: number;
  /** First position whose activations change; `length` when there are no interventions. */
  readonly firstPosition: number;
}

/** What is wrong with one intervention of a list. */
export interface InterventionProblem {
  readonly index: number;
  readonly message: string;
  /** Names near to one that is not known. */
  readonly nearest?: readonly string[];
}

export type ParsedInterventions =
  | { readonly plan: InterventionPlan; readonly problems: null }
  | { readonly plan: null; readonly problems: readonly InterventionProblem[] };

/** Indices from 0, each once; negative ones count from the end. */
function indices(given: readonly number[] | undefined, of: number, what: string): readonly number[] | undefined {
  if (given === undefined) return undefined;
  const resolved = given.map((index) => {
    const at = index < 0 && what === 'position' ? index + of : index;
    if (at >= 0 && at < of) return at;
    throw new MechanistError('bad-input', `There is no ${what} ${index}: there are ${of} (0 to ${of - 1}).`);
  });
  return [...new Set(resolved)];
}

function select(site: InterventionSite, point: HookPoint, axes: HookAxes): Selection {
  const name = hookName(point);
  if (site.heads !== undefined && axes.heads === null) {
    throw new MechanistError('bad-input', `${name} has no heads to choose from.`);
  }
  const { dims } = axes;
  const headName = name.endsWith('hook_k') || name.endsWith('hook_v') ? 'key-value head' : 'head';
  const entry = axes.isMap ? 'key' : name.includes('.mlp.hook_p') ? 'neuron' : 'dimension';
  return {
    items: indices(site.items, dims[axes.items], 'item'),
    positions: indices(site.positions, dims[axes.positions], 'position'),
    heads: axes.heads === null ? undefined : indices(site.heads, dims[axes.heads], headName),
    neurons: indices(site.neurons, dims[axes.entries], entry),
  };
}

function stepsOf(intervention: Intervention, index: number, config: ModelConfig, shape: RunShape): InterventionStep[] {
  return sitePoints(intervention.at, config).map((point) => {
    const axes = hookAxes(point, config, shape);
    const step = { index, point, axes, selection: select(intervention.at, point, axes), intervention };
    checkKind(step, config, shape);
    return step;
  });
}

/** The run whose activations a step needs: its name, null for the clean run of this batch, undefined for none. */
export function sourceRun({ intervention }: Pick<InterventionStep, 'intervention'>): string | null | undefined {
  switch (intervention.kind) {
    case 'patch':
      return intervention.from.run;
    case 'mean':
    case 'resample':
    case 'freeze':
      return intervention.of ?? null;
    default:
      return undefined;
  }
}

function firstLayer({ point }: InterventionStep, config: ModelConfig): number {
  if (point.kind === 'global') return point.hook.startsWith('ln_final') ? config.nLayers : 0;
  return point.hook === 'hook_resid_post' ? point.layer + 1 : point.layer;
}

/** The positions that a step writes, from 0. */
function writtenPositions({ intervention, selection, axes }: InterventionStep): readonly number[] {
  const length = axes.dims[axes.positions];
  if (intervention.kind === 'swapPositions') {
    return intervention.pairs.flat().map((position) => (position < 0 ? position + length : position));
  }
  if (intervention.kind === 'editPattern') {
    return intervention.entries.map(({ query }) => (query < 0 ? query + length : query));
  }
  return selection.positions ?? Array.from({ length }, (_, position) => position);
}

function planOf(steps: readonly InterventionStep[], config: ModelConfig, shape: RunShape): InterventionPlan {
  const needed = new Map<string | null, Set<string>>();
  for (const step of steps) {
    const run = sourceRun(step);
    if (run === undefined) continue;
    needed.set(run, (needed.get(run) ?? new Set<string>()).add(hookName(step.point)));
  }
  return {
    shape,
    steps,
    needed,
    firstLayer: Math.min(config.nLayers, ...steps.map((step) => firstLayer(step, config))),
    firstPosition: steps
      .flatMap((step) => writtenPositions(step))
      .reduce((first, position) => Math.min(first, position), shape.length),
  };
}

/**
 * Checks a list of interventions, as data, against a model and the shape of a run.
 * Never throws for what a user wrote: every intervention that is wrong is one problem, with its index in the list.
 */
export function parseInterventions(list: unknown, config: ModelConfig, shape: RunShape): ParsedInterventions {
  if (!Array.isArray(list)) {
    return { plan: null, problems: [{ index: 0, message: 'Interventions are given as a list.' }] };
  }
  const steps: InterventionStep[] = [];
  const problems: InterventionProblem[] = [];
  for (const [index, value] of list.entries()) {
    const intervention = readIntervention(value);
    if (typeof intervention === 'string') {
      problems.push({ index, message: intervention });
      continue;
    }
    try {
      steps.push(...stepsOf(intervention, index, config, shape));
    } catch (error) {
      if (!(error instanceof MechanistError)) throw error;
      const nearest = error.data.nearest as readonly string[] | undefined;
      problems.push({ index, message: error.message, ...(nearest && { nearest }) });
    }
  }
  return problems.length > 0 ? { plan: null, problems } : { plan: planOf(steps, config, shape), problems: null };
}

/**
 * The plan of a list of interventions.
 * @throws MechanistError `bad-input` naming the first intervention that is wrong; `data`: `index`, `problems`, `nearest`
 */
export function planInterventions(list: unknown, config: ModelConfig, shape: RunShape): InterventionPlan {
  const { plan, problems } = parseInterventions(list, config, shape);
  if (plan !== null) return plan;
  const [{ index, message, nearest }] = problems;
  throw new MechanistError('bad-input', `Intervention ${index}: ${message}`, { index, problems, nearest });
}
