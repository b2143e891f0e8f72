import type { FeatureSpec } from '../../../shared/features.ts';
import type { HistogramPicture, Picture, TablePicture } from '../../../shared/figures.ts';
import { count, visibleToken } from '../../../shared/format.ts';
import { quantileOfSorted } from '../../../shared/statistics.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { CoMoments, type CoMomentsJson } from '../coMoments.ts';
import { featureKeys } from '../featureKeys.ts';
import { FeatureScorer } from '../featureScores.ts';
import { type FeatureRow, featuresOfRow } from '../featuresOfRow.ts';
import { type CorpusExtent, joinExtents, scoreShare } from '../scoreShare.ts';
import {
  CONTEXT,
  joinSamples,
  randomOfShare,
  type SampledToken,
  type TokenInContext,
  TokenSample,
} from '../tokenSample.ts';
import { joinTails, type TailSize, TailsOfFeatures, type TokenHit, type TokenTails } from '../tokenTails.ts';
import { type CorpusParams, corpusOf, corpusSchemas, extentWarnings, extentWords } from './corpusParams.ts';
import { featureSchemas, filesOfFeatures } from './featureParams.ts';

interface TopTokensParams extends CorpusParams, FeatureRow {
  readonly features: readonly FeatureSpec[];
  readonly top?: number;
  readonly perToken?: number;
  readonly middle?: number;
}

/** Tokens whose scores the histogram shows. */
const SAMPLE = 1000;
const DEFAULT_TOP = 30;
const DEFAULT_PER_TOKEN = 3;
const DEFAULT_MIDDLE = 10;

interface Part extends CorpusExtent {
  readonly features: readonly { readonly name: string; readonly hook: string; readonly warnings: readonly string[] }[];
  readonly moments: CoMomentsJson;
  readonly tails: readonly TokenTails[];
  readonly sample: readonly SampledToken[];
  readonly forwardPasses: number;
}

function sizeOf({ top = DEFAULT_TOP, perToken = DEFAULT_PER_TOKEN }: TopTokensParams): TailSize {
  return { size: top, perToken };
}

async function run(context: StepContext, params: TopTokensParams, cell: StepCell): Promise<CellResult> {
  const { corpus, shares } = corpusOf(context, params);
  const share = shares[Number(cell.id.slice(PART.length))];
  const passes = countedPasses(context);
  const make = () => featuresOfRow(context, params.features, params);
  const made = await (context.recent?.('features', make) ?? make());
  const scorer = new FeatureScorer(context.runner, made);
  const moments = new CoMoments(made.length, 0);
  const tails = new TailsOfFeatures(made.length, sizeOf(params));
  const sample = new TokenSample(SAMPLE, randomOfShare(context.seed, share.index));
  const extent = await scoreShare(context, corpus, share, scorer, (scored) => {
    moments.add(scored.own, [], scored.rows);
    tails.add(scored);
    sample.add(scored);
  });
  const part: Part = {
    ...extent,
    features: made.map(({ name, hook, warnings }) => ({ name, hook, warnings })),
    moments: moments.toJson(),
    tails: tails.tails,
    sample: sample.tokens,
    forwardPasses: passes(),
  };
  return { ...part };
}

const PART = 'part:';

/** `…went to ⟦ Mary⟧ and…`: the token among its neighbours. */
function contextText({ model }: StepContext, { ids, at }: TokenInContext): string {
  const { tokenizer } = model;
  const shown = (part: readonly number[]) => tokenizer.decode(part).replace(/\s+/g, ' ');
  return `${shown(ids.slice(0, at))}⟦${tokenizer.tokenText(ids[at])}⟧${shown(ids.slice(at + 1))}`;
}

function tableOf(
  context: StepContext,
  feature: { readonly name: string; readonly hook: string },
  index: number,
  tails: TokenTails,
  middle: readonly TokenHit[],
): TablePicture {
  const rowsOf = (place: string, hits: readonly TokenHit[]) =>
    hits.map((hit) => [
      ...[place, hit.score, visibleToken(context.model.tokenizer.tokenText(hit.ids[hit.at]))],
      contextText(context, hit),
    ]);
  return {
    ...{ type: 'table', id: `tokens ${index + 1}`, title: `Where ${feature.name} is highest and lowest` },
    subtitle: `score of each token at ${feature.hook}; ${CONTEXT} tokens on either side, no token more than a few times; middle: at random between the quartiles`,
    columns: [{ name: 'place' }, { name: 'score', unit: 'logits' }, { name: 'token' }, { name: 'context' }],
    rows: [...rowsOf('highest', tails.high), ...rowsOf('middle', middle), ...rowsOf('lowest', tails.low)],
  };
}

interface Joined extends CorpusExtent {
  readonly moments: CoMoments;
  readonly sample: readonly SampledToken[];
  readonly parts: readonly Part[];
}

function join(parts: readonly Part[]): Joined {
  const features = parts[0].features.length;
  return {
    ...joinExtents(parts),
    moments: CoMoments.joined(
      features,
      0,
      parts.map((part) => part.moments),
    ),
    sample: joinSamples(
      parts.map((part) => part.sample),
      SAMPLE,
    ),
    parts,
  };
}

/** What is shown and named of one feature. */
function ofFeature(context: StepContext, params: TopTokensParams, { moments, sample, parts }: Joined, index: number) {
  const feature = parts[0].features[index];
  const tails = joinTails(
    parts.map((part) => part.tails[index]),
    sizeOf(params),
  );
  const scores = sample.map((token) => token.scores[index]);
  const sorted = Float64Array.from(scores).sort();
  const [low, high] = [0.25, 0.75].map((q) => quantileOfSorted(sorted, q));
  const between = sample
    .filter((_, i) => scores[i] >= low && scores[i] <= high)
    .slice(0, params.middle ?? DEFAULT_MIDDLE)
    .map(({ ids, at, scores: all }) => ({ ids, at, score: all[index] }));
  const mean = moments.meanOfRow(index);
  const sd = Math.sqrt(moments.squaresOfRow(index) / Math.max(1, moments.count - 1));
  const histogram: HistogramPicture = {
    ...{ type: 'histogram', id: `scores ${index + 1}`, title: `Scores of ${feature.name}`, values: scores },
    subtitle: `${count(scores.length)} tokens at random of ${count(moments.count)}; lines: mean of all, and the quartiles of the sample`,
    markers: [
      { label: 'mean', value: mean, emphasised: true },
      ...[
        { label: 'lower quartile', value: low },
        { label: 'upper quartile', value: high },
      ],
    ],
    unit: 'logits',
  };
  const key = featureKeys(params.features)[index];
  const values: Record<string, number> = { [`${key}.mean`]: mean, [`${key}.sd`]: sd };
  if (tails.high.length > 0) values[`${key}.highest`] = tails.high[0].score;
  if (tails.low.length > 0) values[`${key}.lowest`] = tails.low[0].score;
  return { pictures: [tableOf(context, feature, index, tails, between), histogram], values };
}

function assemble(context: StepContext, params: TopTokensParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const { shares } = corpusOf(context, params);
  const parts = shares.flatMap(({ index }) => (results.get(`${PART}${index}`) as unknown as Part | undefined) ?? []);
  const base = { title: 'Tokens at the ends of features', ablation: 'none' };
  const read = parts.filter((part) => part.moments.count > 0);
  if (read.length === 0) {
    const empty =
      parts.length === shares.length
        ? [`${params.corpus} has no text of two tokens or more: there is nothing to read.`]
        : [];
    return { ...base, subtitle: `nothing of ${params.corpus} is read yet`, pictures: [], values: {}, warnings: empty };
  }
  const joined = join(read);
  const all = params.features.map((_, index) => ofFeature(context, params, joined, index));
  const pictures: Picture[] = all.flatMap((own) => own.pictures);
  return {
    ...base,
    subtitle: `${extentWords(params.corpus, joined)} · first token of each window left out`,
    pictures,
    values: Object.assign({ tokens: joined.tokens, documents: joined.documents }, ...all.map((own) => own.values)),
    warnings: [
      ...extentWarnings(params.corpus, joined),
      ...new Set(read[0].features.flatMap(({ warnings }) => warnings)),
    ],
  };
}

/**
 * Tokens of a corpus at both ends of features, and at random from the middle, in context (appendix I of the paper: 30 of each end
 * with 18 tokens on either side; the middle is ours, so that nobody reads a feature off its extremes alone). One forward pass of
 * each text, up to the last hook, for all features.
 */
export const topTokens: StepKind<TopTokensParams> = {
  name: 'top-tokens',
  params: {
    type: 'object',
    description:
      'Tokens of a corpus on which features are highest, lowest and in between, in context; a histogram of the scores. One forward pass of each text for all features.',
    properties: {
      features: featureSchemas.features,
      ...corpusSchemas,
      top: { type: 'integer', minimum: 1, maximum: 200, default: DEFAULT_TOP, description: 'Tokens at each end.' },
      perToken: {
        ...{ type: 'integer', minimum: 1, maximum: 200, default: DEFAULT_PER_TOKEN },
        description: 'How often the same token may be at an end, each time in another context.',
      },
      middle: {
        ...{ type: 'integer', minimum: 0, maximum: 200, default: DEFAULT_MIDDLE },
        description: 'Tokens at random from between the quartiles.',
      },
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
    },
    required: ['features', 'corpus'],
    additionalProperties: false,
  },
  files: ({ corpus, features }) => [corpus, ...filesOfFeatures(features)],
  cells: (context, params) => {
    const { shares, passes } = corpusOf(context, params);
    return shares.map(({ index }) => ({ id: `${PART}${index}`, passes: passes / shares.length }));
  },
  run,
  assemble,
};
