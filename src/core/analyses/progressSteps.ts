import type { OnProgress } from '../../shared/progress.ts';

/**
 * Splits one bar into steps of given lengths (in forward passes). Each step reports into its own part; the total is
 * constant and nothing runs backwards, even when a step has less to do than expected.
 */
export function progressSteps(onProgress: OnProgress | undefined, lengths: readonly number[]): OnProgress[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  let last = 0;
  return lengths.map((length, index) => {
    const start = lengths.slice(0, index).reduce((sum, before) => sum + before, 0);
    return ({ done, total: own, label }) => {
      last = Math.max(last, start + length * (own > 0 ? Math.min(1, done / own) : 1));
      onProgress?.({ done: last, total, label });
    };
  });
}
