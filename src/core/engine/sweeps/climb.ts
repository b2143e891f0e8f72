import { concatenate } from '../keysValues.ts';
import type { RunContext } from '../modelRunner.ts';
import { allFinite, checkFinite, isNonFinite, nonFiniteError } from '../nonFinite.ts';
import type { BaseRun } from './baseRun.ts';
import { type Bundles, bundlesOf } from './sharedPast.ts';
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

/** Runs on their way up. They lie where they are needed next: behind a past, those of one prompt next to each other. */
interface Travellers {
  /** Residual stream, `[places, pos − first, d_model]`. */
  readonly x: Float32Array;
  /** Which run is at each place. */
  readonly runs: readonly number[];
  /** Item of the base run at each place. */
  readonly items: readonly number[];
  readonly bundles: Bundles | null;
}

const NOBODY: Travellers = { x: new Float32Array(0), runs: [], items: [], bundles: null };

async function rowsOf({ rows, boundary }: Departure): Promise<Float32Array> {
  const hook = boundary === 0 ? 'blocks.0.hook_resid_pre' : `blocks.${boundary - 1}.hook_resid_post`;
  return checkFinite(await rows(), hook);
}

/** One way to the top. */
class Ascent {
  private readonly count: number;
  /** Streams before and after a block take turns here. */
  private readonly room: readonly Float32Array[];

  /** @param named whether each block is looked through for the first hook with a NaN, or only the end of the way */
  constructor(
    private readonly stack: SweepStack,
    private readonly base: BaseRun,
    private readonly first: number,
    private readonly departures: readonly Departure[],
    private readonly context: ClimbContext,
    private readonly named: boolean,
  ) {
    this.count = base.count - first;
    const runs = departures.reduce((sum, { items }) => sum + items.length, 0);
    this.room = [0, 1].map(() => new Float32Array(runs * this.count * stack.config.dModel));
  }

  /** @returns resid_post of the last layer at `rows` of the new positions, or at all when null: `[runs, rows, d_model]` */
  async run(rows: readonly number[] | null): Promise<Float32Array> {
    const { nLayers } = this.stack.config;
    let all = NOBODY;
    for (let layer = this.departures[0].boundary; layer < nLayers; layer += 1) {
      for (const departure of this.departures) if (departure.boundary === layer) all = await this.join(all, departure);
      await this.context.giveWay?.();
      const x = rows !== null && layer === nLayers - 1 ? await this.tail(all, rows) : await this.block(layer, all);
      all = { ...all, x };
    }
    return inOrder(all);
  }

  /** Behind a past, runs of one prompt go as one, so that its keys and values are there once. */
  private async join(all: Travellers, departure: Departure): Promise<Travellers> {
    const added = await rowsOf(departure);
    const runs = [...all.runs, ...departure.items.map((_, i) => all.runs.length + i)];
    const items = [...all.items, ...departure.items];
    const bundles = this.first === 0 ? null : bundlesOf(items, this.count);
    if (bundles === null) return { x: all === NOBODY ? added : concatenate([all.x, added]), runs, items, bundles };
    const { order } = bundles;
    const size = this.count * this.stack.config.dModel;
    const x = new Float32Array(runs.length * size);
    order.forEach((from, place) => {
      const [source, at] = from < all.runs.length ? [all.x, from] : [added, from - all.runs.length];
      x.set(source.subarray(at * size, (at + 1) * size), place * size);
    });
    return { x, runs: order.map((from) => runs[from]), items: order.map((from) => items[from]), bundles };
  }

  /** resid_post of every new position. */
  private async block(layer: number, { x, items, bundles }: Travellers): Promise<Float32Array> {
    const { base, stack, count, first: start, context } = this;
    const whose = bundles?.items ?? items;
    const block = { x, items: whose.length, count, start, past: base.past(layer, start, whose) };
    if (this.named && bundles === null) return await stack.block(layer, block, context);
    const into = this.room[layer % 2].subarray(0, x.length);
    const y = await stack.uncheckedBlock(layer, block, bundles?.copies ?? 1, into, context);
    return this.named ? checkFinite(y, `blocks.${layer}.hook_resid_post`) : y;
  }

  /** The last block where only the answers are wanted, at `rows` of the new positions. */
  private async tail({ x, items }: Travellers, rows: readonly number[]): Promise<Float32Array> {
    const { base, stack, count, first: start, context } = this;
    const layer = stack.config.nLayers - 1;
    const block = { x, items: items.length, count, start, past: base.past(layer, start, items) };
    return await stack.tail(layer, block, rows, context);
  }
}

/** `[runs, …]` in the order of the departures. */
function inOrder({ x, runs }: Travellers): Float32Array {
  if (runs.every((run, place) => run === place)) return x;
  const size = x.length / runs.length;
  const result = new Float32Array(x.length);
  runs.forEach((run, place) => {
    result.set(x.subarray(place * size, (place + 1) * size), run * size);
  });
  return result;
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
  if (departures[0].boundary === nLayers) return concatenate(await Promise.all(departures.map(rowsOf)));
  const count = base.count - first;
  const rows = answers.map((position) => position - first);
  const reduced = rows.length < count && rows.every((row) => row >= 0);
  const ascend = (named: boolean) =>
    new Ascent(stack, base, first, departures, context, named).run(reduced ? rows : null);
  const x = await ascend(false).catch((error: unknown) => {
    if (isNonFinite(error)) return null;
    throw error;
  });
  // The stream keeps a NaN or infinity to the end; where it came in is worth a second way only when there is one.
  if (x === null || !allFinite(x)) {
    const again = await ascend(true);
    throw nonFiniteError(`blocks.${nLayers - 1}.hook_resid_post`, x ?? again);
  }
  if (reduced) return x;
  const final = base.residual(nLayers);
  const items = departures.flatMap((departure) => departure.items);
  const result = new Float32Array(items.length * rows.length * dModel);
  items.forEach((item, run) => {
    rows.forEach((row, i) => {
      const [data, at] = row < 0 ? [final, item * base.count + answers[i]] : [x, run * count + row];
      result.set(data.subarray(at * dModel, (at + 1) * dModel), (run * rows.length + i) * dModel);
    });
  });
  return result;
}
