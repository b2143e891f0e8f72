import type { PatchRequest, PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { commonLength, positionLabels, type SweepItem } from '../tasks/gridRequest.ts';
import { type SweepPlan, sourceOf } from './gridPlan.ts';
import { headPlan } from './patchHeads.ts';
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
function firstChange(items: readonly SweepItem[]): number {
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
  const [from, into] = direction === 'denoising' ? ['clean', 'corrupted'] : ['corrupted', 'clean'];
  return {
    ...plan,
    firstOrder: null,
    intervention: `${unitOf(spec)} taken from the ${from} run into the ${into} run`,
    base: direction === 'denoising' ? 'corrupted' : 'clean',
  };
}

function unitOf({ site, columns, at }: PatchSpec): string {
  if (isStreamSite(site))
    return `${site} of each layer ${columns === null ? 'at every position' : `and ${columns.name}`}`;
  const head = site === 'k' || site === 'v' ? 'key-value head' : 'head';
  return `${site} of each ${head} at ${at === null ? 'every position' : 'chosen positions'}`;
}

/**
 * Activation patching (Vig et al. 2020; Meng et al. 2022): at each cell the activation of one site comes from the other run.
 * Streams and module outputs by position or at all positions; q, k, v, z and pattern by head, at all positions.
 * Cost: `patchPlanAt`; a first-order estimate is offered.
 * @throws MechanistError `bad-input`: a site that the model has not, prompts of unlike length by position
 */
export function patchPlan(request: PatchRequest, items: readonly SweepItem[], config: ModelConfig): SweepPlan {
  const { site, direction = 'denoising', byPosition = true } = request;
  const stream = isStreamSite(site);
  if (stream && byPosition) commonLength(items, 'A grid with one column a position');
  const labels = positionLabels(items);
  const columns = stream && byPosition ? { name: 'position', labels, positions: labels.map((_, at) => [at]) } : null;
  const hook = siteHook(site, config);
  const kept = { hooks: [hook], keysValues: false, residuals: false };
  const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
  return {
    ...patchPlanAt({ site, direction, columns, at: null }, items, config),
    firstOrder: {
      hook,
      layers,
      kept: { base: { ...kept, hooks: [] }, source: kept },
      columns: !stream ? 'head' : byPosition ? 'position' : 'all',
      replacement: (runs, layer) => sourceOf(runs).at(layer, hook),
    },
  };
}
