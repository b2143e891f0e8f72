/** Rotated keys and values of one layer, each `[batch, kvHead, length, d_head]`. */
export interface KeysValues {
  readonly batch: number;
  readonly length: number;
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** Sizes that keys and values of a model share. */
export interface HeadSizes {
  readonly nKeyValueHeads: number;
  readonly dHead: number;
}

export const NO_KEYS_VALUES: KeysValues = {
  batch: 1,
  length: 0,
  keys: new Float32Array(0),
  values: new Float32Array(0),
};

function mapBoth(
  kv: KeysValues,
  batch: number,
  length: number,
  change: (data: Float32Array) => Float32Array,
): KeysValues {
  return { batch, length, keys: change(kv.keys), values: change(kv.values) };
}

/** Some items of a batch; a batch of 1 stands for any. */
export function itemsOf(kv: KeysValues, first: number, items: number): KeysValues {
  if (kv.batch === 1) return kv;
  const size = kv.keys.length / kv.batch;
  return mapBoth(kv, items, kv.length, (data) => data.subarray(first * size, (first + items) * size));
}

/** The first `length` positions. */
export function firstPositions(kv: KeysValues, length: number, sizes: HeadSizes): KeysValues {
  if (length === kv.length) return kv;
  const width = sizes.dHead;
  const groups = kv.batch * sizes.nKeyValueHeads;
  return mapBoth(kv, kv.batch, length, (data) => {
    const result = new Float32Array(groups * length * width);
    for (let group = 0; group < groups; group += 1) {
      const from = group * kv.length * width;
      result.set(data.subarray(from, from + length * width), group * length * width);
    }
    return result;
  });
}

/** Positions of `a`, then positions of `b`; an `a` of batch 1 is shared by every item of `b`. */
export function joinPositions(a: KeysValues, b: KeysValues, sizes: HeadSizes): KeysValues {
  if (a.length === 0) return b;
  const { nKeyValueHeads: heads, dHead } = sizes;
  const length = a.length + b.length;
  const join = (before: Float32Array, after: Float32Array) => {
    const result = new Float32Array(b.batch * heads * length * dHead);
    for (let item = 0; item < b.batch; item += 1) {
      for (let head = 0; head < heads; head += 1) {
        const from = ((a.batch === 1 ? 0 : item) * heads + head) * a.length * dHead;
        const group = item * heads + head;
        const at = group * length * dHead;
        result.set(before.subarray(from, from + a.length * dHead), at);
        result.set(after.subarray(group * b.length * dHead, (group + 1) * b.length * dHead), at + a.length * dHead);
      }
    }
    return result;
  };
  return { batch: b.batch, length, keys: join(a.keys, b.keys), values: join(a.values, b.values) };
}

/** Arrays one after the other. */
export function concatenate(arrays: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    result.set(array, at);
    at += array.length;
  }
  return result;
}

/** Batches of equal length, one after the other. `parts[tile][layer]` → `[layer]`. */
export function joinItems(parts: readonly (readonly KeysValues[])[]): KeysValues[] {
  return parts[0].map((first, layer) => ({
    batch: parts.reduce((sum, part) => sum + part[layer].batch, 0),
    length: first.length,
    keys: concatenate(parts.map((part) => part[layer].keys)),
    values: concatenate(parts.map((part) => part[layer].values)),
  }));
}

/** Rows `first … first + rows − 1` of each item of `[batch, count, width]`. */
export function takeRows(x: Float32Array, batch: number, width: number, first: number, rows: number): Float32Array {
  const count = x.length / (batch * width);
  if (rows === count) return x;
  const result = new Float32Array(batch * rows * width);
  for (let item = 0; item < batch; item += 1) {
    const from = (item * count + first) * width;
    result.set(x.subarray(from, from + rows * width), item * rows * width);
  }
  return result;
}

/** The reverse of `takeRows`: writes `[batch, rows, width]` into `[batch, count, width]`. */
export function putRows(target: Float32Array, batch: number, width: number, first: number, part: Float32Array): void {
  const count = target.length / (batch * width);
  const rows = part.length / (batch * width);
  for (let item = 0; item < batch; item += 1) {
    target.set(part.subarray(item * rows * width, (item + 1) * rows * width), (item * count + first) * width);
  }
}
