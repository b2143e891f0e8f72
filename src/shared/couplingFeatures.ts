import type { FeatureSpec } from './features.ts';

/** A feature whose norm mode and point are those of its step: in one matrix they are all the same. */
export type CoupledFeature = Pick<FeatureSpec, 'observable' | 'path'>;

/** Features as a step names them: each by itself, or every observable along every path. */
export type CoupledFeatures =
  | readonly CoupledFeature[]
  | { readonly observables: readonly FeatureSpec['observable'][]; readonly paths: readonly string[] };

/** The features one by one, those of one observable together. */
export function coupledFeatures(features: CoupledFeatures): readonly CoupledFeature[] {
  if (!('observables' in features)) return features;
  const { observables, paths } = features;
  return observables.flatMap((observable) => paths.map((path) => ({ observable, path })));
}
