/** Points of a mean over a segment: the midpoints of as many equal pieces. */
const MEAN_POINTS = 64;

/** Halvings of the segment: as far as float64 goes. */
const HALVINGS = 80;

/** Where a function on the segment between two prompts is 0. */
export interface SegmentRoot {
  /** 0 at the partner, 1 at the prompt itself. */
  readonly t: number;
  /** Values at the two ends. */
  readonly ends: readonly [partner: number, prompt: number];
  /** What the function is at `t`: 0, or where both ends have the same sign, the mean of the two. */
  readonly target: number;
}

/**
 * The decision boundary on a segment, by bisection. Where both ends have the same sign there is none to be sure of: then the point
 * where the function is the mean of its ends (Dunefsky and Cohan's later notebook; §1.4).
 * Differs from the paper, which searches by gradient descent that may stop at an end.
 */
export function segmentRoot(value: (t: number) => number): SegmentRoot {
  const ends = [value(0), value(1)] as const;
  const target = ends[0] * ends[1] <= 0 ? 0 : (ends[0] + ends[1]) / 2;
  if (ends[0] === ends[1]) return { t: 0.5, ends, target };
  const rising = ends[1] > ends[0];
  let [low, high] = [0, 1];
  for (let i = 0; i < HALVINGS && low < high; i += 1) {
    const middle = (low + high) / 2;
    if (value(middle) < target === rising) low = middle;
    else high = middle;
  }
  return { t: (low + high) / 2, ends, target };
}

/** Midpoints of `MEAN_POINTS` equal pieces of [0, 1]. */
export function midpoints(): number[] {
  return Array.from({ length: MEAN_POINTS }, (_, i) => (i + 0.5) / MEAN_POINTS);
}
