import { MechanistError } from '../../../shared/errors.ts';
import { visibleToken } from '../../../shared/format.ts';
import { corruptionFor, type TaskAnswer, type TaskItem, type TaskSet } from '../../../shared/taskSet.ts';
import type { SweepItem } from '../../tasks/gridRequest.ts';

const list = (names: readonly string[]) => (names.length === 0 ? 'none' : names.join(', '));

/** @throws MechanistError `bad-input` for data without a row */
export function requireRows({ name, items }: TaskSet): void {
  if (items.length > 0) return;
  throw new MechanistError('bad-input', `${name} has no row that can be run. See its problems.`);
}

/** The answers asked for, by default all of the data. @throws MechanistError `bad-input` */
export function answersOf({ answerNames }: TaskSet, names: readonly string[] = answerNames): readonly string[] {
  const unknown = names.find((name) => !answerNames.includes(name));
  if (unknown === undefined) return names;
  throw new MechanistError('bad-input', `The data has no answer "${unknown}". Answers: ${list(answerNames)}.`);
}

/** The roles asked for, by default all of the data. @throws MechanistError `bad-input` */
export function rolesOf({ roles }: TaskSet, names: readonly string[] = roles): readonly string[] {
  const unknown = names.find((name) => !roles.includes(name));
  if (unknown === undefined) return names;
  throw new MechanistError('bad-input', `The data has no role "${unknown}". Roles: ${list(roles)}.`);
}

/** Answers that are read from runs of one corruption. */
export interface CorruptionJob {
  readonly corruption: string;
  readonly answers: readonly string[];
}

/**
 * The corruption of each answer: `{answer}` in the name stands for the answer's. Answers of one corruption share its runs.
 * @throws MechanistError `bad-input` for a corruption that the data has not
 */
export function corruptionJobs(task: TaskSet, pattern: string, answers: readonly string[]): readonly CorruptionJob[] {
  const jobs = new Map<string, string[]>();
  for (const answer of answers) {
    const corruption = corruptionFor(pattern, answer);
    if (!task.corruptions.includes(corruption)) {
      const known = `The data has the corruptions ${list(task.corruptions)}.`;
      throw new MechanistError('bad-input', `There is no corruption "${corruption}". ${known}`);
    }
    jobs.set(corruption, [...(jobs.get(corruption) ?? []), answer]);
  }
  return [...jobs].map(([corruption, own]) => ({ corruption, answers: own }));
}

/** The row's own answers among those asked for, in their order. */
export function ownAnswers(item: TaskItem, names: readonly string[]): readonly TaskAnswer[] {
  return names.flatMap((name) => item.answers.find((answer) => answer.name === name) ?? []);
}

/** A row as sweeps take it. Null where it has none of the answers, or not the corruption. */
export function sweepItem(item: TaskItem, corruption: string | null, names: readonly string[]): SweepItem | null {
  const answers = ownAnswers(item, names);
  const corrupted = corruption === null ? undefined : item.corrupted[corruption];
  if (answers.length === 0 || (corruption !== null && corrupted === undefined)) return null;
  return {
    shown: {
      id: item.id,
      prompt: item.text,
      corrupted: null,
      tokens: item.ids.map((id, i) => ({ id, text: item.tokens[i] })),
      corruptedTokens: null,
      answer: answers[0].name,
      foils: [],
      tags: item.tags,
    },
    ids: Int32Array.from(item.ids),
    corruptedIds: corrupted === undefined ? null : Int32Array.from(corrupted),
    targets: answers,
  };
}

/** Columns of a figure by position or by role. */
export interface RowColumns {
  readonly name: 'position' | 'role';
  readonly labels: readonly string[];
  /** As values name them: the role, or `p3` (0-based). */
  readonly names: readonly string[];
  /** Positions of a row that each column stands for; none where the row lacks the role. */
  readonly positionsOf: (item: TaskItem) => readonly (readonly number[])[];
}

function sameLength(items: readonly TaskItem[]): boolean {
  return items.every(({ ids }) => ids.length === items[0].ids.length);
}

/** The role that stands alone at one position in every row; null where there is none. */
function commonRole({ roles, items }: TaskSet, position: number): string | null {
  return roles.find((role) => items.every((item) => item.roles[role]?.join() === String(position))) ?? null;
}

function positionColumns(task: TaskSet): RowColumns {
  const [{ ids, tokens }] = task.items;
  const positions = ids.map((_, position) => position);
  const roles = positions.map((position) => commonRole(task, position));
  const labels = positions.map((position) => {
    const role = roles[position];
    if (role !== null) return role;
    const same = task.items.every((item) => item.ids[position] === ids[position]);
    return same ? visibleToken(tokens[position]) : `position ${position + 1}`;
  });
  const names = positions.map((position) => roles[position] ?? `p${position}`);
  return { name: 'position', labels, names, positionsOf: () => positions.map((position) => [position]) };
}

/**
 * Columns by position, which rows of one length have in common, or by role. Default: by position where all roles stand at
 * the same positions in every row, else by role.
 * @throws MechanistError `bad-input` for positions of rows of unlike length, and for data without roles
 */
export function columnsOf(task: TaskSet, by?: 'position' | 'role', roles?: readonly string[]): RowColumns {
  const { items } = task;
  const common = sameLength(items) && task.roles.every((role) => sameRole(items, role));
  const chosen = by ?? (roles === undefined && common ? 'position' : 'role');
  if (chosen === 'position') {
    if (sameLength(items)) return positionColumns(task);
    throw new MechanistError('bad-input', 'The rows have unlike numbers of tokens: take columns by role.');
  }
  const names = rolesOf(task, roles);
  if (names.length === 0)
    throw new MechanistError('bad-input', 'The data names no roles, which the columns are made of.');
  return { name: 'role', labels: names, names, positionsOf: (item) => names.map((role) => item.roles[role] ?? []) };
}

function sameRole(items: readonly TaskItem[], role: string): boolean {
  return items.every((item) => item.roles[role]?.join() === items[0].roles[role]?.join());
}

/** Rows with equal keys, in the order of their first one. */
export function groupRows(rows: readonly number[], keyOf: (row: number) => string): readonly (readonly number[])[] {
  const groups = new Map<string, number[]>();
  for (const row of rows) {
    const key = keyOf(row);
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  return [...groups.values()];
}
