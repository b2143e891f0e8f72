import type { OnProgress, Progress } from './progress.ts';

/** Least time between two reports, in milliseconds: ten reports a second. */
const INTERVAL_MS = 100;

/**
 * Passes on at most ten reports a second. Only the newest waiting report is kept; `flush` sends it at once, so the last
 * one always arrives. Reports that would run backwards or change the total break the contract of Progress: dropped.
 */
export function throttleProgress(send: OnProgress): { readonly report: OnProgress; readonly flush: () => void } {
  let last: Progress | null = null;
  let waiting: Progress | null = null;
  let timer: unknown = null;
  const sendWaiting = () => {
    if (waiting === null) return;
    const next = waiting;
    waiting = null;
    send(next);
    timer = setTimeout(() => {
      timer = null;
      sendWaiting();
    }, INTERVAL_MS);
  };
  return {
    report: (progress) => {
      if (last !== null && (progress.total !== last.total || progress.done < last.done)) return;
      last = progress;
      waiting = progress;
      if (timer === null) sendWaiting();
    },
    flush: () => {
      clearTimeout(timer);
      timer = null;
      if (waiting !== null) send(waiting);
      waiting = null;
    },
  };
}
