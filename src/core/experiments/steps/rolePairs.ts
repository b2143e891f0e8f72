import { MechanistError } from '../../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../../shared/taskSet.ts';
import { rolesOf } from './taskRows.ts';

/** Two roles whose positions are exchanged. */
export interface RolePair {
  readonly roles: readonly [string, string];
  /** `C1-C3` */
  readonly name: string;
}

/** Schema of the parameter. */
export const pairsSchema = {
  type: 'array',
  minItems: 1,
  items: { type: 'array', items: { type: 'string' }, minItems: 2, maxItems: 2 },
  description: 'Pairs of roles, each of one token: [[C1, C2], [C1, C3]].',
} as const;

/** @throws MechanistError `bad-input` for a role that the data has not, or a pair of one role */
export function pairsOf(task: TaskSet, pairs: readonly (readonly string[])[]): readonly RolePair[] {
  return pairs.map((pair) => {
    const [a, b] = rolesOf(task, pair);
    if (a === b) throw new MechanistError('bad-input', `The pair ${a}, ${b} names one role twice: name two.`);
    return { roles: [a, b], name: `${a}-${b}` };
  });
}

/** Where the two roles stand in a row; null where one of them is not a single token, or the first one of all. */
export function pairPositions(item: TaskItem, { roles }: RolePair): readonly [number, number] | null {
  const [a, b] = roles.map((role) => (item.roles[role]?.length === 1 ? item.roles[role][0] : 0));
  return a > 0 && b > 0 && a !== b ? [a, b] : null;
}
