import type { GridAxis } from '../../shared/gridDocument.ts';
import type { BaseRun, Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { FirstOrder } from './attributionPatch.ts';

export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

/** One run of a sweep: a cell on one prompt. `item` counts within the group. */
export interface CellRun extends GridPlace {
  readonly item: number;
}

/** Prompts of one length and their unchanged runs. Positions after the last answer are left out: no answer depends on them. */
export interface GroupRuns {
  /** The run that is changed. */
  readonly base: BaseRun;
  /** The run that activations are taken from; null where they come from nowhere else. */
  readonly source: BaseRun | null;
  /** Which item of the source each item takes from. */
  readonly sourceItems: readonly number[];
  /** Positions at which some item's answer is read, ascending. */
  readonly answers: readonly number[];
}

/** The run that activations are taken from. */
export function sourceOf({ source }: GroupRuns): BaseRun {
  if (source === null) throw new Error('There is no run to patch from.');
  return source;
}

/** Where a cell leaves the base run. */
export interface CellStart {
  /** First position that changes. */
  readonly first: number;
  /** Layer before which the residual stream has changed; `nLayers`: after the last. */
  readonly boundary: number;
}

/** What an analysis does at each cell of its grid; how the cells are run is the sweep's business. */
export interface SweepPlan {
  readonly axes: { readonly rows: GridAxis; readonly columns: GridAxis };
  /** `z of each head set to zero at every position` */
  readonly intervention: string;
  /** Which run is changed; the other one is the source. */
  readonly base: 'clean' | 'corrupted';
  readonly kept: { readonly base: Kept; readonly source: Kept | null };
  /** Item of the sweep whose unchanged run each item takes activations from; absent: the other run of its own prompt. */
  readonly takesFrom?: readonly number[];
  /** The positions after the answer count, too: for a mean over all positions. */
  readonly wholePrompts?: boolean;
  /** Sees each group before the first cell is run. */
  readonly learn?: (runs: GroupRuns) => void;
  /** How the cells are estimated from one backward pass; null where that is not offered. */
  readonly firstOrder: FirstOrder | null;
  /** Null: the cell cannot change the answer in a run of `count` positions, or does not exist. */
  readonly start: (place: GridPlace, count: number) => CellStart | null;
  /**
   * The changed residual stream at the start of some cells, `[runs, positions, d_model]`: positions from `first` on, or the
   * answers' where the start is after the last layer.
   */
  readonly rows: (
    stack: SweepStack,
    runs: GroupRuns,
    start: CellStart,
    cells: readonly CellRun[],
    context: ClimbContext,
  ) => Promise<Float32Array>;
}

/** Whether the plan compares two runs of each prompt. */
export function hasOtherRun({ kept, takesFrom }: SweepPlan): boolean {
  return kept.source !== null && takesFrom === undefined;
}

/** Absolute positions whose residual stream a cell's start is made of. */
export function startPositions({ first, boundary }: CellStart, runs: GroupRuns): readonly number[] {
  if (boundary === runs.base.runner.config.nLayers) return runs.answers;
  return Array.from({ length: runs.base.count - first }, (_, i) => first + i);
}

/** Chosen positions of chosen items of `[items, pos, width]`: `[cells, positions, width]`. */
export function pickRows(
  data: Float32Array,
  base: BaseRun,
  cells: readonly CellRun[],
  positions: readonly number[],
): Float32Array {
  const width = data.length / (base.items * base.count);
  const result = new Float32Array(cells.length * positions.length * width);
  let at = 0;
  for (const { item } of cells) {
    for (const position of positions) {
      const from = (item * base.count + position) * width;
      result.set(data.subarray(from, from + width), at);
      at += width;
    }
  }
  return result;
}

/** Writes `[cells, chosen positions, width]` to where `changed` says. */
export function putRows(
  target: Float32Array,
  rows: Float32Array,
  cells: number,
  changed: readonly boolean[],
): Float32Array {
  const width = target.length / (cells * changed.length);
  let from = 0;
  for (let row = 0; row < cells * changed.length; row += 1) {
    if (!changed[row % changed.length]) continue;
    target.set(rows.subarray(from, from + width), row * width);
    from += width;
  }
  return target;
}

/** a + b − c, entry by entry, into `a`. */
export function addChange(a: Float32Array, b: Float32Array, c: Float32Array): Float32Array {
  for (let i = 0; i < a.length; i += 1) a[i] += b[i] - c[i];
  return a;
}

/** `L0`, `L1` … */
export function layerAxis(count: number): GridAxis {
  return { name: 'layer', labels: Array.from({ length: count }, (_, layer) => `L${layer}`) };
}

/** `H0`, `H1` … */
export function headAxis(count: number, name = 'head'): GridAxis {
  return { name, labels: Array.from({ length: count }, (_, head) => `H${head}`) };
}
