import { type Random, seededRandom } from '../../shared/statistics.ts';
import type { ScoredWindows } from './scoreShare.ts';

/** A token with its neighbours, as ids. */
export interface TokenInContext {
  readonly ids: readonly number[];
  /** Index of the token itself. */
  readonly at: number;
}

/** A token drawn at random, with its scores. */
export interface SampledToken extends TokenInContext {
  /** Of all features. */
  readonly scores: readonly number[];
  /** Uniform in [0, 1): the sample is the tokens with the smallest. */
  readonly priority: number;
}

/** Tokens on either side, as in the authors' tables. */
export const CONTEXT = 18;

/** The token of a row of scored windows, in context. */
export function tokenOfRow({ windows }: ScoredWindows, row: number): TokenInContext {
  const [{ ids, first }] = windows;
  const kept = ids.length - first;
  const window = windows[Math.floor(row / kept)].ids;
  const position = first + (row % kept);
  const start = Math.max(0, position - CONTEXT);
  return { ids: window.slice(start, position + CONTEXT + 1), at: position - start };
}

/** Random numbers of a share: shares do not need each other. */
export function randomOfShare(seed: number, share: number): Random {
  return seededRandom((seed % 2 ** 32) + 2 ** 32 * (share + 1));
}

const byPriority = (a: SampledToken, b: SampledToken) => a.priority - b.priority;

/**
 * A uniform sample of the tokens of a stream: every token draws a priority, and the smallest stay. So samples of shares join into
 * the sample of all, whatever ran where.
 */
export class TokenSample {
  private kept: SampledToken[] = [];
  private limit = Number.POSITIVE_INFINITY;

  constructor(
    private readonly size: number,
    private readonly random: Random,
  ) {}

  add(scored: ScoredWindows): void {
    const { rows, own } = scored;
    const features = own.length / rows;
    for (let row = 0; row < rows; row += 1) {
      const priority = this.random.uniform();
      if (priority >= this.limit) continue;
      const scores = [...own.subarray(row * features, (row + 1) * features)];
      this.kept.push({ ...tokenOfRow(scored, row), scores, priority });
      if (this.kept.length >= 2 * this.size) this.shrink();
    }
  }

  private shrink(): void {
    this.kept = joinSamples([this.kept], this.size);
    this.limit = this.kept[this.kept.length - 1].priority;
  }

  get tokens(): readonly SampledToken[] {
    return joinSamples([this.kept], this.size);
  }
}

/** The sample of several streams together. */
export function joinSamples(samples: Iterable<readonly SampledToken[]>, size: number): SampledToken[] {
  return [...samples].flat().sort(byPriority).slice(0, size);
}
