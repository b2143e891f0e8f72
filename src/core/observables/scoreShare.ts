import { throwIfCancelled } from '../../shared/errors.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { OpenModel } from '../models/openModel.ts';
import type { Corpus, CorpusShare } from './corpus.ts';
import { type CorpusWindow, shareWindows, windowBatches } from './corpusWindows.ts';
import type { BatchScores, FeatureScorer } from './featureScores.ts';

/** How much of a corpus was read. */
export interface CorpusExtent {
  /** Tokens of text, BOS apart; the first of each window is run, but not scored. */
  readonly tokens: number;
  readonly documents: number;
  /** The limit of tokens was reached somewhere. */
  readonly cut: boolean;
}

/** Scores of a batch of windows at the positions that are read. */
export interface ScoredWindows {
  readonly windows: readonly CorpusWindow[];
  /** Rows of the scores: window by window, each from its `first` position on. */
  readonly rows: number;
  /** `[rows, features]`, each feature at its own hook. */
  readonly own: Float64Array;
  /** `[rows, features]` by hook: every vector on the activations there. Empty unless asked for. */
  readonly at: ReadonlyMap<string, Float64Array>;
}

/** Leaves out the positions of each window that are not read: `[batch, pos, width]` to `[rows, width]`. */
function readRows(values: Float64Array, windows: readonly CorpusWindow[], width: number): Float64Array {
  const [{ ids, first }] = windows;
  const [all, kept] = [ids.length * width, (ids.length - first) * width];
  const result = new Float64Array(windows.length * kept);
  for (let i = 0; i < windows.length; i += 1) {
    result.set(values.subarray(i * all + first * width, (i + 1) * all), i * kept);
  }
  return result;
}

function readScores({ own, at }: BatchScores, windows: readonly CorpusWindow[], features: number): ScoredWindows {
  const take = (values: Float64Array) => readRows(values, windows, features);
  return {
    windows,
    rows: windows.length * (windows[0].ids.length - windows[0].first),
    own: take(own),
    at: new Map([...at].map(([hook, values]) => [hook, take(values)])),
  };
}

/**
 * Scores features on a share of a corpus, batch by batch: one forward pass of each text, however many features.
 * @throws MechanistError `bad-input` as `documentsOf`, `cancelled`
 */
export async function scoreShare(
  { model, signal, onProgress, giveWay }: ClimbContext & { readonly model: Pick<OpenModel, 'tokenizer' | 'config'> },
  corpus: Corpus,
  share: CorpusShare,
  scorer: FeatureScorer,
  visit: (scored: ScoredWindows) => void,
  everywhere = false,
): Promise<CorpusExtent> {
  const { windows, ...extent } = await shareWindows(model, corpus, share);
  const batches = windowBatches(windows);
  for (const [done, batch] of batches.entries()) {
    throwIfCancelled(signal);
    await giveWay?.();
    onProgress?.({ done, total: batches.length, label: `${corpus.name}, part ${share.index + 1}` });
    const tokens = batch.map(({ ids }) => ids);
    visit(readScores(await scorer.score(tokens, { everywhere, signal }), batch, scorer.count));
  }
  return extent;
}

/** What several shares have read. */
export function joinExtents(extents: Iterable<CorpusExtent>): CorpusExtent {
  let all: CorpusExtent = { tokens: 0, documents: 0, cut: false };
  for (const { tokens, documents, cut } of extents) {
    all = { tokens: all.tokens + tokens, documents: all.documents + documents, cut: all.cut || cut };
  }
  return all;
}
