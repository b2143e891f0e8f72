import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import { nearestWord } from '../tasks/nearestWord.ts';

/** The row of an id. @throws MechanistError `bad-input` */
export function rowOf({ items }: TaskSet, id: string | number): TaskItem {
  const item = items.find((own) => own.id === String(id));
  if (item !== undefined) return item;
  throw new MechanistError('bad-input', `The data has no row "${id}": write the id of one.`);
}

/** 0-based: where a row's observable is read, at its first answer, else at its last token. */
export function answerPosition({ answers, ids }: TaskItem): number {
  return answers.at(0)?.position ?? ids.length - 1;
}

/** The position of a role in a row: its last token. Undefined where the row lacks it. */
export function positionOfRole({ roles }: TaskItem, role: string): number | undefined {
  const own = roles[role] as readonly number[] | undefined;
  return own === undefined || own.length === 0 ? undefined : Math.max(...own);
}

/** The corruption asked for; by default the only one, null where there is none or several. @throws MechanistError `bad-input` */
export function corruptionOf({ corruptions }: TaskSet, wanted: string | undefined): string | null {
  if (wanted === undefined) return corruptions.length === 1 ? corruptions[0] : null;
  if (corruptions.includes(wanted)) return wanted;
  const near = nearestWord(wanted, corruptions);
  const hint = near === null ? '' : ` Did you mean ${near}?`;
  const known = corruptions.join(', ') || 'none';
  throw new MechanistError('bad-input', `There is no corruption "${wanted}": the data has ${known}.${hint}`);
}
