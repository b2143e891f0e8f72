/**
 * A float32 array that stands for a larger one: axes of length 1 repeat. Masks and replacement values are kept this way,
 * so that "head 3 of every item at every position" is as many numbers as there are heads.
 */
export interface Broadcast {
  /** As many axes as the activation has; each as long as the activation's or 1. */
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

const MAX_AXES = 4;

function size(dims: readonly number[]): number {
  return dims.reduce((product, dim) => product * dim, 1);
}

/** One number everywhere. */
export function constant(value: number, axes: number): Broadcast {
  return { dims: new Array<number>(axes).fill(1), data: Float32Array.of(value) };
}

/** 1 where every given axis has a chosen index, 0 elsewhere; an axis that is not given is all chosen. */
export function mask(
  axes: number,
  chosen: ReadonlyMap<number, { readonly of: number; readonly indices: ArrayLike<number> }>,
) {
  let result = constant(1, axes);
  for (const [axis, { of, indices }] of chosen) {
    const data = new Float32Array(of);
    for (let i = 0; i < indices.length; i += 1) data[indices[i]] = 1;
    const dims = result.dims.map((_, i) => (i === axis ? of : 1));
    result = combine(result, { dims, data }, (a, b) => a * b);
  }
  return result;
}

/** Steps in memory along four axes, the missing ones in front; 0 where the array repeats. */
function steps(array: Broadcast): number[] {
  const result = new Array<number>(MAX_AXES).fill(0);
  let step = 1;
  for (let axis = array.dims.length - 1; axis >= 0; axis -= 1) {
    if (array.dims[axis] > 1) result[MAX_AXES - array.dims.length + axis] = step;
    step *= array.dims[axis];
  }
  return result;
}

/** `f(a, b)` entry by entry, over the common shape. */
function combine(a: Broadcast, b: Broadcast, f: (a: number, b: number) => number): Broadcast {
  const dims = a.dims.map((dim, axis) => Math.max(dim, b.dims[axis]));
  const data = new Float32Array(size(dims));
  const [n0, n1, n2, n3] = [...new Array<number>(MAX_AXES - dims.length).fill(1), ...dims];
  const [sa, sb] = [steps(a), steps(b)];
  let at = 0;
  for (let i = 0; i < n0; i += 1) {
    for (let j = 0; j < n1; j += 1) {
      for (let k = 0; k < n2; k += 1) {
        let ia = i * sa[0] + j * sa[1] + k * sa[2];
        let ib = i * sb[0] + j * sb[1] + k * sb[2];
        for (let l = 0; l < n3; l += 1) {
          data[at] = f(a.data[ia], b.data[ib]);
          at += 1;
          ia += sa[3];
          ib += sb[3];
        }
      }
    }
  }
  return { dims, data };
}

export const times = (a: Broadcast, b: Broadcast): Broadcast => combine(a, b, (x, y) => x * y);
export const plus = (a: Broadcast, b: Broadcast): Broadcast => combine(a, b, (x, y) => x + y);
/** 1 − a. */
export const rest = (a: Broadcast): Broadcast => ({ dims: a.dims, data: a.data.map((value) => 1 - value) });

/** A stretch of one axis; an axis that repeats stays as it is. */
export function stretch(array: Broadcast, axis: number, first: number, count: number): Broadcast {
  const length = array.dims[axis];
  if (length === 1 || (first === 0 && count === length)) return array;
  const inner = size(array.dims.slice(axis + 1));
  const outer = size(array.dims.slice(0, axis));
  const data = new Float32Array(outer * count * inner);
  for (let i = 0; i < outer; i += 1) {
    const from = (i * length + first) * inner;
    data.set(array.data.subarray(from, from + count * inner), i * count * inner);
  }
  return { dims: array.dims.map((dim, i) => (i === axis ? count : dim)), data };
}
