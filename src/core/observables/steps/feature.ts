import { coupledFeatures } from '../../../shared/couplingFeatures.ts';
import { MechanistError } from '../../../shared/errors.ts';
import type { FeatureSpec, LinearisationPoint, NormMode } from '../../../shared/features.ts';
import type { TablePicture } from '../../../shared/figures.ts';
import { signed } from '../../../shared/format.ts';
import type {
  CellResult,
  StepCell,
  StepContext,
  StepKind,
  StepResult,
  StepVector,
} from '../../experiments/stepKind.ts';
import { countedPasses } from '../../experiments/steps/passes.ts';
import { pathFormat } from '../../tasks/experiment/pathRefs.ts';
import { printPath } from '../../tasks/pathText.ts';
import { requirePath } from '../../tasks/resolvePath.ts';
import { featureKeys } from '../featureKeys.ts';
import { type FeatureRow, featurePromptOf, featuresOfRow } from '../featuresOfRow.ts';
import type { FeatureVector } from '../featureVector.ts';
import { length } from '../vectors.ts';
import { featureSchemas } from './featureParams.ts';

type ObservableRef = FeatureSpec['observable'];

interface FeatureParams extends FeatureRow {
  readonly features?: readonly FeatureSpec[];
  readonly observables?: readonly ObservableRef[];
  readonly paths?: readonly string[];
  readonly norm?: NormMode;
  readonly point?: LinearisationPoint;
}

/** What a cell keeps of a feature. */
type Kept = Omit<FeatureVector, 'vector'> & { readonly vector: readonly number[] };

/** A feature under a name of its own in the step. */
interface NamedSpec {
  readonly key: string;
  readonly spec: FeatureSpec;
}

/** @throws MechanistError `bad-input` when nothing is asked for, or a path is none */
function specsOf({ model, task }: StepContext, params: FeatureParams): readonly NamedSpec[] {
  const { features = [], observables = [], paths = [], norm, point } = params;
  const crossed = coupledFeatures({ observables, paths });
  if (features.length + crossed.length === 0) {
    throw new MechanistError('bad-input', 'Name features:, or observables: and paths:, each of which goes with each.');
  }
  const defaults = { ...(norm !== undefined && { norm }), ...(point !== undefined && { point }) };
  const asked = [...features, ...crossed];
  const keys = featureKeys(asked);
  return asked.map((own, i) => {
    requirePath(own.path, { sizes: model.config, roles: task.roles });
    return { key: keys[i], spec: { ...defaults, ...own } };
  });
}

async function run(context: StepContext, params: FeatureParams, cell: StepCell): Promise<CellResult> {
  const own = specsOf(context, params).at(Number(cell.id.slice(1)) - 1);
  if (own === undefined) throw new MechanistError('internal', `There is no cell ${cell.id}.`);
  const counted = countedPasses(context);
  const [made] = await featuresOfRow(context, [own.spec], params);
  return { feature: { ...made, vector: Array.from(made.vector) } satisfies Kept, forwardPasses: counted() };
}

const degrees = (angle: number) => (angle * 180) / Math.PI;

function vectorsTable(features: readonly { readonly key: string; readonly made: Kept }[]): TablePicture {
  return {
    ...{ type: 'table', id: 'features', title: 'Feature vectors' },
    subtitle:
      'an observable taken back along a path; score = vector · activation at the hook + offset, attention taken as 1',
    columns: [
      ...[{ name: 'feature' }, { name: 'observable' }, { name: 'path' }, { name: 'norms' }, { name: 'point' }],
      ...[{ name: 'read at' }, { name: 'length' }, { name: 'offset', unit: 'logits' }],
    ],
    rows: features.map(({ key, made }) => [
      ...[key, made.observable.label, printPath(made.path), made.norm, made.point, made.hook],
      ...[length(made.vector), made.offset],
    ]),
  };
}

function normsTable(features: readonly { readonly key: string; readonly made: Kept }[]): TablePicture {
  return {
    ...{ type: 'table', id: 'norms', title: 'How far the norms turn the gradient' },
    subtitle:
      'ρ: cosine of the direction and the input of the norm, where it is linearised; angle between the direction and the gradient through the scale',
    columns: [{ name: 'feature' }, { name: 'norm' }, { name: 'ρ' }, { name: 'angle', unit: '°' }],
    rows: features.flatMap(({ key, made }) =>
      made.norms.map(({ norm, rho, angle }) => [key, norm, rho, degrees(angle)]),
    ),
  };
}

/** All that is needed to make a vector again, beside the model and the request of the step. */
function vectorOf(context: StepContext, params: FeatureParams, { key, made }: { key: string; made: Kept }): StepVector {
  const { ids, partner, position } = featurePromptOf(context, params);
  const { vector, ...about } = made;
  const tokens = { ids: Array.from(ids), partner: made.point === 'prompt' || !partner ? null : Array.from(partner) };
  return { name: key, values: vector, about: { ...about, ...tokens, position } };
}

function assemble(context: StepContext, params: FeatureParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const features = specsOf(context, params).flatMap(({ key }, i) => {
    const cell = results.get(`f${i + 1}`);
    return cell === undefined ? [] : [{ key, made: cell.feature as Kept }];
  });
  const values: Record<string, number> = {};
  for (const { key, made } of features) {
    values[`${key}.length`] = length(made.vector);
    values[`${key}.offset`] = made.offset;
    for (const { norm, rho, angle } of made.norms) {
      values[`${key}.rho.${norm}`] = rho;
      values[`${key}.angle.${norm}`] = degrees(angle);
    }
  }
  const largest = features
    .flatMap(({ key, made }) => made.norms.map(({ norm, rho }) => ({ key, norm, rho })))
    .sort((a, b) => Math.abs(b.rho) - Math.abs(a.rho))
    .at(0);
  const subtitle = largest === undefined ? '' : `largest ρ ${signed(largest.rho)}: ${largest.key} at ${largest.norm}`;
  return {
    title: `Feature vectors of ${features.length} path${features.length === 1 ? '' : 's'}`,
    subtitle,
    pictures: features.length === 0 ? [] : [vectorsTable(features), normsTable(features)],
    values,
    warnings: features.flatMap(({ key, made }) => made.warnings.map((text) => `${key}: ${text}`)),
    ablation: 'none',
    vectors: features.map((own) => vectorOf(context, params, own)),
  };
}

/**
 * Feature vectors of observables along paths (Dunefsky and Cohan 2024, §2), made at one row of the data: their lengths, offsets and how
 * far each norm turns the gradient. Leaves the vectors beside the result as STEP.safetensors. A cell is one feature; one forward pass
 * of the row, two with its partner, what the cache knows apart.
 */
export const feature: StepKind<FeatureParams> = {
  name: 'feature',
  params: {
    type: 'object',
    description:
      'Feature vectors of observables along paths: lengths, offsets, how far norms turn them; written as STEP.safetensors.',
    properties: {
      features: featureSchemas.featuresOfStep,
      observables: {
        ...{ type: 'array', items: featureSchemas.feature.properties.observable, minItems: 1 },
        description: 'Observables, each of which goes along each of paths:.',
      },
      paths: {
        ...{ type: 'array', items: { type: 'string', format: pathFormat }, minItems: 1 },
        description: 'Paths for observables:, as L21.H4@7 <= L18.H7@name <= MLP 12.',
      },
      norm: featureSchemas.feature.properties.norm,
      point: featureSchemas.feature.properties.point,
      row: featureSchemas.row,
      corruption: featureSchemas.corruption,
    },
    additionalProperties: false,
  },
  cells: (context, params) => {
    featurePromptOf(context, params);
    return specsOf(context, params).map((_, i) => ({ id: `f${i + 1}`, passes: i === 0 ? 2 : 0.1 }));
  },
  run,
  assemble,
};
