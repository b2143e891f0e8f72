import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import { corruptionOf } from './featuresOfRow.ts';

/** A row as a pair of prompts of as many tokens. */
export interface PairRow {
  readonly item: TaskItem;
  readonly corrupted: readonly number[];
  /** 0-based: where the observable is read, at the row's first answer or its last token. */
  readonly position: number;
}

/** Which rows of the data are taken, and which corruption makes their partners. */
export interface PairRowsParams {
  readonly corruption?: string;
  /** Id of the one row that is taken. */
  readonly row?: string | number;
  /** The first so many. */
  readonly rows?: number;
}

/**
 * Rows that have a partner.
 * @throws MechanistError `bad-input`: no such row or corruption, or none to be had
 */
export function pairRows(task: TaskSet, { corruption, row, rows }: PairRowsParams): readonly PairRow[] {
  const name = corruptionOf(task, corruption);
  if (name === null) {
    const several = `It has ${task.corruptions.join(', ')}: name one as corruption.`;
    const what = task.corruptions.length === 0 ? 'Give its rows a corrupted prompt.' : several;
    throw new MechanistError('bad-input', `A pair of prompts is needed, clean and corrupted. ${what}`);
  }
  const chosen = row === undefined ? task.items : task.items.filter(({ id }) => id === String(row));
  if (row !== undefined && chosen.length === 0) {
    throw new MechanistError('bad-input', `The data has no row "${row}": write the id of one.`);
  }
  const pairs = chosen.flatMap((item): PairRow[] => {
    const corrupted = item.corrupted[name] as readonly number[] | undefined;
    const position = item.answers.at(0)?.position ?? item.ids.length - 1;
    return corrupted === undefined ? [] : [{ item, corrupted, position }];
  });
  if (pairs.length > 0) return rows === undefined ? pairs : pairs.slice(0, rows);
  throw new MechanistError('bad-input', `No row has the corruption ${name}.`);
}

/** Warns of rows whose partner does not turn the observable's sign. */
export function signWarnings(clean: readonly number[], corrupted: readonly number[]): string[] {
  const kept = clean.filter((value, i) => value * corrupted[i] > 0).length;
  if (kept === 0) return [];
  const of = clean.length === 1 ? 'the row' : `${kept} of ${clean.length} rows`;
  return [`In ${of} the corrupted prompt does not turn the sign of the observable.`];
}
