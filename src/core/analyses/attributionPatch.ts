import { MechanistError } from '../../shared/errors.ts';
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
function layoutOf(columns: FirstOrder['columns'], hook: BlockHook, dims: readonly number[]) {
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
  { columns, hook }: FirstOrder,
): Float64Array[] {
  const items = gradient.dims[0];
  const { count, inner } = layoutOf(columns, hook, gradient.dims);
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

/** First-order values of one layer's cells: change of the metric, `[item][column]`. */
export interface LayerEffects {
  readonly layer: number;
  readonly items: readonly Float64Array[];
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
): Promise<LayerEffects[]> {
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
  return layers.map((layer) => {
    const gradient = gradients.get(name(layer));
    if (gradient === undefined) throw new Error(`No gradient at ${name(layer)}.`);
    const own = runs.base.at(layer, hook);
    return { layer, items: effects(gradient, own, firstOrder.replacement(runs, layer), firstOrder) };
  });
}
