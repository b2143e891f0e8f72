import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import { answerPosition, rowOf } from './dataRows.ts';
import { partnerCorruption } from './pairSides.ts';

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
  const name = partnerCorruption(task, corruption);
  const chosen = row === undefined ? task.items : [rowOf(task, row)];
  const pairs = chosen.flatMap((item): PairRow[] => {
    const corrupted = item.corrupted[name] as readonly number[] | undefined;
    return corrupted === undefined ? [] : [{ item, corrupted, position: answerPosition(item) }];
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
