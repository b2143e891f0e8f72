import { MechanistError } from '../../shared/errors.ts';
import type { FeatureSpec } from '../../shared/features.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { nearestWord } from '../tasks/nearestWord.ts';
import { type FeaturePrompt, type FeatureVector, featureVector } from './featureVector.ts';
import { sharingWeights } from './promptReader.ts';

/** Which row of the data features are made at, and which corruption makes its partner. */
export interface FeatureRow {
  /** Id of the row; absent: the first. */
  readonly row?: string | number;
  /** Absent: the only one; there may be none. */
  readonly corruption?: string;
}

/** The corruption asked for; by default the only one, null where there is none or several. @throws MechanistError `bad-input` */
export function corruptionOf(task: TaskSet, wanted: string | undefined): string | null {
  const { corruptions } = task;
  if (wanted === undefined) return corruptions.length === 1 ? corruptions[0] : null;
  if (corruptions.includes(wanted)) return wanted;
  const near = nearestWord(wanted, corruptions);
  const hint = near === null ? `It has ${corruptions.join(', ') || 'none'}.` : `Did you mean ${near}?`;
  throw new MechanistError('bad-input', `The data has no corruption "${wanted}". ${hint}`);
}

/**
 * A row as the pair that features are made at: the row, its corrupted partner, and where the observable is read: at the row's first
 * answer, else at its last token.
 * @throws MechanistError `bad-input`: no such row or corruption
 */
export function featurePromptOf({ task }: Pick<StepContext, 'task'>, { row, corruption }: FeatureRow): FeaturePrompt {
  const item = row === undefined ? task.items.at(0) : task.items.find(({ id }) => id === String(row));
  if (item === undefined) {
    const what = row === undefined ? 'The data has no rows.' : `The data has no row "${row}": write the id of one.`;
    throw new MechanistError('bad-input', what);
  }
  const name = corruptionOf(task, corruption);
  const { ids, roles, answers, corrupted } = item;
  const partner = name === null ? null : (corrupted[name] ?? null);
  return { ids, partner, position: answers.at(0)?.position ?? ids.length - 1, roles };
}

/**
 * The features that a step asks for, made at one row of its data. Observables are found by their names in the experiment. One or two
 * forward passes in all, what the cache knows apart.
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
  for (const { observable, ...rest } of specs) {
    await context.giveWay?.();
    features.push(await featureVector(own, { ...rest, observable: context.observable(observable) }, prompt));
  }
  return features;
}
