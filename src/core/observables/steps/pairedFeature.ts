import type { FeatureSpec } from '../../../shared/features.ts';
import type { StepContext } from '../../experiments/stepKind.ts';
import { type FeatureRow, featuresOfRow } from '../featuresOfRow.ts';
import type { FeatureVector } from '../featureVector.ts';
import { type Pair, pairsOf, partnerCorruption, roleOfFeature } from '../pairSides.ts';

/** What a step asks that tries a feature on all pairs of the data. */
export interface PairedFeatureParams extends FeatureRow {
  readonly feature: FeatureSpec;
  /** Role whose last token is read and changed; absent: that of the token at which the feature is read. */
  readonly at?: string;
}

/** A feature, and the pairs that it is tried on. */
export interface PairedFeature {
  readonly feature: FeatureVector;
  readonly role: string;
  readonly pairs: readonly Pair[];
  /** Index into the data's items: the row that the feature was made at. */
  readonly row: number;
}

/** One or two forward passes, what the cache knows apart. @throws MechanistError `bad-input` as `featuresOfRow`, `pairsOf` */
export async function pairedFeature(context: StepContext, params: PairedFeatureParams): Promise<PairedFeature> {
  const { task } = context;
  const [feature] = await featuresOfRow(context, [params.feature], params);
  const row = params.row === undefined ? 0 : task.items.findIndex(({ id }) => id === String(params.row));
  const role = params.at ?? roleOfFeature(task, task.items[row], feature);
  return { feature, role, pairs: pairsOf(task, partnerCorruption(task, params.corruption), role), row };
}
