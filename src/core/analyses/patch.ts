import { MechanistError } from '../../shared/errors.ts';
import type { PatchRequest, PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { BaseRun, Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { commonLength, positionLabels, type SweepItem } from '../tasks/gridRequest.ts';
import { pickHeads, streamAfterHeads } from './gridHeads.ts';
import {
  addChange,
  type CellRun,
  type CellStart,
  type GroupRuns,
  headAxis,
  layerAxis,
  pickRows,
  type SweepPlan,
  startPositions,
} from './gridPlan.ts';

type StreamSite = 'resid_pre' | 'resid_mid' | 'resid_post' | 'attn_out' | 'mlp_out';
type HeadSite = Exclude<PatchSite, StreamSite>;

type Rows = SweepPlan['rows'];

function sourceOf({ source }: GroupRuns): BaseRun {
  if (source === null) throw new Error('There is no run to patch from.');
  return source;
}

/** Rows of `base` with some of the positions taken from `source`; both `[cells, positions, width]`. */
function mix(base: Float32Array, source: Float32Array, cells: number, changed: readonly boolean[]): Float32Array {
  const width = base.length / (cells * changed.length);
  for (let row = 0; row < cells * changed.length; row += 1) {
    if (changed[row % changed.length]) base.set(source.subarray(row * width, (row + 1) * width), row * width);
  }
  return base;
}

/** The stream after attn_out of some rows was changed by `change` `[rows, d_model]`, given resid_mid there. */
async function afterAttention(
  stack: SweepStack,
  layer: number,
  mid: Float32Array,
  context: ClimbContext,
): Promise<Float32Array> {
  const out = await stack.mlp(layer, mid, context);
  return mid.map((value, i) => value + out[i]);
}

/** Rows of a cell's start for sites that are vectors of the residual stream. */
function streamRows(site: StreamSite, config: ModelConfig, everywhere: boolean): Rows {
  return async (stack, runs, start, cells, context) => {
    const { base } = runs;
    const source = sourceOf(runs);
    const { first, boundary } = start;
    const positions = startPositions(start, runs);
    const changed = positions.map((position) => everywhere || position === first);
    const of = (data: Float32Array, run: BaseRun, at: readonly number[] = positions) => pickRows(data, run, cells, at);
    const own = of(base.residual(boundary), base);
    switch (site) {
      // With the same resid_mid the MLP writes the same, so that resid_post is the source's, too.
      case 'resid_pre':
      case 'resid_mid':
      case 'resid_post':
        return mix(own, of(source.residual(boundary), source), cells.length, changed);
      case 'mlp_out':
      case 'attn_out': {
        const [layer, hook] = [boundary - 1, `hook_${site}` as const];
        const there = positions.filter((_, i) => changed[i]);
        if (there.length === 0) return own;
        const [other, mine] = [of(source.at(layer, hook), source, there), of(base.at(layer, hook), base, there)];
        const direct = site === 'mlp_out' || config.parallelResidual;
        const from = direct ? base.residual(boundary) : base.at(layer, 'hook_resid_mid');
        const moved = addChange(of(from, base, there), other, mine);
        const rows = direct ? moved : await afterAttention(stack, layer, moved, context);
        return put(own, rows, cells.length, changed);
      }
    }
  };
}

/** Writes `[cells, chosen positions, width]` to where `changed` says. */
function put(target: Float32Array, rows: Float32Array, cells: number, changed: readonly boolean[]): Float32Array {
  const width = target.length / (cells * changed.length);
  let from = 0;
  for (let row = 0; row < cells * changed.length; row += 1) {
    if (!changed[row % changed.length]) continue;
    target.set(rows.subarray(from, from + width), row * width);
    from += width;
  }
  return target;
}

function streamPlan(
  site: StreamSite,
  everywhere: boolean,
  items: readonly SweepItem[],
  config: ModelConfig,
): Pick<SweepPlan, 'axes' | 'start' | 'rows' | 'kept'> {
  if (site === 'resid_mid' && config.parallelResidual) {
    throw new MechanistError(
      'bad-input',
      'This model has no resid_mid: attention and MLP both read resid_pre. Patch resid_pre or resid_post.',
    );
  }
  if (!everywhere) commonLength(items, 'A grid with one column a position');
  const own: BlockHook[] = site === 'attn_out' || site === 'mlp_out' ? [`hook_${site}`] : [];
  const mid: BlockHook[] = site === 'attn_out' && !config.parallelResidual ? ['hook_resid_mid'] : [];
  const columns = everywhere
    ? { name: 'position', labels: ['all positions'] }
    : { name: 'position', labels: positionLabels(items) };
  const above = site === 'resid_pre' ? 0 : 1;
  return {
    axes: { rows: layerAxis(config.nLayers), columns },
    kept: {
      base: { hooks: [...own, ...mid], keysValues: !everywhere, residuals: true },
      source: { hooks: own, keysValues: false, residuals: true },
    },
    start: ({ row, column }, count) => {
      const first = everywhere ? 0 : column;
      return first < count ? { first, boundary: row + above } : null;
    },
    rows: streamRows(site, config, everywhere),
  };
}

/** The hook of the queries that the scores are made from. */
export function queryHook({ positions }: ModelConfig): BlockHook {
  return positions.kind === 'rotary' ? 'attn.hook_rot_q' : 'attn.hook_q';
}

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

/** z of the cells' heads with one of its ingredients from the source, `[cells, positions, width]`. */
async function patchedHeads(
  site: HeadSite,
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
  const byKey = site === 'k' || site === 'v';
  const width = (byKey ? perKey : 1) * config.dHead;
  const heads = (run: BaseRun, hook: BlockHook) =>
    pickHeads(run.at(layer, hook), runs, cells, positions, ({ column }) => column, width);
  if (site === 'z') return heads(source, 'attn.hook_z');
  const keyOf = ({ column }: CellRun) => (byKey ? column : Math.floor(column / perKey));
  const from = (...sites: HeadSite[]) => (sites.includes(site) ? source : base);
  const inputs = {
    q: heads(from('q', 'pattern'), queryHook(config)),
    k: pickKeys(from('k', 'pattern'), layer, 'keys', cells, keyOf),
    v: pickKeys(from('v'), layer, 'values', cells, keyOf),
  };
  return await stack.attend(layer, cells.length, inputs, positions, context);
}

function headPlan(site: HeadSite, config: ModelConfig): Pick<SweepPlan, 'axes' | 'start' | 'rows' | 'kept'> {
  const { nLayers, nHeads, nKeyValueHeads, dHead, parallelResidual } = config;
  const byKey = site === 'k' || site === 'v';
  const width = (byKey ? nHeads / nKeyValueHeads : 1) * dHead;
  const mid: BlockHook[] = parallelResidual ? [] : ['hook_resid_mid'];
  const query: BlockHook[] = site === 'z' ? [] : [queryHook(config)];
  const source: Readonly<Record<HeadSite, Kept>> = {
    z: { hooks: ['attn.hook_z'], keysValues: false, residuals: false },
    q: { hooks: query, keysValues: false, residuals: false },
    k: { hooks: [], keysValues: true, residuals: false },
    v: { hooks: [], keysValues: true, residuals: false },
    pattern: { hooks: query, keysValues: true, residuals: false },
  };
  const grouped = byKey && nKeyValueHeads < nHeads;
  return {
    axes: {
      rows: layerAxis(nLayers),
      columns: byKey ? headAxis(nKeyValueHeads, grouped ? 'key-value head' : 'head') : headAxis(nHeads),
    },
    kept: {
      base: { hooks: ['attn.hook_z', ...mid, ...query], keysValues: site !== 'z', residuals: parallelResidual },
      source: source[site],
    },
    start: ({ row }) => ({ first: 0, boundary: row + 1 }),
    rows: async (stack, runs, start, cells, context) => {
      const layer = start.boundary - 1;
      const dz = await patchedHeads(site, stack, runs, start, cells, context);
      const positions = startPositions(start, runs);
      const own = pickHeads(runs.base.at(layer, 'attn.hook_z'), runs, cells, positions, ({ column }) => column, width);
      for (let i = 0; i < dz.length; i += 1) dz[i] -= own[i];
      return await streamAfterHeads(stack, runs, start, cells, dz, width, context);
    },
  };
}

function isHeadSite(site: PatchSite): site is HeadSite {
  return site === 'z' || site === 'q' || site === 'k' || site === 'v' || site === 'pattern';
}

/** Where a site's activation is read. The rotary embedding is linear: before or after it, the first-order effect is one. */
function siteHook(site: PatchSite, { positions }: ModelConfig): BlockHook {
  if (!isHeadSite(site)) return `hook_${site}`;
  const rotated = positions.kind === 'rotary' && (site === 'q' || site === 'k');
  return rotated ? `attn.hook_rot_${site}` : `attn.hook_${site}`;
}

/**
 * Activation patching (Vig et al. 2020; Meng et al. 2022): at each cell the activation of one site comes from the other run.
 * Streams and module outputs by position or at all positions; q, k, v, z and pattern by head, at all positions.
 * About a quarter of a forward pass a cell by position, half a pass a cell by head.
 * @throws MechanistError `bad-input`: a site that the model has not, prompts of unlike length by position
 */
export function patchPlan(request: PatchRequest, items: readonly SweepItem[], config: ModelConfig): SweepPlan {
  const { site, direction = 'denoising', byPosition = true } = request;
  const plan = isHeadSite(site) ? headPlan(site, config) : streamPlan(site, !byPosition, items, config);
  const [from, into] = direction === 'denoising' ? ['clean', 'corrupted'] : ['corrupted', 'clean'];
  const unit = isHeadSite(site)
    ? `${site} of each ${site === 'k' || site === 'v' ? 'key-value head' : 'head'} at every position`
    : `${site} of each layer ${byPosition ? 'and position' : 'at every position'}`;
  const hook = siteHook(site, config);
  const kept = { hooks: [hook], keysValues: false, residuals: false };
  const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
  return {
    ...plan,
    firstOrder: {
      hook,
      layers,
      kept: { base: { ...kept, hooks: [] }, source: kept },
      columns: isHeadSite(site) ? 'head' : byPosition ? 'position' : 'all',
      replacement: (runs, layer) => sourceOf(runs).at(layer, hook),
    },
    intervention: `${unit} taken from the ${from} run into the ${into} run`,
    base: direction === 'denoising' ? 'corrupted' : 'clean',
  };
}
