import { type Broadcast, stretch } from './broadcast.ts';
import type { EditOp, HookEdits } from './editOps.ts';
import type { HookAxes } from './hookAxes.ts';

/** A part of a batch: items from `firstItem`, positions from `firstPosition` (absolute). */
export interface Part {
  readonly firstItem: number;
  readonly items: number;
  readonly firstPosition: number;
  readonly positions: number;
}

/** Those numbers of a mask or value that belong to a part of the batch. Attention maps: keys up to the last query. */
export function partOf(array: Broadcast, axes: HookAxes, part: Part): Broadcast {
  const items = stretch(array, axes.items, part.firstItem, part.items);
  const rows = stretch(items, axes.positions, part.firstPosition, part.positions);
  return axes.isMap ? stretch(rows, axes.entries, 0, part.firstPosition + part.positions) : rows;
}

/** Reads a broadcast array at an item, position and entry of `[batch, pos, entry]`. */
function reader({ dims, data }: Broadcast): (item: number, position: number, entry: number) => number {
  const [items, positions, entries] = dims;
  return (item, position, entry) =>
    data[
      ((items === 1 ? 0 : item) * positions + (positions === 1 ? 0 : position)) * entries + (entries === 1 ? 0 : entry)
    ];
}

/** Steps in memory from one item, position and entry to the next; 0 where the array repeats. */
function steps([items, positions, entries]: readonly number[]): readonly [number, number, number] {
  return [items === 1 ? 0 : positions * entries, positions === 1 ? 0 : entries, entries === 1 ? 0 : 1];
}

/** result = x · keep + value, on `[items, positions, width]`. */
function applyAffine(keep: Broadcast, value: Broadcast, part: Part, x: Float32Array, result: Float32Array): void {
  const width = x.length / (part.items * part.positions);
  const [keepItem, keepPosition, keepEntry] = steps(keep.dims);
  const [valueItem, valuePosition, valueEntry] = steps(value.dims);
  let at = 0;
  for (let item = 0; item < part.items; item += 1) {
    for (let position = 0; position < part.positions; position += 1) {
      let k = item * keepItem + position * keepPosition;
      let v = item * valueItem + position * valuePosition;
      for (const end = at + width; at < end; at += 1) {
        // Rounded after the product, as the graphs do.
        result[at] = Math.fround(x[at] * keep.data[k]) + value.data[v];
        k += keepEntry;
        v += valueEntry;
      }
    }
  }
}

/** One step on `[items, positions, width]`. */
function applyOp(op: EditOp, axes: HookAxes, part: Part, x: Float32Array): Float32Array {
  const width = axes.dims[axes.entries];
  const result = new Float32Array(x.length);
  const each = (f: (item: number, position: number, entry: number, at: number) => number) => {
    let at = 0;
    for (let item = 0; item < part.items; item += 1) {
      for (let position = 0; position < part.positions; position += 1) {
        for (let entry = 0; entry < width; entry += 1) {
          result[at] = f(item, position, entry, at);
          at += 1;
        }
      }
    }
    return result;
  };
  const own = (array: Broadcast) => reader(partOf(array, axes, part));
  switch (op.op) {
    case 'affine':
      applyAffine(partOf(op.keep, axes, part), partOf(op.value, axes, part), part, x, result);
      return result;
    case 'project': {
      const weight = own(op.weight);
      const products = new Float64Array(part.items * part.positions);
      for (let r = 0; r < products.length; r += 1) {
        for (let e = 0; e < width; e += 1) products[r] += x[r * width + e] * op.direction[e];
      }
      return each((i, p, e, at) => x[at] + products[i * part.positions + p] * weight(i, p, e));
    }
    case 'permute': {
      const keep = own(op.keep);
      return each((i, p, e, at) => {
        if (keep(i, p, e) === 1) return x[at];
        const from = op.order[p + part.firstPosition] - part.firstPosition;
        return x[(i * part.positions + from) * width + e];
      });
    }
    case 'renormalise':
    case 'lowRank':
      throw new Error(`${op.op} belongs inside a block.`);
  }
}

/**
 * What stands at a hook point of the residual stream, the embeddings or the final norm after its edits: `x`
 * `[items, positions, width]` is a part of the batch. The input is not changed.
 */
export function applyEdits({ axes, ops }: HookEdits, part: Part, x: Float32Array): Float32Array {
  return ops.reduce((value, op) => applyOp(op, axes, part, value), x);
}
