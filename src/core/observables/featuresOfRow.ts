import { MechanistError } from '../../shared/errors.ts';
import type { FeatureSpec } from '../../shared/features.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { answerPosition, corruptionOf, rowOf } from './dataRows.ts';
import { isStored, storedFeature } from './featureFile.ts';
import { type FeaturePrompt, type FeatureVector, featureVector } from './featureVector.ts';
import { sharingWeights } from './promptReader.ts';

/** Which row of the data features are made at, and which corruption makes its partner. */
export interface FeatureRow {
  /** Id of the row; absent: the first. */
  readonly row?: string | number;
  /** Absent: the only one; there may be none. */
  readonly corruption?: string;
}

/**
 * A row as the pair that features are made at: the row, its corrupted partner, and where the observable is read: at the row's first
 * answer, else at its last token.
 * @throws MechanistError `bad-input`: no such row or corruption
 */
export function featurePromptOf({ task }: Pick<StepContext, 'task'>, { row, corruption }: FeatureRow): FeaturePrompt {
  const item = row === undefined ? task.items.at(0) : rowOf(task, row);
  if (item === undefined) throw new MechanistError('bad-input', 'The data has no rows.');
  const name = corruptionOf(task, corruption);
  const { ids, roles, corrupted } = item;
  const partner = name === null ? null : (corrupted[name] ?? null);
  return { ids, partner, position: answerPosition(item), roles };
}

/**
 * The features that a step asks for, made at one row of its data. Observables are found by their names in the experiment. One or two
 * forward passes in all, what the cache knows apart; none for those of a file. Across prompts the paper's norm mode is meant where none
 * is named.
 * @throws MechanistError `bad-input` as `featurePromptOf` and `featureVector`
 */
export async function featuresOfRow(
  context: StepContext,
  specs: readonly FeatureSpec[],
  row: FeatureRow,
): Promise<FeatureVector[]> {
  const prompt = featurePromptOf(context, row);
  const own = sharingWeights(context);
  const features: FeatureVector[] = [];
  for (const spec of specs) {
    await context.giveWay?.();
    if (isStored(spec)) features.push(await storedFeature(context, spec, prompt));
    else {
      const { observable, path, norm = 'scaled', point } = spec;
      features.push(
        await featureVector(own, { path, norm, point, observable: context.observable(observable) }, prompt),
      );
    }
  }
  return features;
}
