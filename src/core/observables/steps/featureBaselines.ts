import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { MechanistError, throwIfCancelled } from '../../../shared/errors.ts';
import { seededRandom } from '../../../shared/statistics.ts';
import type { CellResult, StepCell, StepContext, StepKind } from '../../experiments/stepKind.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { shortNumber } from '../../experiments/steps/rowGroups.ts';
import { rolesOf } from '../../experiments/steps/taskRows.ts';
import { cosine } from '../coupling.ts';
import type { FeatureVector } from '../featureVector.ts';
import { type PairSide, pairsOf, partnerCorruption, sideBatches } from '../pairSides.ts';
import { aucOf, rSquaredOf } from '../probeScores.ts';
import { drawTraining, splitSides } from '../probeSplit.ts';
import { fitProbes, type ProbeMethod, type ProbeSample, probeMethods } from '../probes.ts';
import { observableValue } from '../steerAlong.ts';
import { StreamEditor } from '../streamEdit.ts';
import { randomOfShare } from '../tokenSample.ts';
import { dot } from '../vectors.ts';
import { assembleBaselines, type BaselineCell, type ProbeQuality } from './baselineFigures.ts';
import { featureSchemas, filesOfFeatures } from './featureParams.ts';
import { type PairedFeatureParams, pairedFeature } from './pairedFeature.ts';

interface FeatureBaselinesParams extends PairedFeatureParams {
  readonly observable?: string | ObservableSpec;
  readonly sizes?: readonly number[];
  readonly seeds?: number;
  readonly heldOut?: number;
}

const SIZES = [2, 6, 20, 60, 200];
const SEEDS = 5;
const HELD_OUT = 0.25;
/** Random directions that tell what a direction of no meaning reaches. */
const RANDOM_DIRECTIONS = 100;

interface Read {
  readonly feature: FeatureVector;
  readonly role: string;
  readonly sides: readonly PairSide[];
  /** Index of the row's own prompt among the sides. */
  readonly made: number;
  readonly sample: ProbeSample;
}

/** Activations at the feature's hook and role, and the observable, of every prompt. One forward pass each. */
async function read(context: StepContext, params: FeatureBaselinesParams): Promise<Read> {
  const { runner, signal } = context;
  const { feature, role, pairs, row } = await pairedFeature(context, params);
  const sides = pairs.flatMap(({ clean, corrupted }) => [clean, corrupted]);
  const observable = context.observable(params.observable ?? params.feature.observable);
  const editor = new StreamEditor(runner, feature.hook, feature.vector, signal);
  const x: Float64Array[] = new Array(sides.length);
  const y: number[] = new Array(sides.length);
  const batches = sideBatches(sides);
  for (const [done, batch] of batches.entries()) {
    throwIfCancelled(signal);
    await context.giveWay?.();
    context.onProgress?.({ done, total: batches.length, label: 'activations' });
    const own = batch.map((side) => sides[side]);
    const run = await editor.unedited(own.map(({ ids }) => ids));
    const logits = await editor.logitsAt(
      run.final,
      batch.length,
      own.map(({ answer }) => answer),
    );
    const { dModel } = runner.config;
    batch.forEach((side, item) => {
      const start = (item * own[item].ids.length + own[item].at) * dModel;
      x[side] = Float64Array.from(run.stream.subarray(start, start + dModel));
      const width = logits.length / batch.length;
      y[side] = observableValue(observable, logits.subarray(item * width, (item + 1) * width));
    });
  }
  const made =
    Math.max(
      0,
      pairs.findIndex(({ clean }) => clean.row === row),
    ) * 2;
  return { feature, role, sides, made, sample: { x, y, positive: sides.map((_, i) => i % 2 === 0) } };
}

const pick = ({ x, y, positive }: ProbeSample, of: readonly number[]): ProbeSample => ({
  x: of.map((i) => x[i]),
  y: of.map((i) => y[i]),
  positive: of.map((i) => positive[i]),
});

function qualityOf(direction: Float64Array, held: ProbeSample, feature: Float64Array): ProbeQuality {
  const scores = held.x.map((row) => dot(row, direction));
  return {
    rSquared: shortNumber(rSquaredOf(scores, held.y)),
    auc: shortNumber(aucOf(scores, held.positive)),
    cosine: shortNumber(cosine(direction, feature)),
  };
}

function randomQuality(held: ProbeSample, width: number, seed: number): readonly number[] {
  const random = seededRandom(seed);
  return Array.from({ length: RANDOM_DIRECTIONS }, () => {
    const direction = Float64Array.from({ length: width }, () => random.normal());
    return shortNumber(
      rSquaredOf(
        held.x.map((row) => dot(row, direction)),
        held.y,
      ),
    );
  });
}

/** Sizes that the training set has, even numbers; a larger one stands for all of it. */
function trainingSizes(sizes: readonly number[], train: readonly number[]): readonly number[] {
  const perSide = [0, 1].map((side) => train.filter((i) => i % 2 === side).length);
  const most = 2 * Math.min(...perSide);
  return [...new Set(sizes.map((size) => Math.min(most, size + (size % 2))))].sort((a, b) => a - b);
}

async function run(context: StepContext, params: FeatureBaselinesParams, cell: StepCell): Promise<CellResult> {
  const passes = countedPasses(context);
  const make = () => read(context, params);
  const { feature, role, sides, made, sample } = await (context.recent?.('activations', make) ?? make());
  const split = splitSides(sides, params.heldOut ?? HELD_OUT, made, context.seed);
  const held = pick(sample, split.heldOut);
  const index = Number(cell.id.slice(SEED.length));
  const random = randomOfShare(context.seed, index);
  const fitted: { size: number; quality: Record<ProbeMethod, ProbeQuality> }[] = [];
  for (const size of trainingSizes(params.sizes ?? SIZES, split.train)) {
    throwIfCancelled(context.signal);
    await context.giveWay?.();
    const training = drawTraining(split.train, size, random);
    if (training === null) continue;
    const directions = fitProbes(pick(sample, training));
    const entries = probeMethods.map((method) => [method, qualityOf(directions[method], held, feature.vector)]);
    fitted.push({ size, quality: Object.fromEntries(entries) as Record<ProbeMethod, ProbeQuality> });
  }
  const { name, hook, warnings } = feature;
  const own: BaselineCell = {
    feature: { name, hook, warnings },
    ...{ role, byToken: split.byToken, trainable: split.train.length, fitted },
    scores: held.x.map((row) => shortNumber(dot(row, feature.vector))),
    measured: held.y.map(shortNumber),
    positive: held.positive,
    heldOut: split.heldOut.map((i) => ({ row: sides[i].row, at: sides[i].at, id: sides[i].ids[sides[i].at] })),
    random: randomQuality(held, feature.vector.length, context.seed),
    forwardPasses: passes(),
  };
  return { ...own };
}

const SEED = 'seed:';

function checkParams(context: StepContext, params: FeatureBaselinesParams): void {
  const { task } = context;
  const corruption = partnerCorruption(task, params.corruption);
  if (params.at !== undefined) {
    rolesOf(task, [params.at]);
    pairsOf(task, corruption, params.at);
  }
  context.observable(params.observable ?? params.feature.observable);
  const pairs = task.items.filter((item) => corruption in item.corrupted).length;
  if (pairs >= 4) return;
  throw new MechanistError('bad-input', `Held-out prompts need at least 4 pairs, and ${task.name} has ${pairs}.`);
}

/**
 * A feature vector beside directions that labelled prompts give: linear regression on the observable, logistic regression and mean
 * difference on the sides, at the same hook and role, from 2 to 200 prompts, judged on the same held-out prompts (§4.3 of the paper, whose
 * baselines differ in layer, token and held-out set). A token that is held out was never trained on.
 */
export const featureBaselines: StepKind<FeatureBaselinesParams> = {
  name: 'feature-baselines',
  // 2: a token of both sides is held out of both.
  version: 2,
  params: {
    type: 'object',
    description:
      'Compares a feature vector with what labelled prompts give at the same hook and role: linear regression, logistic regression, mean difference, by number of prompts and over several draws; r² with the observable and AUC between the sides on held-out prompts.',
    properties: {
      feature: featureSchemas.feature,
      observable: {
        ...paramSchemas.observable,
        description: 'What is predicted. Default: the observable of the feature.',
      },
      at: {
        type: 'string',
        description: 'Role whose last token is read. Default: the role of the token at which the feature is read.',
      },
      sizes: {
        type: 'array',
        items: { type: 'integer', minimum: 2 },
        minItems: 1,
        default: SIZES,
        description:
          'Numbers of prompts that are learned from, half of each side; the largest possible where there are fewer.',
      },
      seeds: {
        type: 'integer',
        minimum: 1,
        maximum: 100,
        default: SEEDS,
        description: 'Draws of prompts for each number.',
      },
      heldOut: {
        ...{ type: 'number', exclusiveMinimum: 0, maximum: 0.9, default: HELD_OUT },
        description: 'Share of the tokens at the role whose prompts are held out.',
      },
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
    },
    required: ['feature'],
    additionalProperties: false,
  },
  files: ({ feature }) => filesOfFeatures([feature]),
  cells: (context, params) => {
    checkParams(context, params);
    return Array.from({ length: params.seeds ?? SEEDS }, (_, i) => ({ id: `${SEED}${i}`, passes: 2 }));
  },
  run,
  assemble: (context, params, results) => {
    const seeds = Array.from({ length: params.seeds ?? SEEDS }, (_, i) => results.get(`${SEED}${i}`));
    const cells = seeds.flatMap((cell) => (cell === undefined ? [] : [cell as unknown as BaselineCell]));
    const { label } = context.observable(params.observable ?? params.feature.observable);
    return assembleBaselines(context, cells, { label, largest: Math.max(...(params.sizes ?? SIZES)) });
  },
};
