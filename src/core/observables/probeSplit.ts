import { type Random, seededRandom, shuffled } from '../../shared/statistics.ts';
import type { PairSide } from './pairSides.ts';

/** Prompts that probes learn from, and those that all are judged on; indices. */
export interface ProbeSplit {
  readonly train: readonly number[];
  readonly heldOut: readonly number[];
  /** No token at the role is in both. */
  readonly byToken: boolean;
}

/** Fewest tokens of a side that can be divided. */
const FEWEST = 4;

/**
 * Holds out a share of the tokens at the role, of each side, with all their prompts of either side, so that a name that is judged was
 * never learned. Where a side has fewer than four tokens, single prompts.
 * @param sides clean and corrupted by turns
 * @param kept a prompt whose token, and whose partner's, stay in the training set: the feature was made there
 */
export function splitSides(sides: readonly PairSide[], share: number, kept: number, seed: number): ProbeSplit {
  const random = seededRandom(seed);
  const all = sides.map((_, i) => i);
  const tokenOf = (i: number) => sides[i].ids[sides[i].at];
  const bySide = [0, 1].map((side) => all.filter((i) => i % 2 === side));
  const tokens = bySide.map((own) => [...new Set(own.map(tokenOf))]);
  const byToken = tokens.every((own) => own.length >= FEWEST);
  const unitOf = byToken ? tokenOf : (i: number) => i;
  const pair = kept - (kept % 2);
  const keep = new Set([pair, pair + 1].map(unitOf));
  const chosen = new Set<number>();
  for (const own of byToken ? tokens : bySide) {
    const units = own.filter((unit) => !keep.has(unit));
    const count = Math.max(1, Math.round(share * units.length));
    // A token of both sides is held out of both: what the first side has chosen counts for the second.
    const left = units.filter((unit) => !chosen.has(unit));
    const missing = Math.max(0, count - (units.length - left.length));
    for (const unit of shuffled(left, random).slice(0, missing)) chosen.add(unit);
  }
  const out = (i: number) => chosen.has(unitOf(i));
  return { train: all.filter((i) => !out(i)), heldOut: all.filter(out), byToken };
}

/** `size` prompts of the training set, half of each side; null where it has not as many. */
export function drawTraining(train: readonly number[], size: number, random: Random): readonly number[] | null {
  const half = size / 2;
  const drawn = [0, 1].map((side) =>
    shuffled(
      train.filter((i) => i % 2 === side),
      random,
    ),
  );
  return drawn.every((own) => own.length >= half) ? drawn.flatMap((own) => own.slice(0, half)) : null;
}
