import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import { bytes } from '../../shared/format.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { isOutOfMemory } from '../engine/outOfMemory.ts';
import { BaseRun, type Kept } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import { GroupTooLarge, tooLarge } from './gridFailures.ts';
import type { GroupRuns, SweepPlan } from './gridPlan.ts';

/** Prompts of a group at most: enough to fill a run of short prompts. */
const GROUP_ITEMS = 64;
/** Share of the memory for unchanged runs that one group takes: while it is run, parts of it are there twice. */
const GROUP_SHARE = 1 / 4;
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

/**
 * Cuts the items into groups of equal length whose unchanged runs fit into `limitBytes`, `mostItems` in one at most.
 * @throws MechanistError `model-too-large`: not even one prompt fits
 */
function makeGroups(
  runner: ModelRunner,
  plan: SweepPlan,
  items: readonly SweepItem[],
  limitBytes: number,
  mostItems = GROUP_ITEMS,
): Group[] {
  const byLength = new Map<number, number[]>();
  items.forEach(({ ids }, index) => {
    const same = byLength.get(ids.length);
    if (same === undefined) byLength.set(ids.length, [index]);
    else same.push(index);
  });
  const groups: Group[] = [];
  for (const [length, indices] of byLength) {
    const perItem = FLOAT_BYTES * keptNumbers(runner, plan, length);
    if (perItem > limitBytes) {
      const message = `The activations of a prompt of ${length} tokens take ${bytes(perItem)}; the sweep may hold ${bytes(limitBytes)} of them. Give it more memory, or shorten the prompt.`;
      throw new MechanistError('model-too-large', message, { neededBytes: perItem, limitBytes });
    }
    const most = Math.max(1, Math.min(mostItems, Math.floor((limitBytes * GROUP_SHARE) / perItem)));
    const positionsOf = (index: number) => items[index].targets.map(({ position }) => position);
    // The same in every group of a length: a mean at each position sums over all of them.
    const last = indices.reduce((high, index) => Math.max(high, ...positionsOf(index)), 0);
    const count = plan.wholePrompts === true ? length : last + 1;
    const parts = Math.ceil(indices.length / most);
    for (let part = 0; part < parts; part += 1) {
      const from = Math.floor((part * indices.length) / parts);
      const own = indices.slice(from, Math.floor(((part + 1) * indices.length) / parts));
      const answers = [...new Set(own.flatMap(positionsOf))].sort((x, y) => x - y);
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
function windowsOf(groups: readonly Group[], limitBytes: number): Group[][] {
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
async function runGroup(
  runner: ModelRunner,
  plan: SweepPlan,
  items: readonly SweepItem[],
  group: Group,
  context: ClimbContext,
): Promise<GroupRuns> {
  const run = async (which: 'clean' | 'corrupted', indices: readonly number[], kept: SweepPlan['kept']['base']) => {
    await context.giveWay?.();
    throwIfCancelled(context.signal);
    const tokens = indices.map((index) => {
      const { ids, corruptedIds } = items[index];
      return (which === 'clean' ? ids : (corruptedIds ?? ids)).subarray(0, group.count);
    });
    return await BaseRun.run(runner, tokens, kept, context);
  };
  const base = await run(plan.base, group.items, plan.kept.base);
  const { answers } = group;
  const runs = { base, answers, source: null, sourceItems: group.items.map((_, i) => i) };
  const kept = plan.kept.source;
  if (kept === null) return runs;
  if (plan.takesFrom === undefined) {
    const other = plan.base === 'clean' ? 'corrupted' : 'clean';
    return { ...runs, source: await run(other, group.items, kept) };
  }
  const wanted = group.items.map((item) => plan.takesFrom?.[item] ?? item);
  const own = wanted.map((item) => group.items.indexOf(item));
  if (!own.includes(-1)) return { ...runs, source: base, sourceItems: own };
  return { ...runs, source: await run(plan.base, wanted, kept) };
}

/** The unchanged runs of all groups, of which those of one window are held. */
export class HeldRuns {
  readonly groups: readonly Group[];
  readonly windows: readonly (readonly Group[])[];
  private readonly windowOf = new Map<number, readonly Group[]>();
  private readonly held = new Map<number, GroupRuns>();

  constructor(
    private readonly context: ClimbContext & { readonly runner: ModelRunner },
    private readonly plan: SweepPlan,
    private readonly items: readonly SweepItem[],
    limitBytes: number,
    mostItems?: number,
  ) {
    this.groups = makeGroups(context.runner, plan, items, limitBytes, mostItems);
    this.windows = windowsOf(this.groups, limitBytes);
    for (const window of this.windows) for (const group of window) this.windowOf.set(group.index, window);
  }

  /**
   * The unchanged runs of a group, kept while its window is worked on.
   * @throws GroupTooLarge; MechanistError `model-too-large` where the group is a single prompt
   */
  async of(group: Group): Promise<GroupRuns> {
    const known = this.held.get(group.index);
    if (known !== undefined) return known;
    const window = this.windowOf.get(group.index) ?? [];
    for (const index of this.held.keys()) if (!window.some((own) => own.index === index)) this.held.delete(index);
    const runs = await this.within(group, () =>
      runGroup(this.context.runner, this.plan, this.items, group, this.context),
    );
    this.held.set(group.index, runs);
    return runs;
  }

  /** Does something with a whole group; where memory ends, once more without the other groups that are held. */
  async within<T>(group: Group, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
        const others = [...this.held.keys()].filter((index) => index !== group.index);
        if (others.length > 0) {
          for (const index of others) this.held.delete(index);
          continue;
        }
        throw group.items.length === 1 ? tooLarge(group.count) : new GroupTooLarge(group.items.length);
      }
    }
  }
}
