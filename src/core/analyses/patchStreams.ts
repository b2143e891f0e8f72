import { MechanistError } from '../../shared/errors.ts';
import type { PatchSite } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { addChange, layerAxis, pickRows, type SweepPlan, sourceOf, startPositions } from './gridPlan.ts';

export type StreamSite = 'resid_pre' | 'resid_mid' | 'resid_post' | 'attn_out' | 'mlp_out';

/** Columns of a grid by position: the absolute positions that each stands for. */
export interface PositionColumns {
  readonly name: string;
  readonly labels: readonly string[];
  readonly positions: readonly (readonly number[])[];
}

/** A position of a run that is patched. */
interface Place {
  /** Row of `[runs, positions]`. */
  readonly row: number;
  readonly item: number;
  readonly position: number;
}

export function isStreamSite(site: PatchSite): site is StreamSite {
  return ['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out'].includes(site);
}

/** `[items, pos, width]` at some places: `[places, width]`. */
function gather(data: Float32Array, { items, count }: BaseRun, places: readonly Place[]): Float32Array {
  const width = data.length / (items * count);
  const result = new Float32Array(places.length * width);
  places.forEach(({ item, position }, i) => {
    const from = (item * count + position) * width;
    result.set(data.subarray(from, from + width), i * width);
  });
  return result;
}

/** The stream after attn_out of some rows was changed, given resid_mid there. */
async function afterAttention(
  stack: SweepStack,
  layer: number,
  mid: Float32Array,
  context: ClimbContext,
): Promise<Float32Array> {
  const out = await stack.mlp(layer, mid, context);
  return mid.map((value, i) => value + out[i]);
}

/** Rows of a cell's start: those of the base run, with the patched positions taken from the source. */
function streamRows(site: StreamSite, config: ModelConfig, columns: PositionColumns | null): SweepPlan['rows'] {
  return async (stack, runs, start, cells, context) => {
    const { base } = runs;
    const source = sourceOf(runs);
    const { boundary } = start;
    const positions = startPositions(start, runs);
    const own = pickRows(base.residual(boundary), base, cells, positions);
    const places = cells.flatMap(({ item, column }, c) =>
      positions.flatMap((position, p) =>
        columns === null || columns.positions[column].includes(position)
          ? [{ row: c * positions.length + p, item, position }]
          : [],
      ),
    );
    if (places.length === 0) return own;
    const rows = await patched(site, config, stack, { base, source }, boundary, places, context);
    places.forEach(({ row }, i) => {
      own.set(rows.subarray(i * config.dModel, (i + 1) * config.dModel), row * config.dModel);
    });
    return own;
  };
}

/** The stream at the boundary after the patch, `[places, d_model]`. */
async function patched(
  site: StreamSite,
  config: ModelConfig,
  stack: SweepStack,
  { base, source }: { readonly base: BaseRun; readonly source: BaseRun },
  boundary: number,
  places: readonly Place[],
  context: ClimbContext,
): Promise<Float32Array> {
  // With the same resid_mid the MLP writes the same, so that resid_post is the source's, too.
  if (site !== 'attn_out' && site !== 'mlp_out') return gather(source.residual(boundary), source, places);
  const [layer, hook] = [boundary - 1, `hook_${site}` as const];
  const direct = site === 'mlp_out' || config.parallelResidual;
  const from = direct ? base.residual(boundary) : base.at(layer, 'hook_resid_mid');
  const [other, mine] = [gather(source.at(layer, hook), source, places), gather(base.at(layer, hook), base, places)];
  const moved = addChange(gather(from, base, places), other, mine);
  return direct ? moved : await afterAttention(stack, layer, moved, context);
}

/**
 * A grid of layers and columns of positions (null: one column, every position).
 * @param firstChange first position at which the two runs' tokens differ: nothing differs before
 * @throws MechanistError `bad-input` for resid_mid in a model that has none
 */
export function streamPlan(
  site: StreamSite,
  columns: PositionColumns | null,
  firstChange: number,
  config: ModelConfig,
): Pick<SweepPlan, 'axes' | 'start' | 'rows' | 'kept'> {
  if (site === 'resid_mid' && config.parallelResidual) {
    throw new MechanistError(
      'bad-input',
      'This model has no resid_mid: attention and MLP both read resid_pre. Patch resid_pre or resid_post.',
    );
  }
  const own: BlockHook[] = site === 'attn_out' || site === 'mlp_out' ? [`hook_${site}`] : [];
  const mid: BlockHook[] = site === 'attn_out' && !config.parallelResidual ? ['hook_resid_mid'] : [];
  const above = site === 'resid_pre' ? 0 : 1;
  return {
    axes: {
      rows: layerAxis(config.nLayers),
      columns: columns ?? { name: 'position', labels: ['all positions'] },
    },
    kept: {
      base: { hooks: [...own, ...mid], keysValues: columns !== null || firstChange > 0, residuals: true },
      source: { hooks: own, keysValues: false, residuals: true },
    },
    start: ({ row, column }, count) => {
      const changed = columns === null ? [firstChange] : columns.positions[column].filter((at) => at >= firstChange);
      const first = Math.min(...changed);
      return first < count ? { first, boundary: row + above } : null;
    },
    rows: streamRows(site, config, columns),
  };
}
