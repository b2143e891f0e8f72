import type { PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { BaseRun, Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { type HeadChange, pickHeads, streamAfterHeads } from './gridHeads.ts';
import {
  type CellRun,
  type GroupRuns,
  headAxis,
  layerAxis,
  type SweepPlan,
  sourceOf,
  startPositions,
} from './gridPlan.ts';
import type { StreamSite } from './patchStreams.ts';

export type HeadSite = Exclude<PatchSite, StreamSite>;

/** The hook of the queries that the scores are made from. */
export function queryHook({ positions }: ModelConfig): BlockHook {
  return positions.kind === 'rotary' ? 'attn.hook_rot_q' : 'attn.hook_q';
}

/** True where a key-value head is patched. */
export const byKey = (site: HeadSite) => site === 'k' || site === 'v';

/** Keys or values of the key-value head of each cell, `[cells, keys, d_head]`. */
function pickKeys(
  run: BaseRun,
  layer: number,
  part: 'keys' | 'values',
  cells: readonly CellRun[],
  keyValueHeads: readonly number[],
): Float32Array {
  const { nKeyValueHeads, dHead } = run.runner.config;
  const all = run.keysValuesOf(layer)[part];
  const size = run.count * dHead;
  const result = new Float32Array(cells.length * size);
  cells.forEach((cell, i) => {
    const from = (cell.item * nKeyValueHeads + keyValueHeads[i]) * size;
    result.set(all.subarray(from, from + size), i * size);
  });
  return result;
}

/** Writes some positions of `source` over those of `target`, both `[cells, pos, width]`; null: all. */
function takePositions(
  target: Float32Array,
  source: Float32Array,
  cells: number,
  width: number,
  at: readonly number[] | null,
): Float32Array {
  if (at === null) return source;
  const size = target.length / cells;
  for (let cell = 0; cell < cells; cell += 1) {
    for (const position of at) {
      const from = cell * size + position * width;
      target.set(source.subarray(from, from + width), from);
    }
  }
  return target;
}

/** Heads of one layer that are patched. */
export interface PatchedHeads {
  readonly layer: number;
  readonly cells: readonly CellRun[];
  /** The head of each cell; for k and v its key-value head. */
  readonly heads: readonly number[];
  /** Absolute positions whose z is wanted. */
  readonly positions: readonly number[];
  /** k and v: positions whose keys or values are taken; null: all. */
  readonly keys: readonly number[] | null;
}

/** How z of the cells' heads changes with one of its ingredients taken from the source, `[cells, positions, width]`. */
export async function headChange(
  site: HeadSite,
  stack: SweepStack,
  runs: GroupRuns,
  patched: PatchedHeads,
  context: ClimbContext,
): Promise<HeadChange> {
  const { layer, cells, heads, positions } = patched;
  const width = headWidth(site, stack.config);
  const dz = await patchedHeads(site, stack, runs, patched, context);
  const own = pickHeads(runs.base.at(layer, 'attn.hook_z'), runs, cells, positions, heads, width);
  for (let i = 0; i < dz.length; i += 1) dz[i] -= own[i];
  return { layer, cells, heads, positions, dz, width };
}

/** Width of the z that one patched head changes: d_head, for a key or value of all heads that read it. */
function headWidth(site: HeadSite, { nHeads, nKeyValueHeads, dHead }: ModelConfig): number {
  return (byKey(site) ? nHeads / nKeyValueHeads : 1) * dHead;
}

async function patchedHeads(
  site: HeadSite,
  stack: SweepStack,
  runs: GroupRuns,
  { layer, cells, heads, positions, keys: at }: PatchedHeads,
  context: ClimbContext,
): Promise<Float32Array> {
  const { config } = stack;
  const { base } = runs;
  const source = sourceOf(runs);
  const perKey = config.nHeads / config.nKeyValueHeads;
  const pick = (run: BaseRun, hook: BlockHook) =>
    pickHeads(run.at(layer, hook), runs, cells, positions, heads, headWidth(site, config));
  if (site === 'z') return pick(source, 'attn.hook_z');
  const keyValueHeads = heads.map((head) => (byKey(site) ? head : Math.floor(head / perKey)));
  const keys = (part: 'keys' | 'values', ...sites: HeadSite[]) => {
    const own = pickKeys(sites.includes(site) ? source : base, layer, part, cells, keyValueHeads);
    if (!byKey(site) || !sites.includes(site)) return own;
    const before = pickKeys(base, layer, part, cells, keyValueHeads);
    const present = at?.filter((position) => position < base.count) ?? null;
    return takePositions(before, own, cells.length, config.dHead, present);
  };
  const inputs = {
    q: pick(site === 'q' || site === 'pattern' ? source : base, queryHook(config)),
    k: keys('keys', 'k', 'pattern'),
    v: keys('values', 'v'),
  };
  return await stack.attend(layer, cells.length, inputs, positions, context);
}

/** Sets the changes of positions that are not patched to 0. `[cells, positions, width]` */
function onlyAt(dz: Float32Array, cells: number, positions: readonly number[], at: readonly number[]): void {
  const width = dz.length / (cells * positions.length);
  for (let row = 0; row < cells * positions.length; row += 1) {
    if (!at.includes(positions[row % positions.length])) dz.fill(0, row * width, (row + 1) * width);
  }
}

/** What the unchanged runs must hold for patching a head site; `base` beside keys, values and streams. */
export function keptForHeads(
  site: HeadSite,
  config: ModelConfig,
): { readonly base: BlockHook[]; readonly source: Kept } {
  const query: BlockHook[] = site === 'z' ? [] : [queryHook(config)];
  const hooks = site === 'z' ? (['attn.hook_z'] as const) : byKey(site) ? [] : query;
  const keysValues = byKey(site) || site === 'pattern';
  return {
    base: ['attn.hook_z', ...(config.parallelResidual ? [] : ['hook_resid_mid' as const]), ...query],
    source: { hooks, keysValues, residuals: false },
  };
}

/** `key-value head` where query heads share keys. */
export function headNoun(site: HeadSite, { nHeads, nKeyValueHeads }: ModelConfig): string {
  return byKey(site) && nKeyValueHeads < nHeads ? 'key-value head' : 'head';
}

/**
 * A grid of layers and heads.
 * @param at positions at which a head is patched: queries for q, z and pattern, keys for k and v. Null: all
 * @param firstChange first position at which the two runs' tokens differ: nothing differs before
 */
export function headPlan(
  site: HeadSite,
  at: readonly number[] | null,
  firstChange: number,
  config: ModelConfig,
): Pick<SweepPlan, 'axes' | 'start' | 'rows' | 'kept'> {
  const { nLayers, nHeads, nKeyValueHeads, parallelResidual } = config;
  const { base, source } = keptForHeads(site, config);
  const first = Math.min(...(at?.filter((position) => position >= firstChange) ?? [firstChange]));
  return {
    axes: {
      rows: layerAxis(nLayers),
      columns: headAxis(byKey(site) ? nKeyValueHeads : nHeads, headNoun(site, config)),
    },
    kept: {
      base: { hooks: base, keysValues: site !== 'z' || first > 0, residuals: parallelResidual },
      source,
    },
    start: ({ row }, count) => (first < count ? { first, boundary: row + 1 } : null),
    rows: async (stack, runs, start, cells, context) => {
      const positions = startPositions(start, runs);
      const heads = cells.map(({ column }) => column);
      const patched = { layer: start.boundary - 1, cells, heads, positions, keys: at };
      const change = await headChange(site, stack, runs, patched, context);
      if (at !== null && !byKey(site)) onlyAt(change.dz, cells.length, positions, at);
      return await streamAfterHeads(stack, runs, change, context);
    },
  };
}
