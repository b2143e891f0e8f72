import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import { groupRows, rolesOf } from '../experiments/steps/taskRows.ts';
import { answerPosition, corruptionOf, positionOfRole } from './dataRows.ts';
import type { FeatureVector } from './featureVector.ts';

/** One prompt of a pair: the row's own, or its corrupted partner. */
export interface PairSide {
  /** Index into the data's items. */
  readonly row: number;
  readonly ids: readonly number[];
  /** 0-based: the token that is read and edited. */
  readonly at: number;
  /** 0-based: where observables are measured. */
  readonly answer: number;
}

export interface Pair {
  readonly clean: PairSide;
  readonly corrupted: PairSide;
}

/** Rows with this tag are no pairs: they tell what an edit costs elsewhere. */
export const CONTROL = 'control';

/** The corruption that makes the partners of rows. @throws MechanistError `bad-input` as `corruptionOf`, or for none to be had */
export function partnerCorruption(task: TaskSet, wanted: string | undefined): string {
  const name = corruptionOf(task, wanted);
  if (name !== null) return name;
  const several = `The data has ${task.corruptions.join(', ')}: name one as corruption.`;
  const what = task.corruptions.length === 0 ? 'Give its rows a corrupted prompt.' : several;
  throw new MechanistError('bad-input', `A pair of prompts is needed, clean and corrupted. ${what}`);
}

/**
 * The role whose token a feature is read at, in the row it was made at.
 * @throws MechanistError `bad-input` where no role stands there
 */
export function roleOfFeature({ roles }: TaskSet, item: TaskItem, { path, name }: FeatureVector): string {
  const position = path.at(-1)?.position ?? null;
  const role = roles.find((own) => positionOfRole(item, own) === position);
  if (role !== undefined) return role;
  const place = position === null ? 'an unknown token' : `token ${position + 1}`;
  throw new MechanistError(
    'bad-input',
    `${name} is read at ${place}, where the data has no role: name the role under at:.`,
  );
}

/** @throws MechanistError `bad-input`: unknown role, no row with the role and a partner */
export function pairsOf(task: TaskSet, corruption: string, at: string): readonly Pair[] {
  rolesOf(task, [at]);
  const pairs = task.items.flatMap((item, row) => {
    const partner = item.corrupted[corruption];
    const position = positionOfRole(item, at);
    if (partner === undefined || position === undefined || item.tags.includes(CONTROL)) return [];
    const place = { row, at: position, answer: answerPosition(item) };
    return [{ clean: { ...place, ids: item.ids }, corrupted: { ...place, ids: partner } }];
  });
  if (pairs.length > 0) return pairs;
  const message = `No row of ${task.name} has the role "${at}" and the corruption "${corruption}".`;
  throw new MechanistError('bad-input', message);
}

/** Sides that are run together. */
const BATCH = 32;

/** Indices of sides in batches of one length and one place each. */
export function sideBatches(sides: readonly PairSide[]): readonly (readonly number[])[] {
  const all = sides.map((_, index) => index);
  const groups = groupRows(all, (index) => `${sides[index].ids.length} ${sides[index].at} ${sides[index].answer}`);
  return groups.flatMap((own) =>
    Array.from({ length: Math.ceil(own.length / BATCH) }, (_, i) => own.slice(i * BATCH, (i + 1) * BATCH)),
  );
}
