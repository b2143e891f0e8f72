import type { GridDocument } from '../../shared/gridDocument.ts';
import type { Kept } from '../engine/sweeps/baseRun.ts';
import type { GridPlace, SweepPlan } from './gridPlan.ts';
import type { GridState } from './gridState.ts';

/** How many cells are verified unless somebody says. */
export const DEFAULT_VERIFIED = 20;
/** Largest effects that the estimate is judged by. */
const JUDGED = 10;

function union(a: Kept, b: Kept): Kept {
  const layers =
    a.layers === undefined || b.layers === undefined ? {} : { layers: [...new Set([...a.layers, ...b.layers])] };
  return {
    hooks: [...new Set([...a.hooks, ...b.hooks])],
    ...layers,
    keysValues: a.keysValues || b.keysValues,
    residuals: a.residuals || b.residuals,
  };
}

/** The plan, its unchanged runs holding what the method needs. */
export function planFor(plan: SweepPlan, method: GridDocument['method']): SweepPlan {
  const { kept, firstOrder } = plan;
  if (method === 'exact' || firstOrder === null) return { ...plan, firstOrder: null };
  // The estimate starts from the unchanged run: its streams, and what stands at the hook.
  const { hook, layers } = firstOrder;
  const own = union(firstOrder.kept.base, { hooks: [hook], layers, keysValues: false, residuals: true });
  if (method === 'attribution') return { ...plan, kept: { base: own, source: firstOrder.kept.source } };
  const { source } = kept;
  const other = firstOrder.kept.source;
  return {
    ...plan,
    kept: {
      base: union(kept.base, own),
      source: source === null || other === null ? (source ?? other) : union(source, other),
    },
  };
}

/** Cells by the size of their effect, largest first. */
export function bySize(places: readonly GridPlace[], state: GridState, base: number): GridPlace[] {
  const size = (place: GridPlace) => Math.abs(state.mean(place) - base);
  return [...places].sort((a, b) => size(b) - size(a));
}

/** How well the estimate ranks, judged by the cells that were run. */
export function judgeScreening(
  verified: readonly GridPlace[],
  state: GridState,
  base: number,
): NonNullable<GridDocument['screening']> {
  const top = Math.min(JUDGED, verified.length);
  // `verified` comes in the order of the estimate.
  const estimated = new Set(verified.slice(0, top));
  const found = bySize(verified, state, base)
    .slice(0, top)
    .filter((place) => estimated.has(place));
  return { verified: verified.length, top, recall: top === 0 ? 1 : found.length / top };
}
