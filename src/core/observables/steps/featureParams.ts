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

/** A schema whose value is not filled in where nobody writes it: something else is then meant. */
function withoutDefault<T extends { readonly default: unknown }>({ default: _, ...schema }: T): Omit<T, 'default'> {
  return schema;
}

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
  /** As `features`, of a step that has a norm and a point of its own, which hold where a feature names none. */
  featuresOfStep: {
    type: 'array',
    items: {
      ...feature,
      properties: {
        ...feature.properties,
        norm: withoutDefault(feature.properties.norm),
        point: withoutDefault(feature.properties.point),
      },
    },
    minItems: 1,
    maxItems: 100,
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

/** Across prompts the paper's mode is meant where none is named. */
export function acrossPrompts(spec: FeatureSpec): FeatureSpec {
  return { norm: 'scaled', ...spec };
}

/** Names of features in values: `gender:L21.H4<=L18.H7`; those that would have the name of an earlier one are counted, `…#2`. */
export function featureKeys(specs: readonly FeatureSpec[]): readonly string[] {
  const seen = new Map<string, number>();
  return specs.map(({ observable, path }) => {
    const name = typeof observable === 'string' ? observable : 'observable';
    const key = `${name}:${path.replaceAll(/\s+/g, '')}`;
    const times = (seen.get(key) ?? 0) + 1;
    seen.set(key, times);
    return times === 1 ? key : `${key}#${times}`;
  });
}
