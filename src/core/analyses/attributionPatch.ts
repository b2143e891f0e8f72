import { MechanistError } from '../../shared/errors.ts';
import type { HeadRef } from '../../shared/gridDocument.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import { Backward } from '../engine/backward/backward.ts';
import { type BlockHook, isAttentionMap } from '../engine/hookPoints.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import type { Kept } from '../engine/sweeps/baseRun.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import { type LogitsRow, whyNoEstimate } from '../tasks/metrics.ts';
import type { Group } from './gridGroups.ts';
import type { GroupRuns } from './gridPlan.ts';

/** How a sweep is estimated from one backward pass. */
export interface FirstOrder {
  /** Where the intervention acts. */
  readonly hook: BlockHook;
  readonly layers: readonly number[];
  /** What the unchanged runs must hold for `replacement`. */
  readonly kept: { readonly base: Kept; readonly source: Kept | null };
  /** What stands at the hook after the intervention, of the shape of the activation. */
  readonly replacement: (runs: GroupRuns, layer: number) => Float32Array;
  /** What the columns of the grid are. */
  readonly columns: 'position' | 'head' | 'neuron' | 'all';
  /** The rows where each is one head by position; null: rows are layers. */
  readonly heads: readonly HeadRef[] | null;
}

const gradientsOf = new WeakMap<ModelRunner, Backward>();

/** Gradients of a model: one for each open model, so that its graphs are made once. */
export function backwardOf(runner: ModelRunner): Backward {
  const known = gradientsOf.get(runner) ?? new Backward(runner);
  gradientsOf.set(runner, known);
  return known;
}

/** @throws MechanistError `bad-input` for a metric that has nothing to follow */
export function checkFirstOrder(metric: MetricSpec, base: 'clean' | 'corrupted'): void {
  const why = whyNoEstimate(metric, base);
  if (why === null) return;
  const instead = metric.kind === 'kl' ? 'another metric, denoising,' : 'another metric';
  throw new MechanistError(
    'bad-input',
    `There is no first-order estimate: ${why}. Choose ${instead} or the exact sweep.`,
  );
}

/** Where the entries of one item's activation belong: `[outer, columns, inner]` summed over outer and inner. */
function layoutOf({ columns, heads, hook }: FirstOrder, dims: readonly number[]) {
  // `[pos, head]`, of attention maps `[head, query]`
  if (heads !== null) return { count: dims[1] * dims[2], inner: dims[3] };
  const size = dims.slice(1).reduce((product, dim) => product * dim, 1);
  if (columns === 'all') return { count: 1, inner: size };
  if (columns === 'position') return { count: dims[1], inner: size / dims[1] };
  if (columns === 'neuron') return { count: dims[2], inner: 1 };
  if (isAttentionMap(hook)) return { count: dims[1], inner: size / dims[1] };
  return { count: dims[2], inner: dims[3] };
}

/** Σ gradient × (replacement − own) by column, `[item][column]`. float64. */
function effects(
  gradient: PackedArray,
  own: Float32Array,
  other: Float32Array,
  firstOrder: FirstOrder,
): Float64Array[] {
  const items = gradient.dims[0];
  const { count, inner } = layoutOf(firstOrder, gradient.dims);
  const size = gradient.data.length / items;
  return Array.from({ length: items }, (_, item) => {
    const sums = new Float64Array(count);
    for (let from = 0; from < size; from += inner) {
      const at = item * size + from;
      let sum = 0;
      for (let i = at; i < at + inner; i += 1) sum += gradient.data[i] * (other[i] - own[i]);
      sums[(from / inner) % count] += sum;
    }
    return sums;
  });
}

/** First-order values of one row's cells: change of the metric, `[item][column]`. */
export interface RowEffects {
  readonly row: number;
  readonly items: readonly Float64Array[];
}

/** The positions of one head from the sums of a layer's heads and positions. */
function ofHead(sums: Float64Array, head: number, hook: BlockHook, [, a, b]: readonly number[]): Float64Array {
  const isMap = isAttentionMap(hook);
  return Float64Array.from({ length: isMap ? b : a }, (_, pos) => sums[isMap ? head * b + pos : pos * b + head]);
}

/**
 * Attribution patching (Nanda 2023; Syed et al. 2023): what each replacement would change if the metric were linear,
 * gradient × (replacement − own) summed over the replaced entries, for all cells from one backward pass.
 * About 2 forward passes of the group: the unchanged run is there.
 */
export async function attributionPatch(
  runner: ModelRunner,
  firstOrder: FirstOrder,
  group: Group,
  runs: GroupRuns,
  items: readonly SweepItem[],
  metric: MetricSpec,
  referenceAt: (item: number, position: number) => LogitsRow | undefined,
  { signal }: RunContext,
): Promise<RowEffects[]> {
  const { hook, layers } = firstOrder;
  const name = (layer: number) => `blocks.${layer}.${hook}`;
  const hooks = layers.map(name);
  const objective = {
    kind: 'metric' as const,
    metric,
    targets: group.items.map((item) => items[item].targets),
    reference: (item: number, position: number) => referenceAt(group.items[item], position) ?? [],
  };
  const { tokens, streams } = runs.base;
  const { gradients } = await backwardOf(runner).gradients(tokens, objective, {
    hooks,
    forward: { residuals: streams },
    signal,
  });
  const rows = firstOrder.heads ?? layers.map((layer) => ({ layer, head: null }));
  const byLayer = new Map<number, Float64Array[]>();
  return rows.map(({ layer, head }, row) => {
    const gradient = gradients.get(name(layer));
    if (gradient === undefined) throw new Error(`No gradient at ${name(layer)}.`);
    const known = byLayer.get(layer);
    const own = runs.base.at(layer, hook);
    const sums = known ?? effects(gradient, own, firstOrder.replacement(runs, layer), firstOrder);
    byLayer.set(layer, sums);
    return { row, items: head === null ? sums : sums.map((one) => ofHead(one, head, hook, gradient.dims)) };
  });
}
