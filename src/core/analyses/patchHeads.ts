import type { PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { BaseRun, Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { pickHeads, streamAfterHeads } from './gridHeads.ts';
import {
  type CellRun,
  type CellStart,
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

const byKey = (site: HeadSite) => site === 'k' || site === 'v';

/** Keys or values of the key-value head of each cell, `[cells, keys, d_head]`. */
function pickKeys(
  run: BaseRun,
  layer: number,
  part: 'keys' | 'values',
  cells: readonly CellRun[],
  keyValueHeadOf: (cell: CellRun) => number,
): Float32Array {
  const { nKeyValueHeads, dHead } = run.runner.config;
  const all = run.keysValuesOf(layer)[part];
  const size = run.count * dHead;
  const result = new Float32Array(cells.length * size);
  cells.forEach((cell, i) => {
    const from = (cell.item * nKeyValueHeads + keyValueHeadOf(cell)) * size;
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

/** z of the cells' heads with one of its ingredients from the source, `[cells, positions, width]`. */
async function patchedHeads(
  site: HeadSite,
  at: readonly number[] | null,
  stack: SweepStack,
  runs: GroupRuns,
  start: CellStart,
  cells: readonly CellRun[],
  context: ClimbContext,
): Promise<Float32Array> {
  const { config } = stack;
  const { base } = runs;
  const source = sourceOf(runs);
  const layer = start.boundary - 1;
  const positions = startPositions(start, runs);
  const perKey = config.nHeads / config.nKeyValueHeads;
  const width = (byKey(site) ? perKey : 1) * config.dHead;
  const heads = (run: BaseRun, hook: BlockHook) =>
    pickHeads(run.at(layer, hook), runs, cells, positions, ({ column }) => column, width);
  if (site === 'z') return heads(source, 'attn.hook_z');
  const keyOf = ({ column }: CellRun) => (byKey(site) ? column : Math.floor(column / perKey));
  const keys = (part: 'keys' | 'values', ...sites: HeadSite[]) => {
    const own = pickKeys(sites.includes(site) ? source : base, layer, part, cells, keyOf);
    if (!byKey(site) || !sites.includes(site)) return own;
    const before = pickKeys(base, layer, part, cells, keyOf);
    const present = at?.filter((position) => position < base.count) ?? null;
    return takePositions(before, own, cells.length, config.dHead, present);
  };
  const inputs = {
    q: heads(site === 'q' || site === 'pattern' ? source : base, queryHook(config)),
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
  const { nLayers, nHeads, nKeyValueHeads, dHead, parallelResidual } = config;
  const width = (byKey(site) ? nHeads / nKeyValueHeads : 1) * dHead;
  const mid: BlockHook[] = parallelResidual ? [] : ['hook_resid_mid'];
  const query: BlockHook[] = site === 'z' ? [] : [queryHook(config)];
  const source: Readonly<Record<HeadSite, Kept>> = {
    z: { hooks: ['attn.hook_z'], keysValues: false, residuals: false },
    q: { hooks: query, keysValues: false, residuals: false },
    k: { hooks: [], keysValues: true, residuals: false },
    v: { hooks: [], keysValues: true, residuals: false },
    pattern: { hooks: query, keysValues: true, residuals: false },
  };
  const grouped = byKey(site) && nKeyValueHeads < nHeads;
  const first = Math.min(...(at?.filter((position) => position >= firstChange) ?? [firstChange]));
  return {
    axes: {
      rows: layerAxis(nLayers),
      columns: byKey(site) ? headAxis(nKeyValueHeads, grouped ? 'key-value head' : 'head') : headAxis(nHeads),
    },
    kept: {
      base: {
        hooks: ['attn.hook_z', ...mid, ...query],
        keysValues: site !== 'z' || first > 0,
        residuals: parallelResidual,
      },
      source: source[site],
    },
    start: ({ row }, count) => (first < count ? { first, boundary: row + 1 } : null),
    rows: async (stack, runs, start, cells, context) => {
      const layer = start.boundary - 1;
      const dz = await patchedHeads(site, at, stack, runs, start, cells, context);
      const positions = startPositions(start, runs);
      const own = pickHeads(runs.base.at(layer, 'attn.hook_z'), runs, cells, positions, ({ column }) => column, width);
      for (let i = 0; i < dz.length; i += 1) dz[i] -= own[i];
      if (at !== null && !byKey(site)) onlyAt(dz, cells.length, positions, at);
      return await streamAfterHeads(stack, runs, start, cells, dz, width, context);
    },
  };
}
