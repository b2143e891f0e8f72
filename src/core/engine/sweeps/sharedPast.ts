import { MASKED_SCORE } from '../attentionInputs.ts';
import { BLOCK_INPUTS } from '../blockGraph.ts';
import { type Feeds, floatTensor } from '../sessionPool.ts';

/** New positions of one bundle at most: beyond, the scores between its runs, which nobody wants, cost more than the past saves. */
const BUNDLE_POSITIONS = 64;

/** Runs of the same prompts, put together so that those of one prompt share its past keys and values. */
export interface Bundles {
  /** Run at each place: the runs of a bundle one after the other. */
  readonly order: readonly number[];
  /** Item of the base run for each bundle. */
  readonly items: readonly number[];
  /** Runs of each bundle. */
  readonly copies: number;
}

/**
 * Bundles of equal size; null where nothing is gained: no prompt has several runs, or its runs have many new positions.
 * @param items item of the base run for each run
 * @param count new positions of each run
 */
export function bundlesOf(items: readonly number[], count: number): Bundles | null {
  const byItem = new Map<number, number[]>();
  items.forEach((item, run) => {
    const own = byItem.get(item);
    if (own === undefined) byItem.set(item, [run]);
    else own.push(run);
  });
  const sizes = [...byItem.values()].map((runs) => runs.length);
  const most = Math.min(...sizes, Math.floor(BUNDLE_POSITIONS / count));
  // All bundles have one size, so it must divide the number of runs of every prompt.
  let copies = most;
  while (copies > 1 && sizes.some((size) => size % copies !== 0)) copies -= 1;
  if (copies <= 1) return null;
  return {
    order: [...byItem.values()].flat(),
    items: [...byItem].flatMap(([item, runs]) => new Array<number>(runs.length / copies).fill(item)),
    copies,
  };
}

/**
 * Mask and rotary angles of a bundle, from those of one run: each run sees the past and itself, never its neighbours.
 * `mask` `[1, 1, count, start + count]` becomes `[1, 1, copies · count, start + copies · count]`.
 */
export function bundleInputs(single: Feeds, copies: number): Feeds {
  const mask = single[BLOCK_INPUTS.mask];
  const [, , count, keys] = mask.dims;
  const start = keys - count;
  const width = start + copies * count;
  const own = mask.data as Float32Array;
  const wide = new Float32Array(copies * count * width).fill(MASKED_SCORE);
  for (let row = 0; row < copies * count; row += 1) {
    const from = (row % count) * keys;
    wide.set(own.subarray(from, from + start), row * width);
    wide.set(own.subarray(from + start, from + keys), row * width + start + Math.floor(row / count) * count);
  }
  const angles = Object.entries(single).flatMap(([name, tensor]) => {
    if (name === BLOCK_INPUTS.mask) return [];
    const data = tensor.data as Float32Array;
    const repeated = new Float32Array(copies * data.length);
    for (let copy = 0; copy < copies; copy += 1) repeated.set(data, copy * data.length);
    const [first, , ...rest] = tensor.dims;
    return [[name, floatTensor(repeated, [first, copies * count, ...rest])] as const];
  });
  return {
    [BLOCK_INPUTS.mask]: floatTensor(wide, [1, 1, copies * count, width]),
    ...Object.fromEntries(angles),
  };
}
