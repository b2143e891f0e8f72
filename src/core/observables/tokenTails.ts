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

/** How many tokens an end has, and how often one of them may be there. */
export interface TailSize {
  readonly size: number;
  readonly perToken: number;
}

/** The first of hits in the order of a sign; a token in the same context counts once, and no token more than `perToken` times. */
function firstOf(hits: readonly TokenHit[], { size, perToken }: TailSize, sign: 1 | -1): TokenHit[] {
  const seen = new Set<string>();
  const counts = new Map<number, number>();
  const first: TokenHit[] = [];
  for (const hit of [...hits].sort((a, b) => sign * (b.score - a.score))) {
    const { ids, at } = hit;
    const key = `${at}:${ids.join()}`;
    const count = counts.get(ids[at]) ?? 0;
    if (count >= perToken || seen.has(key)) continue;
    seen.add(key);
    counts.set(ids[at], count + 1);
    if (first.push(hit) === size) break;
  }
  return first;
}

/** The ends of several streams together. */
export function joinTails(tails: readonly TokenTails[], size: TailSize): TokenTails {
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
    private readonly size: TailSize,
    private readonly sign: 1 | -1,
  ) {}

  offer(score: number, token: () => TokenInContext): void {
    if (this.sign * score <= this.limit) return;
    this.kept.push({ score, ...token() });
    if (this.kept.length >= 4 * this.size.size) this.shrink();
  }

  private shrink(): void {
    this.kept = firstOf(this.kept, this.size, this.sign);
    if (this.kept.length === this.size.size) this.limit = this.sign * this.kept[this.size.size - 1].score;
  }

  get hits(): readonly TokenHit[] {
    return firstOf(this.kept, this.size, this.sign);
  }
}

/** Gathers both ends of each feature over a stream. */
export class TailsOfFeatures {
  private readonly ends: readonly { readonly high: Tail; readonly low: Tail }[];

  constructor(features: number, size: TailSize) {
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
