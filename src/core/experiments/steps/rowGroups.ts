import type { PackedArray } from '../../../shared/packedArray.ts';
import type { TaskItem, TaskSet } from '../../../shared/taskSet.ts';
import type { Head } from './heads.ts';
import { groupRows, ownAnswers } from './taskRows.ts';

/** Rows of one length that are run as a batch. */
export interface RowGroup {
  /** Indices into the task's items. */
  readonly rows: readonly number[];
  readonly items: readonly TaskItem[];
  /** Positions at which some answer is predicted, ascending. */
  readonly positions: readonly number[];
  /** Token ids up to the last of them, `[row][pos]`: what comes later changes nothing. */
  readonly tokens: readonly (readonly number[])[];
}

/**
 * Rows that have one of the answers, in batches of one length.
 * @param layout tells rows apart that are not run together, whatever their length
 */
export function rowGroups(
  task: TaskSet,
  rows: readonly number[],
  answers: readonly string[],
  layout: (item: TaskItem) => string = () => '',
): readonly RowGroup[] {
  const able = rows.filter((row) => ownAnswers(task.items[row], answers).length > 0);
  const groups = groupRows(able, (row) => `${task.items[row].ids.length} ${layout(task.items[row])}`);
  return groups.map((own) => {
    const items = own.map((row) => task.items[row]);
    const all = items.flatMap((item) => ownAnswers(item, answers).map(({ position }) => position));
    const positions = [...new Set(all)].sort((a, b) => a - b);
    const count = positions[positions.length - 1] + 1;
    return { rows: own, items, positions, tokens: items.map(({ ids }) => ids.slice(0, count)) };
  });
}

/** Attention patterns of a batch, `[item, head, row, key]` by layer. */
export class Patterns {
  constructor(
    private readonly activations: ReadonlyMap<string, PackedArray>,
    /** Query positions of the rows. */
    private readonly positions: readonly number[],
  ) {}

  /** Attention of a head from one position to others, summed. */
  mass(item: number, { layer, head }: Head, query: number, keys: readonly number[]): number {
    const pattern = this.activations.get(`blocks.${layer}.attn.hook_pattern`);
    if (pattern === undefined) throw new Error(`The pattern of layer ${layer} was not read.`);
    const { dims, data } = pattern;
    const at = ((item * dims[1] + head) * dims[2] + this.positions.indexOf(query)) * dims[3];
    let sum = 0;
    for (const key of keys) if (key < dims[3]) sum += data[at + key];
    return sum;
  }
}

/** A table of numbers over the rows of a chunk: `[…][row of the chunk]`, null where a row has none. */
export function blankRows(rows: number): (number | null)[] {
  return new Array<number | null>(rows).fill(null);
}

/** Float32 numbers have seven digits; more would only fill the file. */
export const shortNumber = (value: number) => Number(value.toPrecision(8));
