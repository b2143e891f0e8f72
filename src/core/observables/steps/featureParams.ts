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
      default: 'scaled',
      description: 'How norms are gone through: ignore, scaled (as the paper), frozen, jacobian or secant.',
    },
    point: {
      enum: linearisationPoints,
      default: 'prompt',
      description:
        'Where norms and MLPs are linearised: at the row, at the decision boundary between it and its partner, or the mean.',
    },
  },
  required: ['observable', 'path'],
  additionalProperties: false,
} as const;

/** Parameters of steps that work with feature vectors. */
export const featureSchemas = {
  feature: { ...feature, description: 'A feature: an observable taken back along a path.' },
  features: {
    type: 'array',
    items: feature,
    minItems: 1,
    maxItems: 100,
    description: 'Features: observables, each taken back along a path.',
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

/** Across prompts the paper's mode is meant where none is named. */
export function acrossPrompts(spec: FeatureSpec): FeatureSpec {
  return { norm: 'scaled', ...spec };
}

/** Name of a feature in values: `gender:L21.H4<=L18.H7`. */
export function featureKey({ observable, path }: FeatureSpec): string {
  const name = typeof observable === 'string' ? observable : 'observable';
  return `${name}:${path.replaceAll(/\s+/g, '')}`;
}
