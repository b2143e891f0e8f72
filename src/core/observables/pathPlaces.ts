import { MechanistError } from '../../shared/errors.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import { rolesOf } from '../experiments/steps/taskRows.ts';
import { positionOfRole } from './dataRows.ts';
import type { PairRow } from './pairRows.ts';

/** Tokens between which paths go: the same ones in every row, whatever their positions. */
export interface Places {
  /** As paths name them: a role, or a token from 1, or from the end as -1. */
  readonly labels: readonly string[];
  /** `[row][place]`, 0-based. */
  readonly positions: readonly (readonly number[])[];
  /** The place at which the observable is read. */
  readonly end: number;
}

/** Where a token that is written stands in a row; null where it does not. */
function positionOf(text: string, { item }: PairRow): number | null {
  if (/^[-−]?\d+$/.test(text)) {
    const index = Number(text.replace('−', '-'));
    const position = index < 0 ? item.ids.length + index : index - 1;
    return position >= 0 && position < item.ids.length && index !== 0 ? position : null;
  }
  return positionOfRole(item, text) ?? null;
}

/** What the token at which the observable is read is called in all rows; null where it has no common name. */
function endLabel(rows: readonly PairRow[]): string | null {
  const common = (values: readonly number[]) => (values.every((value) => value === values[0]) ? values[0] : null);
  const fromEnd = common(rows.map(({ item, position }) => position - item.ids.length));
  const fromStart = common(rows.map(({ position }) => position + 1));
  if (fromStart !== null && rows.length === 1) return String(fromStart);
  return fromEnd === null ? (fromStart === null ? null : String(fromStart)) : String(fromEnd);
}

function labelsOf(task: TaskSet, rows: readonly PairRow[], at: readonly string[] | undefined): readonly string[] {
  if (at !== undefined) {
    rolesOf(
      task,
      at.filter((text) => !/^[-−]?\d+$/.test(text)),
    );
    return at;
  }
  if (rows.length === 1) return Array.from({ length: rows[0].position + 1 }, (_, position) => String(position + 1));
  // A role that stands behind the observable's token is of no use to it.
  const usable = (role: string) =>
    rows.every((row) => (positionOf(role, row) ?? Number.POSITIVE_INFINITY) <= row.position);
  return task.roles.filter(usable);
}

/**
 * The places of rows: the tokens named; by default every token of a single row, and the roles of several rows (the last token of
 * each). The observable's token is always one.
 * @throws MechanistError `bad-input`: a token that a row has not, two names of one token, no name for the observable's token
 */
export function placesOf(task: TaskSet, rows: readonly PairRow[], at?: readonly string[]): Places {
  const written = labelsOf(task, rows, at);
  const isEnd = (label: string) => rows.every((row) => positionOf(label, row) === row.position);
  const named = written.find(isEnd);
  const end = named ?? endLabel(rows);
  if (end === null) {
    const message =
      "The observable's token stands elsewhere in every row and has no role: give it one, or choose one row.";
    throw new MechanistError('bad-input', message);
  }
  const labels = named === undefined ? [...written, end] : written;
  const positions = rows.map((row) =>
    labels.map((label) => {
      const position = positionOf(label, row);
      if (position !== null && position <= row.position) return position;
      const where = position === null ? 'has no token' : 'reads the observable before token';
      throw new MechanistError(
        'bad-input',
        `Row ${row.item.id} ${where} ${label}: take other tokens at, or other rows.`,
      );
    }),
  );
  positions.forEach((own, row) => {
    const twice = own.findIndex((position, i) => own.indexOf(position) !== i);
    if (twice < 0) return;
    const pair = `${labels[own.indexOf(own[twice])]} and ${labels[twice]}`;
    throw new MechanistError(
      'bad-input',
      `In row ${rows[row].item.id} ${pair} are one token: name only one of them at.`,
    );
  });
  return { labels, positions, end: labels.indexOf(end) };
}
