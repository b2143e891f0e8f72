/** Share of the free memory that a sweep may fill with activations where nobody says. */
const SHARE = 1 / 4;

/** Bytes of activations that a sweep may hold unless its request says otherwise: a quarter of what is free. */
export function sweepMemory(availableBytes: number): number {
  return availableBytes * SHARE;
}
