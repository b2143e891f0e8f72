import { type CoupledFeatures, coupledFeatures } from '../../../shared/couplingFeatures.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { type LinearisationPoint, linearisationPoints, type NormMode, normModes } from '../../../shared/features.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from '../../experiments/stepKind.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { pathFormat } from '../../tasks/experiment/pathRefs.ts';
import { printPath } from '../../tasks/pathText.ts';
import { cosine, couplingEntries } from '../coupling.ts';
import { type CouplingShare, couplingShare } from '../couplingShare.ts';
import { type FeatureRow, featurePromptOf, featuresOfRow } from '../featuresOfRow.ts';
import type { FeatureVector } from '../featureVector.ts';
import { finalNormAngles } from '../finalNormAngles.ts';
import { length } from '../vectors.ts';
import { type CorpusParams, corpusOf, corpusSchemas } from './corpusParams.ts';
import { type CoupledWeights, coupledStep } from './coupledStep.ts';
import { featureSchemas } from './featureParams.ts';

/** What `couple-features` is asked. */
export interface CoupleParams extends FeatureRow, Partial<CorpusParams> {
  readonly features: CoupledFeatures;
  readonly norm?: NormMode;
  readonly point?: LinearisationPoint;
  readonly sample?: number;
}

const WEIGHTS = 'weights';
const PART = 'part:';
const DEFAULT_TOKENS = 40_000;
const DEFAULT_SAMPLE = 900;
/** A matrix of more can neither be read nor drawn. */
const MOST_FEATURES = 60;

const reads = (params: CoupleParams): params is CoupleParams & CorpusParams => params.corpus !== undefined;

function specsOf({ features }: CoupleParams) {
  const all = coupledFeatures(features);
  if (all.length <= MOST_FEATURES) return all;
  const message = `These are ${all.length} features; a matrix shows at most ${MOST_FEATURES}. Name fewer observables or paths.`;
  throw new MechanistError('bad-input', message);
}

/** Made once for neighbouring cells. */
function featuresOf(context: StepContext, params: CoupleParams): Promise<FeatureVector[]> {
  const { norm = 'scaled', point = 'prompt', row, corruption } = params;
  const specs = specsOf(params).map((spec) => ({ ...spec, norm, point }));
  const make = () => featuresOfRow(context, specs, { row, corruption });
  return context.recent?.('features', make) ?? make();
}

async function weightsCell(context: StepContext, params: CoupleParams): Promise<CoupledWeights> {
  const passes = countedPasses(context);
  const features = await featuresOf(context, params);
  const entries = couplingEntries(features);
  const prompt = featurePromptOf(context, params);
  const { norm, point } = { norm: 'scaled' as const, point: 'prompt' as const, ...params };
  const specs = specsOf(params);
  const norms = [];
  const directions: Float64Array[] = [];
  const seen = new Set<string>();
  for (const [i, { observable }] of specs.entries()) {
    const key = JSON.stringify(observable);
    if (seen.has(key)) continue;
    seen.add(key);
    norms.push({ feature: i, ...(await finalNormAngles(context, context.observable(observable), prompt)) });
    const { direction } = await context.runner.unembedding.direction(context.observable(observable).terms);
    directions.push(direction);
  }
  return {
    features: features.map(({ path, hook, vector, observable, warnings }) => {
      const [node, whole] = [printPath(path, false), printPath(path)];
      return { node, path: whole, hook, norm: length(vector), terms: observable.label, warnings };
    }),
    C: entries.map((row) => row.map((entry) => entry.coupling)),
    cos: entries.map((row) => row.map((entry) => entry.cosine)),
    unembedded: directions.map((one) => directions.map((other) => cosine(one, other))),
    ...{ norms, norm, point, forwardPasses: passes() },
  };
}

async function run(context: StepContext, params: CoupleParams, cell: StepCell): Promise<CellResult> {
  if (cell.id === WEIGHTS || !reads(params)) return { ...(await weightsCell(context, params)) };
  const { corpus, shares } = corpusOf(context, params);
  const share = shares[Number(cell.id.slice(PART.length))];
  const passes = countedPasses(context);
  const features = await featuresOf(context, params);
  const found = await couplingShare(context, corpus, share, features, params.sample ?? DEFAULT_SAMPLE);
  return { ...found, forwardPasses: passes() };
}

function assemble(context: StepContext, params: CoupleParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const weights = (results.get(WEIGHTS) as unknown as CoupledWeights | undefined) ?? null;
  const shares = reads(params) ? corpusOf(context, params).shares : [];
  const parts = shares.flatMap(
    ({ index }) => (results.get(`${PART}${index}`) as unknown as CouplingShare | undefined) ?? [],
  );
  const { corpus = null, sample = DEFAULT_SAMPLE } = params;
  return coupledStep(context, { specs: specsOf(params), row: params.row, corpus, sample }, weights, parts);
}

const listed = { ...featureSchemas.features.items.properties };

/**
 * How features couple (Dunefsky and Cohan 2024, §3): C from the weights, C_S and slopes on a corpus, and the angle at the final norm.
 * A cell for the weights, one or two forward passes; one for each share of the corpus, one forward pass of each text.
 */
export const coupleFeatures: StepKind<CoupleParams> = {
  name: 'couple-features',
  version: 2,
  params: {
    type: 'object',
    description:
      'How features couple: what one is expected to do when another fires. Coupling coefficients and cosines from the weights; on a corpus, if there is one, also slopes, r² and coefficients by its covariance; the angle at the final norm.',
    properties: {
      features: {
        oneOf: [
          {
            ...{ type: 'array', minItems: 1, maxItems: MOST_FEATURES },
            items: {
              type: 'object',
              properties: { observable: listed.observable, path: listed.path },
              required: ['observable', 'path'],
              additionalProperties: false,
            },
          },
          {
            type: 'object',
            properties: {
              observables: { type: 'array', minItems: 1, items: paramSchemas.observable },
              paths: {
                ...{ type: 'array', minItems: 1, items: { type: 'string', format: pathFormat } },
                description: listed.path.description,
              },
            },
            required: ['observables', 'paths'],
            additionalProperties: false,
          },
        ],
        description: 'Features: a list, each an observable and a path; or observables and paths, each with each.',
      },
      norm: { enum: normModes, default: 'scaled', description: listed.norm.description },
      point: { enum: linearisationPoints, default: 'prompt', description: listed.point.description },
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
      ...corpusSchemas,
      tokens: { ...corpusSchemas.tokens, default: DEFAULT_TOKENS },
      sample: {
        ...{ type: 'integer', minimum: 1, maximum: 5000, default: DEFAULT_SAMPLE },
        description: 'Tokens drawn at random whose scores the scatter shows.',
      },
    },
    required: ['features'],
    additionalProperties: false,
  },
  files: ({ corpus }) => (corpus === undefined ? [] : [corpus]),
  cells: (context, params) => {
    specsOf(params);
    featurePromptOf(context, params);
    const weights = { id: WEIGHTS, passes: 2 / Math.max(1, context.task.items.length) };
    if (!reads(params)) return [weights];
    const { shares, passes } = corpusOf(context, params);
    return [weights, ...shares.map(({ index }) => ({ id: `${PART}${index}`, passes: passes / shares.length }))];
  },
  run,
  assemble,
};
