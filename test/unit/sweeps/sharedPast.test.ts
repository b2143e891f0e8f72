import { describe, expect, it } from 'vitest';
import { MASKED_SCORE } from '../../../src/core/engine/attentionInputs.ts';
import { BLOCK_INPUTS } from '../../../src/core/engine/blockGraph.ts';
import { floatTensor } from '../../../src/core/engine/sessionPool.ts';
import { bundleInputs, bundlesOf } from '../../../src/core/engine/sweeps/sharedPast.ts';

describe('runs that share the past of their prompt', () => {
  it('are put together in bundles of one size', () => {
    expect(bundlesOf([0, 1, 0, 1], 3)).toEqual({ order: [0, 2, 1, 3], items: [0, 1], copies: 2 });
    // Four runs of each prompt, at most three of them in one bundle: the size must divide four.
    expect(bundlesOf([0, 0, 1, 1, 0, 0, 1, 1], 20)).toEqual({
      order: [0, 1, 4, 5, 2, 3, 6, 7],
      items: [0, 0, 1, 1],
      copies: 2,
    });
    expect(bundlesOf([0, 0, 0, 1, 1], 2)).toBeNull();
    expect(bundlesOf([0, 1, 2], 2)).toBeNull();
    expect(bundlesOf([0, 0], 64)).toBeNull();
  });

  it('see the past and themselves, at their own positions', () => {
    const off = MASKED_SCORE;
    const single = {
      // One past position, two new ones.
      [BLOCK_INPUTS.mask]: floatTensor(Float32Array.of(0, 0, off, 0, 0, 0), [1, 1, 2, 3]),
      [BLOCK_INPUTS.cos]: floatTensor(Float32Array.of(0.5, 0.25), [1, 2, 1, 1]),
    };
    const { [BLOCK_INPUTS.mask]: mask, [BLOCK_INPUTS.cos]: cos } = bundleInputs(single, 2);
    expect(mask.dims).toEqual([1, 1, 4, 5]);
    const rows = [
      [0, 0, off, off, off],
      [0, 0, 0, off, off],
      [0, off, off, 0, off],
      [0, off, off, 0, 0],
    ];
    expect(mask.data).toEqual(Float32Array.from(rows.flat()));
    expect(cos.dims).toEqual([1, 4, 1, 1]);
    expect(cos.data).toEqual(Float32Array.of(0.5, 0.25, 0.5, 0.25));
  });
});
