import { type FeatureSpec, linearisationPoints, normModes } from '../../../shared/features.ts';
import { paramSchemas } from '../../experiments/steps/paramSchemas.ts';
import { pathFormat } from '../../tasks/experiment/pathRefs.ts';

const feature = {
  type: 'object',
  properties: {
    observable: paramSchemas.observable,
    path: {
      type: 'string',
      format: pathFormat,
      description: 'Nodes, nearest the logits first, each with the token it reads: L21.H4@7 <= L18.H7@name <= MLP 12.',
    },
    norm: {
      enum: normModes,
      description: 'How norms are gone through: ignore, scaled (as the paper; default), frozen, jacobian or secant.',
    },
    point: {
      enum: linearisationPoints,
      description:
        'Where norms and MLPs are linearised: at the row (prompt; default), at the decision boundary between it and its partner, or the mean.',
    },
  },
  required: ['observable', 'path'],
  additionalProperties: false,
} as const;

/** As `feature`, or the one of that observable and path in a file. */
const storable = {
  ...feature,
  properties: {
    ...feature.properties,
    file: {
      type: 'string',
      pattern: '\\.safetensors$',
      description:
        'Take the vector from this file of a step feature (pronouns.results/feature.safetensors) instead of making it here. It must be of this model.',
    },
  },
} as const;

const list = { type: 'array', minItems: 1, maxItems: 100 } as const;

/** Parameters of steps that work with feature vectors. */
export const featureSchemas = {
  feature: { ...storable, description: 'A feature: an observable taken back along a path.' },
  features: { ...list, items: storable, description: 'Features: observables, each taken back along a path.' },
  /** As `features`, of a step that makes them; it has a norm and a point of its own, which hold where a feature names none. */
  featuresOfStep: {
    ...list,
    items: feature,
    description:
      'Features: observables, each taken back along a path. Norm and point: those of the step, unless they say.',
  },
  row: {
    type: ['string', 'integer'],
    description: 'Id of the row of the data at which features are made: their tokens and norms. Default: the first.',
  },
  corruption: {
    type: 'string',
    description: 'Corruption of the data that makes the partner of a row. Default: the only one.',
  },
} as const;

/** Files that features are taken from. */
export function filesOfFeatures(specs: readonly FeatureSpec[]): readonly string[] {
  return specs.flatMap(({ file }) => file ?? []);
}
