import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { BaseRun, type Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import type { GroupRuns, SweepPlan } from './gridPlan.ts';

/** Prompts of a group at most: enough to fill a run of short prompts. */
const GROUP_ITEMS = 64;
const FLOAT_BYTES = 4;

/** Prompts of one length that are run together. */
export interface Group {
  readonly index: number;
  /** Indices into the items of the sweep. */
  readonly items: readonly number[];
  /** Positions that are run: up to the last answer. */
  readonly count: number;
  readonly answers: readonly number[];
  /** Bytes that its unchanged runs hold. */
  readonly bytes: number;
}

/** Cuts the items into groups of equal length whose unchanged runs fit into `limitBytes`. */
export function makeGroups(
  runner: ModelRunner,
  plan: SweepPlan,
  items: readonly SweepItem[],
  limitBytes: number,
): Group[] {
  const byLength = new Map<number, number[]>();
  items.forEach(({ ids }, index) => {
    byLength.set(ids.length, [...(byLength.get(ids.length) ?? []), index]);
  });
  const groups: Group[] = [];
  for (const [length, indices] of byLength) {
    const perItem = FLOAT_BYTES * keptNumbers(runner, plan, length);
    const most = Math.min(GROUP_ITEMS, Math.floor(limitBytes / perItem));
    if (most < 1) {
      const message = `The activations of a prompt of ${length} tokens take ${bytes(perItem)}; the sweep may hold ${bytes(limitBytes)} of them. Give it more memory, or shorten the prompt.`;
      throw new MechanistError('model-too-large', message, { neededBytes: perItem, limitBytes });
    }
    // Groups of nearly equal size, so that no prompt is left alone.
    const parts = Math.ceil(indices.length / most);
    for (let part = 0; part < parts; part += 1) {
      const from = Math.floor((part * indices.length) / parts);
      const own = indices.slice(from, Math.floor(((part + 1) * indices.length) / parts));
      const answers = [...new Set(own.flatMap((index) => items[index].targets.map(({ position }) => position)))];
      answers.sort((a, b) => a - b);
      const count = plan.wholePrompts === true ? length : answers[answers.length - 1] + 1;
      groups.push({ index: groups.length, items: own, count, answers, bytes: own.length * perItem });
    }
  }
  return groups;
}

function keptNumbers(runner: ModelRunner, { kept, firstOrder }: SweepPlan, length: number): number {
  const size = (one: Kept) => BaseRun.size(runner, 1, length, one);
  const runs = size(kept.base) + (kept.source === null ? 0 : size(kept.source));
  if (firstOrder === null) return runs;
  // The gradient, the activation and what replaces it.
  const { hook, layers } = firstOrder;
  return runs + 3 * size({ hooks: [hook], layers, keysValues: false, residuals: false });
}

/** Groups in runs whose unchanged runs fit into memory together. */
export function windowsOf(groups: readonly Group[], limitBytes: number): Group[][] {
  const windows: Group[][] = [];
  let held = Number.POSITIVE_INFINITY;
  for (const group of groups) {
    if (held + group.bytes > limitBytes) {
      windows.push([]);
      held = 0;
    }
    windows[windows.length - 1].push(group);
    held += group.bytes;
  }
  return windows;
}

/** The unchanged runs of a group: one forward pass, or two. */
export async function runGroup(
  runner: ModelRunner,
  plan: SweepPlan,
  items: readonly SweepItem[],
  group: Group,
  context: ClimbContext,
): Promise<GroupRuns> {
  const run = async (which: 'clean' | 'corrupted', kept: SweepPlan['kept']['base']) => {
    await context.giveWay?.();
    throwIfCancelled(context.signal);
    const tokens = group.items.map((index) => {
      const { ids, corruptedIds } = items[index];
      return (which === 'clean' ? ids : (corruptedIds ?? ids)).subarray(0, group.count);
    });
    return await BaseRun.run(runner, tokens, kept, context);
  };
  const base = await run(plan.base, plan.kept.base);
  const other = plan.base === 'clean' ? 'corrupted' : 'clean';
  const source = plan.kept.source === null ? null : await run(other, plan.kept.source);
  return { group: group.index, base, source, answers: group.answers };
}
