import type { ModelRunner } from '../engine/modelRunner.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { OpenModel } from '../models/openModel.ts';
import { CoMoments, type CoMomentsJson } from './coMoments.ts';
import type { Corpus, CorpusShare } from './corpus.ts';
import type { FeatureMoments } from './coupling.ts';
import { FeatureScorer, featuresByHook, type ScoredFeature } from './featureScores.ts';
import { type CorpusExtent, joinExtents, scoreShare } from './scoreShare.ts';
import { joinSamples, randomOfShare, type SampledToken, TokenSample } from './tokenSample.ts';

/** How features go together on a share of a corpus; JSON, as a cell keeps it. */
export interface CouplingShare extends CorpusExtent {
  readonly own: CoMomentsJson;
  /** By hook: the features that are read there against all. */
  readonly at: Readonly<Record<string, CoMomentsJson>>;
  readonly sample: readonly SampledToken[];
}

export interface CouplingCorpus extends CorpusExtent {
  readonly moments: FeatureMoments;
  /** Uniform over the tokens, with context: points of scatters. */
  readonly sample: readonly SampledToken[];
}

/** Columns of `[rows, width]`. */
function columnsOf(values: Float64Array, width: number, columns: readonly number[]): Float64Array {
  const rows = values.length / width;
  const result = new Float64Array(rows * columns.length);
  for (let row = 0; row < rows; row += 1) {
    for (let c = 0; c < columns.length; c += 1) result[row * columns.length + c] = values[row * width + columns[c]];
  }
  return result;
}

/**
 * Moments of the scores of features on a share of a corpus, and some tokens. One forward pass of each text.
 * @param points size of the sample
 * @throws MechanistError `bad-input`, `cancelled`
 */
export async function couplingShare(
  context: ClimbContext & { readonly model: OpenModel; readonly runner: ModelRunner; readonly seed: number },
  corpus: Corpus,
  share: CorpusShare,
  features: readonly ScoredFeature[],
  points: number,
): Promise<CouplingShare> {
  const scorer = new FeatureScorer(context.runner, features);
  const { length } = features;
  const own = new CoMoments(length, length);
  const at = new Map([...scorer.byHook].map(([hook, rows]) => [hook, new CoMoments(rows.length, length)]));
  const sample = new TokenSample(points, randomOfShare(context.seed, share.index));
  const extent = await scoreShare(
    context,
    corpus,
    share,
    scorer,
    (scored) => {
      own.add(scored.own, scored.own, scored.rows);
      for (const [hook, values] of scored.at) {
        at.get(hook)?.add(columnsOf(values, length, scorer.byHook.get(hook) ?? []), values, scored.rows);
      }
      sample.add(scored);
    },
    true,
  );
  const json = Object.fromEntries([...at].map(([hook, moments]) => [hook, moments.toJson()]));
  return { ...extent, own: own.toJson(), at: json, sample: sample.tokens };
}

/** The shares together: what one stream over the whole corpus would have given. */
export function joinCouplingShares(
  runner: Pick<ModelRunner, 'config'>,
  features: readonly Pick<ScoredFeature, 'hook'>[],
  shares: readonly CouplingShare[],
  points: number,
): CouplingCorpus {
  const { length } = features;
  const places = new Map<number, { readonly moments: CoMoments; readonly index: number }>();
  for (const [hook, rows] of featuresByHook(runner, features)) {
    const parts = shares.map(({ at }) => at[hook]);
    const moments = CoMoments.joined(rows.length, length, parts);
    rows.forEach((row, index) => {
      places.set(row, { moments, index });
    });
  }
  const covariance = (row: number, column: number) => {
    const place = places.get(row);
    if (place === undefined || !(place.moments.squaresOfRow(place.index) > 0)) return null;
    return place.moments.product(place.index, column) / place.moments.squaresOfRow(place.index);
  };
  const own = CoMoments.joined(
    length,
    length,
    shares.map((share) => share.own),
  );
  const sample = joinSamples(
    shares.map((share) => share.sample),
    points,
  );
  return { ...joinExtents(shares), moments: { own, covariance }, sample };
}
