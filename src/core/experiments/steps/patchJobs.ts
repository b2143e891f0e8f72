import { MechanistError } from '../../../shared/errors.ts';
import type { TaskItem } from '../../../shared/taskSet.ts';
import type { SweepPlan } from '../../analyses/gridPlan.ts';
import type { SweepItem } from '../../tasks/gridRequest.ts';
import type { StepContext } from '../stepKind.ts';
import type { SweepJob, SweepPart } from './sweepStep.ts';
import { groupRows, sweepItem } from './taskRows.ts';

/** What a job's grid looks like on rows in which the positions are the same. */
export interface PartPlan {
  readonly plan: SweepPlan;
  readonly has: readonly boolean[];
}

/** What a job is made of. */
export interface JobSpec {
  readonly id: string;
  readonly suffix?: string;
  readonly answers: readonly string[];
  readonly corruption: string | null;
  /** Rows with equal keys have one plan. */
  readonly layout: (item: TaskItem) => string;
  /** Null: the rows cannot take part, having no such position. */
  readonly planOf: (item: TaskItem, items: readonly SweepItem[]) => PartPlan | null;
}

/**
 * A job on all rows that can take part.
 * @throws MechanistError `bad-input` when there is none
 */
export function jobOf({ task }: StepContext, spec: JobSpec): SweepJob {
  const { id, suffix = '', answers, corruption, layout, planOf } = spec;
  const items = new Map<number, SweepItem>();
  task.items.forEach((item, row) => {
    const own = sweepItem(item, corruption, answers);
    if (own !== null) items.set(row, own);
  });
  // Every prompt of one sweep has as many answers.
  const keyOf = (row: number) =>
    `${layout(task.items[row])} ${items
      .get(row)
      ?.targets.map(({ name }) => name)
      .join()}`;
  const parts: SweepPart[] = [];
  const rows: number[] = [];
  for (const group of groupRows([...items.keys()], keyOf)) {
    const own = group.flatMap((row) => items.get(row) ?? []);
    const plan = planOf(task.items[group[0]], own);
    if (plan === null) continue;
    parts.push({ ...plan, rows: group.map((_, i) => rows.length + i), items: own });
    rows.push(...group);
  }
  if (rows.length > 0) return { id, suffix, answers, corruption, rows, parts };
  const what = corruption === null ? id : `the corruption "${corruption}"`;
  throw new MechanistError('bad-input', `No row has ${what} and one of the answers ${answers.join(', ')}.`);
}
