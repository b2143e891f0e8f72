import { concatenate } from '../keysValues.ts';
import type { RunContext } from '../modelRunner.ts';
import { checkFinite } from '../nonFinite.ts';
import type { BaseRun } from './baseRun.ts';
import { bundlesOf, reorder } from './sharedPast.ts';
import type { SweepStack } from './sweepStack.ts';

export interface ClimbContext extends RunContext {
  /** Lets other questions to the engine go first; awaited between blocks. */
  readonly giveWay?: () => Promise<void>;
}

/** Runs that leave the base run at the same place. */
export interface Departure {
  /** Layer before which the residual stream is another; `nLayers`: after the last. */
  readonly boundary: number;
  /** Item of the base run for each run. */
  readonly items: readonly number[];
  /** Residual stream at the boundary, `[runs, pos − first, d_model]`; after the last layer only `[runs, answers, d_model]`. */
  readonly rows: () => Promise<Float32Array>;
}

async function allRows(departures: readonly Departure[]): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const { rows, boundary } of departures) {
    const hook = boundary === 0 ? 'blocks.0.hook_resid_pre' : `blocks.${boundary - 1}.hook_resid_post`;
    parts.push(checkFinite(await rows(), hook));
  }
  return concatenate(parts);
}

/** resid_post of every new position. Behind a past, runs of one prompt go as one, so that its keys and values are there once. */
async function wholeBlock(
  stack: SweepStack,
  base: BaseRun,
  layer: number,
  runs: { readonly x: Float32Array; readonly items: readonly number[]; readonly count: number; readonly first: number },
  context: ClimbContext,
): Promise<Float32Array> {
  const { x, items, count, first: start } = runs;
  const bundles = start === 0 ? null : bundlesOf(items, count);
  if (bundles === null) {
    const block = { x, items: items.length, count, start, past: base.past(layer, start, items) };
    return await stack.block(layer, block, context);
  }
  const { order, copies } = bundles;
  const block = {
    x: reorder(x, order, 'bundle'),
    items: bundles.items.length,
    count,
    start,
    past: base.past(layer, start, bundles.items),
  };
  return reorder(await stack.bundledBlock(layer, block, copies, context), order, 'unbundle');
}

/**
 * Takes runs that leave the base run at several layers to the top, together: each joins the batch at its boundary. Only
 * positions from `first` on are computed, and in the last block only the answer's.
 * @param departures ordered by boundary; those after the last layer come alone
 * @param answers absolute positions of which the final stream is wanted, for every run; those before `first` are the base run's
 * @returns `[runs, answers, d_model]`
 * @throws MechanistError `model-corrupt` naming the first hook point with a NaN or infinity
 */
export async function climb(
  stack: SweepStack,
  base: BaseRun,
  first: number,
  departures: readonly Departure[],
  answers: readonly number[],
  context: ClimbContext,
): Promise<Float32Array> {
  const { nLayers, dModel } = stack.config;
  if (departures[0].boundary === nLayers) return await allRows(departures);
  const count = base.count - first;
  const rows = answers.map((position) => position - first);
  const reduced = rows.length < count && rows.every((row) => row >= 0);
  let x: Float32Array = new Float32Array(0);
  let items: number[] = [];
  for (let layer = departures[0].boundary; layer < nLayers; layer += 1) {
    const joining = departures.filter(({ boundary }) => boundary === layer);
    x = concatenate([x, await allRows(joining)]);
    items = [...items, ...joining.flatMap((departure) => departure.items)];
    await context.giveWay?.();
    if (reduced && layer === nLayers - 1) {
      const block = { x, items: items.length, count, start: first, past: base.past(layer, first, items) };
      x = await stack.tail(layer, block, rows, context);
    } else {
      x = await wholeBlock(stack, base, layer, { x, items, count, first }, context);
    }
  }
  if (reduced) return x;
  const final = base.residual(nLayers);
  const result = new Float32Array(items.length * rows.length * dModel);
  items.forEach((item, run) => {
    rows.forEach((row, i) => {
      const [data, at] = row < 0 ? [final, item * base.count + answers[i]] : [x, run * count + row];
      result.set(data.subarray(at * dModel, (at + 1) * dModel), (run * rows.length + i) * dModel);
    });
  });
  return result;
}
