/** A tensor as it lies in a weight file, in any storage type. Shapes are in torch order (slowest dimension first). */
export interface StoredTensor {
  readonly name: string;
  /** Absolute path. */
  readonly file: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
  readonly shape: readonly number[];
  /** `F32`, `BF16`, `Q4_1` … in the file format's own spelling. */
  readonly type: string;
}

/** Number of elements of a tensor; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** The storage type that holds most of the parameters: `Q4_1` for a file of 210 Q4_1 and 61 F32 tensors. */
export function mostCommonType(tensors: Iterable<StoredTensor>): string {
  const elements = new Map<string, number>();
  for (const tensor of tensors) {
    elements.set(tensor.type, (elements.get(tensor.type) ?? 0) + elementCount(tensor.shape));
  }
  let best = 'F32';
  for (const [type, count] of elements) if (count > (elements.get(best) ?? -1)) best = type;
  return best;
}
