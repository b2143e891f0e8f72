import { MechanistError } from '../../../shared/errors.ts';
import type { Intervention, MeanOver } from '../../../shared/intervention.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { seededRandom } from '../../../shared/statistics.ts';
import { hookName } from '../hookPoints.ts';
import type { Broadcast } from './broadcast.ts';
import type { HookAxes } from './hookAxes.ts';
import type { InterventionStep } from './parseInterventions.ts';

type FromRun = Extract<Intervention, { kind: 'mean' | 'resample' | 'patch' | 'freeze' }>;

/** A position of an activation as stretches of memory: one for `[batch, pos, …]`, one per head for attention maps. */
interface Rows {
  readonly items: number;
  readonly positions: number;
  /** Numbers of one position, all heads together. */
  readonly width: number;
  /** Copies a position of one item out of `data`, or back in. */
  read(data: Float32Array, item: number, position: number, into: Float32Array): void;
  write(data: Float32Array, item: number, position: number, from: ArrayLike<number>): void;
}

function rowsOf(dims: readonly number[], { isMap }: Pick<HookAxes, 'isMap'>): Rows {
  const items = dims[0];
  const [groups, positions, stretch] = isMap
    ? [dims[1], dims[2], dims[3]]
    : [1, dims[1], dims.slice(2).reduce((product, dim) => product * dim, 1)];
  const start = (item: number, group: number, position: number) =>
    ((item * groups + group) * positions + position) * stretch;
  return {
    items,
    positions,
    width: groups * stretch,
    read: (data, item, position, into) => {
      for (let group = 0; group < groups; group += 1) {
        const from = start(item, group, position);
        into.set(data.subarray(from, from + stretch), group * stretch);
      }
    },
    write: (data, item, position, from) => {
      for (let group = 0; group < groups; group += 1) {
        const to = start(item, group, position);
        for (let i = 0; i < stretch; i += 1) data[to + i] = from[group * stretch + i];
      }
    },
  };
}

/** The mean of some positions of some items, `[width]`. Sums in float64. */
function meanOf(source: PackedArray, rows: Rows, items: readonly number[], positions: readonly number[]): Float64Array {
  const sums = new Float64Array(rows.width);
  const one = new Float32Array(rows.width);
  for (const item of items) {
    for (const position of positions) {
      rows.read(source.data, item, position, one);
      for (let i = 0; i < one.length; i += 1) sums[i] += one[i];
    }
  }
  return sums.map((sum) => sum / (items.length * positions.length));
}

/** A mean with an axis of length 1 wherever it is the same for all. */
function mean(source: PackedArray, axes: HookAxes, over: MeanOver, groups: readonly number[] | undefined): Broadcast {
  const from = rowsOf(source.dims, axes);
  const range = (count: number) => Array.from({ length: count }, (_, i) => i);
  const [allItems, allPositions] = [range(from.items), range(from.positions)];
  const dims = axes.dims.map((dim, axis) => {
    if (axis === axes.items) return over === 'group' ? dim : over === 'position' ? from.items : 1;
    return axis === axes.positions && (over === 'position' || over === 'all') ? 1 : dim;
  });
  const to = rowsOf(dims, axes);
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
  const sharers = (item: number) => {
    if (over === 'group') return allItems.filter((i) => groups?.[i] === groups?.[item]);
    return over === 'position' ? [item] : allItems;
  };
  for (let item = 0; item < to.items; item += 1) {
    const items = from.items === 1 ? [0] : sharers(item);
    for (let position = 0; position < to.positions; position += 1) {
      const positions = over === 'position' || over === 'all' ? allPositions : [position];
      to.write(data, item, position, meanOf(source, from, items, positions));
    }
  }
  return { dims, data };
}

/**
 * A permutation without fixed points: every item gets another one. Sattolo's algorithm (1986): all cycles of full length
 * are equally likely.
 */
export function derangement(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = random.below(i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Values of chosen items and positions of a run, laid out for this run. */
function gathered(
  source: PackedArray,
  step: InterventionStep,
  itemOf: (item: number) => number,
  positions: readonly number[] | undefined,
): Broadcast {
  const { axes, selection } = step;
  const from = rowsOf(source.dims, axes);
  const all = Array.from({ length: axes.dims[axes.positions] }, (_, i) => i);
  const written = selection.positions ?? all;
  const read = positions?.map((position) => (position < 0 ? position + from.positions : position)) ?? written;
  const same = from.items === 1;
  const dims = axes.dims.map((dim, axis) => (axis === axes.items && same ? 1 : dim));
  const to = rowsOf(dims, axes);
  const data = new Float32Array(dims.reduce((product, dim) => product * dim, 1));
  const one = new Float32Array(from.width);
  for (let item = 0; item < to.items; item += 1) {
    written.forEach((position, i) => {
      from.read(source.data, same ? 0 : itemOf(item), read[i], one);
      to.write(data, item, position, one);
    });
  }
  return { dims, data };
}

/** The source must have the shape that its run says: recorded activations are the caller's word. */
function checkSource(step: InterventionStep, source: PackedArray): void {
  const { axes, point } = step;
  const free = axes.isMap ? [axes.items] : [axes.items, axes.positions];
  const fits =
    source.dims.length === axes.dims.length &&
    axes.dims.every((dim, axis) => free.includes(axis) || source.dims[axis] === dim);
  if (fits) return;
  throw new MechanistError(
    'bad-input',
    `The recorded values of ${hookName(point)} have shape [${source.dims.join(', ')}]; [${axes.dims.join(', ')}] is needed.`,
  );
}

/** What a step writes, from a run's values: `[batch or 1, …]`, over all heads and entries. */
export function replacement(step: InterventionStep, intervention: FromRun, source: PackedArray): Broadcast {
  checkSource(step, source);
  const { axes } = step;
  const batch = axes.dims[axes.items];
  switch (intervention.kind) {
    case 'mean':
      return mean(source, axes, intervention.over, intervention.groups);
    case 'resample': {
      const order = derangement(batch, intervention.seed);
      return gathered(source, step, (item) => order[item], undefined);
    }
    case 'patch': {
      const { items, positions } = intervention.from;
      return gathered(source, step, (item) => items?.[item] ?? item, positions);
    }
    case 'freeze':
      return gathered(source, step, (item) => item, undefined);
  }
}
