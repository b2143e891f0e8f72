import type { OnProgress, Progress } from './progress.ts';

/** The common total of joined phases: fine enough for a bar. */
const TOTAL = 1000;

/**
 * Joins two jobs of unlike units into one bar with a constant total. The second starts at `share` even if the first
 * never reported; nothing runs backwards.
 */
export function progressPhases(onProgress: OnProgress, share: number): readonly [OnProgress, OnProgress] {
  let last = 0;
  const report = (from: number, to: number, { done, total, label }: Progress) => {
    const fraction = total > 0 ? Math.min(1, done / total) : 0;
    last = Math.max(last, Math.round(TOTAL * (from + (to - from) * fraction)));
    onProgress({ done: last, total: TOTAL, label });
  };
  return [(progress) => report(0, share, progress), (progress) => report(share, 1, progress)];
}
