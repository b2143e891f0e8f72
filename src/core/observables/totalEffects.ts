import type { CellRun, GroupRuns } from '../analyses/gridPlan.ts';
import { firstChange } from '../analyses/patch.ts';
import { headPlan } from '../analyses/patchHeads.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import { type ClimbContext, climb } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { MapBatch } from './headsMap.ts';
import { type StreamObservable, streamValue } from './normPullBack.ts';
import { rowAt } from './vectors.ts';

/** `noising`: the corrupted run's z into the clean run. `denoising`: the clean run's into the corrupted run. */
export type PatchDirection = 'noising' | 'denoising';

/** Positions of one batch of runs. */
const POSITIONS = 1024;

async function someRows(
  stack: SweepStack,
  batch: MapBatch,
  observable: StreamObservable,
  direction: PatchDirection,
  context: ClimbContext,
): Promise<number[][][]> {
  const { runner, config } = stack;
  const { nLayers, nHeads, dModel } = config;
  const { position } = batch;
  const tokens = [batch.clean, batch.corrupted].map((rows) =>
    rows.map((ids) => Int32Array.from(ids.slice(0, position + 1))),
  );
  const pairs = tokens[0].map((ids, row) => ({ ids, corruptedIds: tokens[1][row] }));
  const plan = headPlan('z', null, firstChange(pairs), config);
  if (direction === 'denoising') tokens.reverse();
  const base = await BaseRun.run(runner, tokens[0], plan.kept.base, context);
  const source = await BaseRun.run(runner, tokens[1], plan.kept.source ?? plan.kept.base, context);
  const sourceItems = batch.clean.map((_, row) => row);
  const runs: GroupRuns = { base, source, sourceItems, answers: [position] };
  const final = base.residual(nLayers);
  const valueAt = (streams: Float32Array, row: number) =>
    streamValue(runner.finalNorm, observable, rowAt(streams, row, dModel));
  const values = sourceItems.map((row) => valueAt(final, row * (position + 1) + position));
  const effects: number[][][] = [];
  for (let layer = 0; layer < nLayers; layer += 1) {
    const start = plan.start({ row: layer, column: 0 }, position + 1);
    const cells: CellRun[] = Array.from({ length: nHeads }, (_, column) =>
      sourceItems.map((item) => ({ row: layer, column, item })),
    ).flat();
    if (start === null) {
      effects.push(cells.slice(0, nHeads).map(() => sourceItems.map(() => 0)));
      continue;
    }
    const departure = {
      boundary: start.boundary,
      items: cells.map(({ item }) => item),
      rows: () => plan.rows(stack, runs, start, cells, context),
    };
    const streams = await climb(stack, base, start.first, [departure], [position], context);
    const fall = (cell: number) => {
      const own = values[cell % sourceItems.length];
      const now = valueAt(streams, cell);
      return direction === 'noising' ? own - now : now - own;
    };
    effects.push(
      Array.from({ length: nHeads }, (_, head) => sourceItems.map((row) => fall(head * sourceItems.length + row))),
    );
  }
  return effects;
}

/**
 * What patching a head's z at every position does in the whole model, later layers run anew: how much the observable falls (noising)
 * or rises (denoising). `[layer][head][row]`, logits. Two passes a row, and for each head one through the layers above it.
 */
export async function totalEffects(
  stack: SweepStack,
  batch: MapBatch,
  observable: StreamObservable,
  direction: PatchDirection,
  context: ClimbContext,
): Promise<number[][][]> {
  const { nHeads } = stack.config;
  const step = Math.max(1, Math.floor(POSITIONS / (nHeads * (batch.position + 1))));
  const parts: number[][][][] = [];
  for (let first = 0; first < batch.clean.length; first += step) {
    const [clean, corrupted] = [batch.clean, batch.corrupted].map((rows) => rows.slice(first, first + step));
    parts.push(await someRows(stack, { ...batch, clean, corrupted }, observable, direction, context));
  }
  return parts[0].map((heads, layer) => heads.map((_, head) => parts.flatMap((part) => part[layer][head])));
}
