import { type Random, seededRandom } from '../../shared/statistics.ts';
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

function shuffled<T>(values: readonly T[], random: Random): readonly T[] {
  return random.permutation(values.length).map((i) => values[i]);
}

/**
 * Holds out a share of the tokens at the role, of each side, with all their prompts, so that a name that is judged was never learned.
 * Where a side has fewer than four tokens, single prompts.
 * @param sides clean and corrupted by turns
 * @param kept a prompt whose token stays in the training set: the feature was made there
 */
export function splitSides(sides: readonly PairSide[], share: number, kept: number, seed: number): ProbeSplit {
  const random = seededRandom(seed);
  const all = sides.map((_, i) => i);
  const tokenOf = (i: number) => sides[i].ids[sides[i].at];
  const bySide = [0, 1].map((side) => all.filter((i) => i % 2 === side));
  const tokens = bySide.map((own) => [...new Set(own.map(tokenOf))]);
  const byToken = tokens.every((own) => own.length >= FEWEST);
  const out = new Set<number>();
  bySide.forEach((own, side) => {
    const keep = kept - (kept % 2) + side;
    const units = byToken ? tokens[side].filter((token) => token !== tokenOf(keep)) : own.filter((i) => i !== keep);
    const count = Math.max(1, Math.round(share * units.length));
    const chosen = new Set(shuffled(units, random).slice(0, count));
    for (const i of own) if (chosen.has(byToken ? tokenOf(i) : i)) out.add(i);
  });
  return { train: all.filter((i) => !out.has(i)), heldOut: all.filter((i) => out.has(i)), byToken };
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
