import type { Intervention } from '../../../shared/intervention.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { hookName } from '../hookPoints.ts';
import { type Broadcast, constant, mask, plus, rest, times } from './broadcast.ts';
import type { HookAxes } from './hookAxes.ts';
import { type InterventionPlan, type InterventionStep, sourceRun } from './parseInterventions.ts';
import { replacement } from './replacement.ts';

/** One arithmetic step at a hook point; `y` is what stands there. Its numbers are inputs of a graph, not part of it. */
export type EditOp =
  /** y · keep + value: zero, mean, resample, patch, set, add, scale, freeze, and any number of them in a row. */
  | { readonly op: 'affine'; readonly keep: Broadcast; readonly value: Broadcast }
  /** y + (y · direction) weight, the product over the last axis. */
  | { readonly op: 'project'; readonly direction: Float32Array; readonly weight: Broadcast }
  /** y · keep + y[order] · (1 − keep), the order along the positions. */
  | { readonly op: 'permute'; readonly order: readonly number[]; readonly keep: Broadcast }
  /** y / Σ y over the last axis in the chosen rows. */
  | { readonly op: 'renormalise'; readonly rows: Broadcast }
  /** y · keep + (yP + x left right + bias) · (1 − keep). */
  | {
      readonly op: 'lowRank';
      readonly p: number | Float32Array;
      readonly left: Float32Array;
      readonly right: Float32Array;
      readonly rank: number;
      readonly bias: Float32Array;
      readonly keep: Broadcast;
    };

/** What happens at one hook point, in order. */
export interface HookEdits {
  readonly axes: HookAxes;
  readonly ops: readonly EditOp[];
}

/** Activations by run (null: the clean run of this batch) and TransformerLens name. */
export type Sources = ReadonlyMap<string | null, ReadonlyMap<string, PackedArray>>;

/** 1 at the entries that a step writes. */
function writtenMask({ axes, selection: { items, positions, heads, neurons } }: InterventionStep): Broadcast {
  const chosen = new Map<number, { of: number; indices: readonly number[] }>();
  const choose = (axis: number | null, indices: readonly number[] | undefined) => {
    if (axis !== null && indices !== undefined) chosen.set(axis, { of: axes.dims[axis], indices });
  };
  choose(axes.items, items);
  choose(axes.positions, positions);
  choose(axes.heads, heads);
  choose(axes.entries, neurons);
  return mask(axes.dims.length, chosen);
}

/** A row along the last axis. */
function row(values: readonly number[], { dims }: HookAxes): Broadcast {
  return {
    dims: dims.map((_, axis) => (axis === dims.length - 1 ? values.length : 1)),
    data: Float32Array.from(values),
  };
}

/** The written entries take `value`, the others stay. */
function replaceBy(step: InterventionStep, value: Broadcast): EditOp {
  const written = writtenMask(step);
  return { op: 'affine', keep: rest(written), value: times(value, written) };
}

function swapOps(step: InterventionStep, pairs: readonly (readonly [number, number])[]): EditOp {
  const length = step.axes.dims[step.axes.positions];
  const order = Array.from({ length }, (_, position) => position);
  const at = (position: number) => (position < 0 ? position + length : position);
  for (const [a, b] of pairs) [order[at(a)], order[at(b)]] = [order[at(b)], order[at(a)]];
  return { op: 'permute', order, keep: rest(writtenMask(step)) };
}

function entryOps(step: InterventionStep, edit: Extract<Intervention, { kind: 'editPattern' }>): EditOp[] {
  const { axes } = step;
  const [, , queries, keys] = axes.dims;
  const at = (position: number) => (position < 0 ? position + queries : position);
  const own = writtenMask(step);
  const [touched, value] = [new Float32Array(queries * keys), new Float32Array(queries * keys)];
  for (const entry of edit.entries) {
    const index = at(entry.query) * keys + at(entry.key);
    touched[index] = 1;
    value[index] = entry.value;
  }
  const map = (data: Float32Array): Broadcast => times({ dims: [1, 1, queries, keys], data }, own);
  const ops: EditOp[] = [{ op: 'affine', keep: rest(map(touched)), value: map(value) }];
  if (edit.renormalise !== true) return ops;
  const rows = mask(4, new Map([[2, { of: queries, indices: edit.entries.map(({ query }) => at(query)) }]]));
  return [...ops, { op: 'renormalise', rows: times(rows, own) }];
}

function lowRankOp(step: InterventionStep, { p, a, b }: Extract<Intervention, { kind: 'lowRank' }>): EditOp {
  const flat = (rows: readonly (readonly number[])[]) => Float32Array.from(rows.flat());
  return {
    op: 'lowRank',
    p: typeof p === 'number' ? p : flat(p),
    left: flat(a.left),
    right: flat(a.right),
    rank: a.right.length,
    bias: b === undefined ? new Float32Array(a.right[0].length) : Float32Array.from(b),
    keep: rest(writtenMask(step)),
  };
}

function opsOf(step: InterventionStep, sources: Sources): EditOp[] {
  const { intervention, axes } = step;
  const axesCount = axes.dims.length;
  switch (intervention.kind) {
    case 'zero':
      return [replaceBy(step, constant(0, axesCount))];
    case 'set': {
      const { value } = intervention;
      return [replaceBy(step, typeof value === 'number' ? constant(value, axesCount) : row(value, axes))];
    }
    case 'add': {
      const { vector, factor = 1 } = intervention;
      const value = times(
        row(
          vector.map((x) => x * factor),
          axes,
        ),
        writtenMask(step),
      );
      return [{ op: 'affine', keep: constant(1, axesCount), value }];
    }
    case 'scale': {
      const written = writtenMask(step);
      const keep = { dims: written.dims, data: written.data.map((chosen) => (chosen === 1 ? intervention.factor : 1)) };
      return [{ op: 'affine', keep, value: constant(0, axesCount) }];
    }
    case 'projectOut': {
      const { direction } = intervention;
      const square = direction.reduce((sum, x) => sum + x * x, 0);
      const weight = times(
        row(
          direction.map((x) => -x / square),
          axes,
        ),
        writtenMask(step),
      );
      return [{ op: 'project', direction: Float32Array.from(direction), weight }];
    }
    case 'swapPositions':
      return [swapOps(step, intervention.pairs)];
    case 'editPattern':
      return entryOps(step, intervention);
    case 'lowRank':
      return [lowRankOp(step, intervention)];
    case 'mean':
    case 'resample':
    case 'patch':
    case 'freeze': {
      const source = sources.get(sourceRun(step) ?? null)?.get(hookName(step.point));
      if (source === undefined) throw new Error(`The values of ${hookName(step.point)} were not recorded.`);
      const op = replaceBy(step, replacement(step, intervention, source));
      if (intervention.kind !== 'patch' || intervention.renormalise !== true) return [op];
      const rows = writtenMask({ ...step, selection: { ...step.selection, neurons: undefined } });
      return [op, { op: 'renormalise', rows }];
    }
  }
}

/** Two affine steps in a row are one. */
function append(ops: EditOp[], next: EditOp): void {
  const last = ops.at(-1);
  if (last?.op !== 'affine' || next.op !== 'affine') {
    ops.push(next);
    return;
  }
  const value = plus(times(last.value, next.keep), next.value);
  ops[ops.length - 1] = { op: 'affine', keep: times(last.keep, next.keep), value };
}

/** The arithmetic of a plan, by the name of the hook point where it happens. */
export function compileEdits(plan: InterventionPlan, sources: Sources): ReadonlyMap<string, HookEdits> {
  const edits = new Map<string, { axes: HookAxes; ops: EditOp[] }>();
  for (const step of plan.steps) {
    const name = hookName(step.point);
    const own = edits.get(name) ?? { axes: step.axes, ops: [] };
    for (const op of opsOf(step, sources)) append(own.ops, op);
    edits.set(name, own);
  }
  return edits;
}
