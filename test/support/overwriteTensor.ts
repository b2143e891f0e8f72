import { open } from 'node:fs/promises';
import type { TensorLocation } from '../../src/core/models/modelWeights.ts';

/** Writes numbers over those of a weight, from its number `first` on. */
export async function overwriteTensor(
  { file, offset }: TensorLocation,
  values: Float32Array,
  first = 0,
): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
    0,
    values.byteLength,
    offset + 4 * first,
  );
  await handle.close();
}
