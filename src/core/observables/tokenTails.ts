import type { ScoredWindows } from './scoreShare.ts';
import { type TokenInContext, tokenOfRow } from './tokenSample.ts';

/** A token with the score of one feature. */
export interface TokenHit extends TokenInContext {
  readonly score: number;
}

/** The tokens of a stream at the two ends of a feature's scores. */
export interface TokenTails {
  /** Largest first. */
  readonly high: readonly TokenHit[];
  /** Smallest first. */
  readonly low: readonly TokenHit[];
}

/** The first `size` of hits in the order of a sign; a token in the same context counts once. */
function firstOf(hits: readonly TokenHit[], size: number, sign: 1 | -1): TokenHit[] {
  const seen = new Set<string>();
  return [...hits]
    .sort((a, b) => sign * (b.score - a.score))
    .filter(({ ids, at }) => {
      const key = `${at}:${ids.join()}`;
      return !seen.has(key) && seen.add(key) !== undefined;
    })
    .slice(0, size);
}

/** The ends of several streams together. */
export function joinTails(tails: readonly TokenTails[], size: number): TokenTails {
  return {
    high: firstOf(
      tails.flatMap(({ high }) => high),
      size,
      1,
    ),
    low: firstOf(
      tails.flatMap(({ low }) => low),
      size,
      -1,
    ),
  };
}

/** One end of one feature. */
class Tail {
  private kept: TokenHit[] = [];
  private limit = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly size: number,
    private readonly sign: 1 | -1,
  ) {}

  offer(score: number, token: () => TokenInContext): void {
    if (this.sign * score <= this.limit) return;
    this.kept.push({ score, ...token() });
    if (this.kept.length >= 4 * this.size) this.shrink();
  }

  private shrink(): void {
    this.kept = firstOf(this.kept, this.size, this.sign);
    if (this.kept.length === this.size) this.limit = this.sign * this.kept[this.size - 1].score;
  }

  get hits(): readonly TokenHit[] {
    return firstOf(this.kept, this.size, this.sign);
  }
}

/** Gathers both ends of each feature over a stream. */
export class TailsOfFeatures {
  private readonly ends: readonly { readonly high: Tail; readonly low: Tail }[];

  /** @param size tokens at each end */
  constructor(features: number, size: number) {
    this.ends = Array.from({ length: features }, () => ({ high: new Tail(size, 1), low: new Tail(size, -1) }));
  }

  add(scored: ScoredWindows): void {
    const { rows, own } = scored;
    for (let row = 0; row < rows; row += 1) {
      const token = () => tokenOfRow(scored, row);
      this.ends.forEach(({ high, low }, feature) => {
        const score = own[row * this.ends.length + feature];
        high.offer(score, token);
        low.offer(score, token);
      });
    }
  }

  get tails(): readonly TokenTails[] {
    return this.ends.map(({ high, low }) => ({ high: high.hits, low: low.hits }));
  }
}
