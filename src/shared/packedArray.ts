/** A dense row-major array of float32 numbers with its shape. Crosses processes without copying element by element. */
export interface PackedArray {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}
