import { MechanistError } from '../../shared/errors.ts';
import type { HeadRef, PatchRequest, PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { commonLength, positionLabels, type SweepItem } from '../tasks/gridRequest.ts';
import { type SweepPlan, sourceOf } from './gridPlan.ts';
import { headPositionsPlan, headsOf } from './patchHeadPositions.ts';
import { type HeadSite, headNoun, headPlan } from './patchHeads.ts';
import { isStreamSite, type PositionColumns, streamPlan } from './patchStreams.ts';

/** What is patched at each cell of a grid. */
export interface PatchSpec {
  readonly site: PatchSite;
  /** `denoising`: clean activation into the corrupted run. `noising`: corrupted activation into the clean run. */
  readonly direction: 'denoising' | 'noising';
  /** Streams and module outputs: what the columns stand for; null: every position in one column. */
  readonly columns: PositionColumns | null;
  /** Heads: positions at which each head is patched (queries for q, z and pattern, keys for k and v); null: all. */
  readonly at: readonly number[] | null;
}

/** First position at which some item's two prompts have different tokens; the length where none has. */
export function firstChange(items: readonly Pick<SweepItem, 'ids' | 'corruptedIds'>[]): number {
  const firsts = items.map(({ ids, corruptedIds }) => {
    const found = corruptedIds === null ? -1 : ids.findIndex((id, position) => id !== corruptedIds[position]);
    return found < 0 ? ids.length : found;
  });
  return Math.min(...firsts);
}

/** Where a site's activation is read. The rotary embedding is linear: before or after it, the first-order effect is one. */
function siteHook(site: PatchSite, { positions }: ModelConfig): BlockHook {
  if (isStreamSite(site)) return `hook_${site}`;
  const rotated = positions.kind === 'rotary' && (site === 'q' || site === 'k');
  return rotated ? `attn.hook_rot_${site}` : `attn.hook_${site}`;
}

/**
 * Activation patching at chosen positions; exact, without an estimate. What lies before the first token that differs is
 * never run. About a quarter of a forward pass a cell by position, half a pass a cell by head, less where prompts differ late.
 * @throws MechanistError `bad-input`: a site that the model has not
 */
export function patchPlanAt(spec: PatchSpec, items: readonly SweepItem[], config: ModelConfig): SweepPlan {
  const { site, direction, columns, at } = spec;
  const first = firstChange(items);
  const plan = isStreamSite(site) ? streamPlan(site, columns, first, config) : headPlan(site, at, first, config);
  return {
    ...plan,
    firstOrder: null,
    intervention: interventionOf(spec, unitOf(spec)),
    base: direction === 'denoising' ? 'corrupted' : 'clean',
  };
}

function interventionOf({ direction }: PatchSpec, what: string): string {
  const [from, into] = direction === 'denoising' ? ['clean', 'corrupted'] : ['corrupted', 'clean'];
  return `${what} taken from the ${from} run into the ${into} run`;
}

function unitOf({ site, columns, at }: PatchSpec): string {
  if (isStreamSite(site))
    return `${site} of each layer ${columns === null ? 'at every position' : `and ${columns.name}`}`;
  const head = site === 'k' || site === 'v' ? 'key-value head' : 'head';
  return `${site} of each ${head} at ${at === null ? 'every position' : 'chosen positions'}`;
}

/**
 * Activation patching (Vig et al. 2020; Meng et al. 2022): at each cell the activation of one site comes from the other run.
 * Streams and module outputs by position or at all positions; q, k, v, z and pattern by head at all positions, or of chosen
 * heads by position. Cost: `patchPlanAt`; a first-order estimate is offered.
 * @throws MechanistError `bad-input`: a site or head that the model has not, prompts of unlike length by position
 */
export function patchPlan(request: PatchRequest, items: readonly SweepItem[], config: ModelConfig): SweepPlan {
  const { site, direction = 'denoising' } = request;
  const stream = isStreamSite(site);
  const { byPosition = stream } = request;
  if (request.heads !== undefined && (stream || !byPosition)) {
    throw new MechanistError('bad-input', 'Heads are chosen for z, q, k, v and pattern by position only.');
  }
  if (stream && byPosition) commonLength(items, 'A grid with one column a position');
  const labels = positionLabels(items);
  const columns = stream && byPosition ? { name: 'position', labels, positions: labels.map((_, at) => [at]) } : null;
  const heads = stream || !byPosition ? null : headsOf(site, request.heads, config);
  const hook = siteHook(site, config);
  const all = Array.from({ length: config.nLayers }, (_, layer) => layer);
  const layers = heads === null ? all : [...new Set(heads.map(({ layer }) => layer))];
  const kept = { hooks: [hook], layers, keysValues: false, residuals: false };
  const spec = { site, direction, columns, at: null };
  return {
    ...patchPlanAt(spec, items, config),
    ...(stream || heads === null ? {} : ofHeads(site, heads, spec, items, config)),
    firstOrder: {
      hook,
      layers,
      heads,
      kept: { base: { ...kept, hooks: [] }, source: kept },
      columns: byPosition ? 'position' : stream ? 'all' : 'head',
      replacement: (runs, layer) => sourceOf(runs).at(layer, hook),
    },
  };
}

function ofHeads(
  site: HeadSite,
  heads: readonly HeadRef[],
  spec: PatchSpec,
  items: readonly SweepItem[],
  config: ModelConfig,
): Partial<SweepPlan> {
  const words = site === 'pattern' ? 'at each query position' : 'at each position';
  return {
    ...headPositionsPlan(site, heads, items, firstChange(items), config),
    intervention: interventionOf(spec, `${site} of each ${headNoun(site, config)} named ${words}`),
  };
}
