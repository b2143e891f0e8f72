import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import { type CellRun, type CellStart, type GroupRuns, pickRows, startPositions } from './gridPlan.ts';

/** z of the heads of each cell, `[cells, positions, heads · d_head]`, from `[items, pos, head · d_head]` of all heads. */
export function pickHeads(
  z: Float32Array,
  runs: GroupRuns,
  cells: readonly CellRun[],
  positions: readonly number[],
  headOf: (cell: CellRun) => number,
  width: number,
): Float32Array {
  const { base } = runs;
  const all = z.length / (base.items * base.count);
  const result = new Float32Array(cells.length * positions.length * width);
  let at = 0;
  for (const cell of cells) {
    for (const position of positions) {
      const from = (cell.item * base.count + position) * all + headOf(cell) * width;
      result.set(z.subarray(from, from + width), at);
      at += width;
    }
  }
  return result;
}

/** Neighbouring cells of one column, as `[first, count]`. */
function segments(cells: readonly CellRun[]): [number, number][] {
  const found: [number, number][] = [];
  cells.forEach(({ column }, i) => {
    const last = found.at(-1);
    if (last !== undefined && cells[last[0]].column === column) last[1] += 1;
    else found.push([i, 1]);
  });
  return found;
}

/** What the change `dz` `[cells, positions, width]` of the heads of each cell's column writes: `[cells, positions, d_model]`. */
export async function headDeltas(
  stack: SweepStack,
  layer: number,
  dz: Float32Array,
  cells: readonly CellRun[],
  width: number,
  context: ClimbContext,
): Promise<Float32Array> {
  const parts = segments(cells);
  const columns = parts.map(([first]) => cells[first].column);
  // Cells of one head are one product; heads with as many cells are one run.
  if (parts.every(([, count]) => count === parts[0][1])) {
    return await stack.headDelta(layer, dz, columns, width, context);
  }
  const perCell = dz.length / cells.length;
  const outPerCell = (perCell / width) * stack.config.dModel;
  const result = new Float32Array(cells.length * outPerCell);
  for (const [first, count] of parts) {
    const some = dz.subarray(first * perCell, (first + count) * perCell);
    const delta = await stack.headDelta(layer, some, [cells[first].column], width, context);
    result.set(delta, first * outPerCell);
  }
  return result;
}

/**
 * The residual stream after a layer in which some heads' z has changed by `dz` and the MLP, unless parallel, sees it.
 * `[cells, positions, d_model]`. Cost: 1/n_heads of the output map and an MLP.
 */
export async function streamAfterHeads(
  stack: SweepStack,
  runs: GroupRuns,
  start: CellStart,
  cells: readonly CellRun[],
  dz: Float32Array,
  width: number,
  context: ClimbContext,
): Promise<Float32Array> {
  const layer = start.boundary - 1;
  const positions = startPositions(start, runs);
  const delta = await headDeltas(stack, layer, dz, cells, width, context);
  const { base } = runs;
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
