import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { CellResult, StepCell, StepContext, StepKind } from '../../experiments/stepKind.ts';
import { idPart } from '../../experiments/steps/cellIds.ts';
import { meanOf } from '../../experiments/steps/estimate.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { rolesOf } from '../../experiments/steps/taskRows.ts';
import type { FeatureVector } from '../featureVector.ts';
import { type PairRuns, runPairs } from '../pairRuns.ts';
import { type PairSide, partnerCorruption } from '../pairSides.ts';
import { pathSlopes, steerAlong } from '../steerAlong.ts';
import { StreamEditor } from '../streamEdit.ts';
import { length } from '../vectors.ts';
import { featureSchemas, filesOfFeatures } from './featureParams.ts';
import { type PairedFeatureParams, pairedFeature } from './pairedFeature.ts';
import { assembleSteering, type SteeringBase, type SteeringCell } from './steerFigures.ts';

interface SteerFeatureParams extends PairedFeatureParams {
  readonly factors?: readonly number[];
  readonly unit?: 'pair' | 'vector' | 'length';
  readonly also?: readonly (string | ObservableSpec)[];
}

const FACTORS = [-2, -1, -0.5, 0.5, 1, 2];
const BASE = 'base';
const cellOf = (factor: number) => `x:${idPart(String(factor))}`;

function factorsOf({ factors = FACTORS }: SteerFeatureParams): readonly number[] {
  if (factors.every(Number.isFinite))
    return [...new Set(factors)].filter((factor) => factor !== 0).sort((a, b) => a - b);
  throw new MechanistError('bad-input', 'Factors are numbers, such as -1, 0.5 and 1.');
}

function observablesOf(context: StepContext, { feature, also = [] }: SteerFeatureParams) {
  return [feature.observable, ...also].map((ref) => context.observable(ref));
}

interface Prepared {
  readonly feature: FeatureVector;
  readonly editor: StreamEditor;
  readonly role: string;
  readonly sides: readonly PairSide[];
  readonly runs: PairRuns;
}

async function prepare(context: StepContext, params: SteerFeatureParams): Promise<Prepared> {
  const { runner, signal } = context;
  const { feature, role, pairs } = await pairedFeature(context, params);
  const sides = pairs.flatMap(({ clean, corrupted }) => [clean, corrupted]);
  const editor = new StreamEditor(runner, feature.hook, feature.vector, signal);
  const runs = await runPairs(context, editor, sides, (done, total) => {
    context.onProgress?.({ done, total, label: 'unsteered' });
  });
  return { feature, editor, role, sides, runs };
}

/** How many lengths of the unit direction the factor 1 is. */
function stepLength(
  unit: SteerFeatureParams['unit'],
  { vector }: FeatureVector,
  coefficients: readonly number[],
): number {
  if (unit === 'length') return 1;
  if (unit === 'vector') return length(vector);
  const difference = coefficients.flatMap((value, i) => (i % 2 === 0 ? [value - coefficients[i + 1]] : []));
  return meanOf(difference) ?? 0;
}

async function run(context: StepContext, params: SteerFeatureParams, cell: StepCell): Promise<CellResult> {
  const passes = countedPasses(context);
  const make = () => prepare(context, params);
  const { feature, editor, role, sides, runs } = await (context.recent?.('unsteered', make) ?? make());
  const observables = observablesOf(context, params);
  const step = stepLength(params.unit, feature, runs.coefficients);
  if (cell.id === BASE) {
    const path = { observable: observables[0], path: params.feature.path };
    const own: SteeringBase = {
      ...(await steerAlong(context, editor, sides, runs, observables, 0)),
      slopes: await pathSlopes(context, editor.unit, sides, path),
      ...{ role, rows: sides.flatMap(({ row }, i) => (i % 2 === 0 ? [row] : [])) },
      ...{ step, size: length(feature.vector), hook: feature.hook },
      ...{ name: feature.name, warnings: feature.warnings, forwardPasses: passes() },
    };
    return { ...own };
  }
  const factor = factorsOf(params).find((own) => cellOf(own) === cell.id) ?? 0;
  const { values, kl } = await steerAlong(context, editor, sides, runs, observables, factor * step);
  const own: SteeringCell = { values, kl, forwardPasses: passes() };
  return { ...own };
}

/**
 * Adds multiples of a feature vector at one role, and measures the observable on both prompts of each pair, beside what the path alone
 * would give: an exactly linear prediction (§4.1 of our notes; the draft of the paper adds ±50 v and finds neither proportion nor
 * symmetry, since norms and later layers answer).
 */
export const steerFeature: StepKind<SteerFeatureParams> = {
  name: 'steer-feature',
  params: {
    type: 'object',
    description:
      'Adds multiples of a feature vector to the residual stream at one role: the observable on both prompts of each pair, beside the exactly linear effect along the path alone, and the KL of the next tokens.',
    properties: {
      feature: featureSchemas.feature,
      factors: {
        type: 'array',
        items: { type: 'number' },
        minItems: 1,
        maxItems: 41,
        default: FACTORS,
        description: 'Multiples of the unit that are added.',
      },
      unit: {
        enum: ['pair', 'vector', 'length'],
        default: 'pair',
        description:
          'What a factor of 1 adds. pair: the mean difference along the feature between the two prompts of a pair. vector: the feature vector as it is. length: a vector of length 1.',
      },
      at: {
        type: 'string',
        description: 'Role whose last token is changed. Default: the role of the token at which the feature is read.',
      },
      also: {
        type: 'array',
        items: paramSchemas.observable,
        description: 'Other observables that are measured.',
      },
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
    },
    required: ['feature'],
    additionalProperties: false,
  },
  files: ({ feature }) => filesOfFeatures([feature]),
  cells: (context, params) => {
    partnerCorruption(context.task, params.corruption);
    if (params.at !== undefined) rolesOf(context.task, [params.at]);
    observablesOf(context, params);
    return [{ id: BASE, passes: 4 }, ...factorsOf(params).map((factor) => ({ id: cellOf(factor), passes: 1.5 }))];
  },
  run,
  assemble: (context, params, results) => {
    const cells = factorsOf(params).map((factor) => ({
      factor,
      cell: results.get(cellOf(factor)) as unknown as SteeringCell | undefined,
    }));
    const labels = observablesOf(context, params).map(({ label }) => label);
    return assembleSteering(context, results.get(BASE) as unknown as SteeringBase | undefined, cells, {
      labels,
      unit: params.unit ?? 'pair',
    });
  },
};
