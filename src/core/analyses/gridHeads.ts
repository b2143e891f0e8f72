import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import { type CellRun, type GroupRuns, pickRows } from './gridPlan.ts';

/** z of the heads of each cell, `[cells, positions, heads · d_head]`, from `[items, pos, head · d_head]` of all heads. `heads`: of each cell. */
export function pickHeads(
  z: Float32Array,
  runs: GroupRuns,
  cells: readonly CellRun[],
  positions: readonly number[],
  heads: readonly number[],
  width: number,
): Float32Array {
  const { base } = runs;
  const all = z.length / (base.items * base.count);
  const result = new Float32Array(cells.length * positions.length * width);
  let at = 0;
  cells.forEach(({ item }, i) => {
    for (const position of positions) {
      const from = (item * base.count + position) * all + heads[i] * width;
      result.set(z.subarray(from, from + width), at);
      at += width;
    }
  });
  return result;
}

/** Neighbours that are equal, as `[first, count]`. */
function segments(heads: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  heads.forEach((head, i) => {
    const last = found.at(-1);
    if (last !== undefined && heads[last[0]] === head) last[1] += 1;
    else found.push([i, 1]);
  });
  return found;
}

/**
 * What the change `dz` `[cells, positions, width]` of z writes: `[cells, positions, d_model]`.
 * @param heads of each cell, or the group of heads that a key-value head serves
 */
export async function headDeltas(
  stack: SweepStack,
  layer: number,
  dz: Float32Array,
  heads: readonly number[],
  width: number,
  context: ClimbContext,
): Promise<Float32Array> {
  const parts = segments(heads);
  const distinct = parts.map(([first]) => heads[first]);
  // Cells of one head are one product; heads with as many cells are one run.
  if (parts.every(([, count]) => count === parts[0][1])) {
    return await stack.headDelta(layer, dz, distinct, width, context);
  }
  const perCell = dz.length / heads.length;
  const outPerCell = (perCell / width) * stack.config.dModel;
  const result = new Float32Array(heads.length * outPerCell);
  for (const [first, count] of parts) {
    const some = dz.subarray(first * perCell, (first + count) * perCell);
    const delta = await stack.headDelta(layer, some, [heads[first]], width, context);
    result.set(delta, first * outPerCell);
  }
  return result;
}

/** A change of some heads' z. */
export interface HeadChange {
  readonly layer: number;
  readonly cells: readonly CellRun[];
  /** The head of each cell, or the group of heads that its key-value head serves. */
  readonly heads: readonly number[];
  /** Absolute positions at which z changes. */
  readonly positions: readonly number[];
  /** `[cells, positions, width]` */
  readonly dz: Float32Array;
  /** d_head of one head, or of the heads of a group. */
  readonly width: number;
}

/**
 * The residual stream after a layer in which some heads' z has changed and the MLP, unless parallel, sees it.
 * `[cells, positions, d_model]`. Cost: 1/n_heads of the output map and an MLP.
 */
export async function streamAfterHeads(
  stack: SweepStack,
  { base }: GroupRuns,
  { layer, cells, heads, positions, dz, width }: HeadChange,
  context: ClimbContext,
): Promise<Float32Array> {
  const delta = await headDeltas(stack, layer, dz, heads, width, context);
  if (stack.config.parallelResidual) {
    const post = pickRows(base.residual(layer + 1), base, cells, positions);
    for (let i = 0; i < post.length; i += 1) post[i] += delta[i];
    return post;
  }
  const mid = pickRows(base.at(layer, 'hook_resid_mid'), base, cells, positions);
  for (let i = 0; i < mid.length; i += 1) mid[i] += delta[i];
  const out = await stack.mlp(layer, mid, context);
  for (let i = 0; i < mid.length; i += 1) mid[i] += out[i];
  return mid;
}
