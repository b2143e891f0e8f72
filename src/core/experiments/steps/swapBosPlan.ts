import { streamAfterHeads } from '../../analyses/gridHeads.ts';
import type { SweepPlan } from '../../analyses/gridPlan.ts';
import { type CellRun, type GroupRuns, headAxis, layerAxis, startPositions } from '../../analyses/gridPlan.ts';
import { HeadWeights } from '../../engine/headWeights.ts';
import type { BlockHook } from '../../engine/hookPoints.ts';
import type { ModelConfig } from '../../models/modelConfig.ts';

/** Two positions whose attention to the first one is exchanged. */
export interface BosSwap {
  readonly positions: readonly [number, number];
  /** Divides the two rows by their new sums. */
  readonly renormalise: boolean;
}

/** The layers in which one of the positions cannot see the first one. */
export function layersWithoutFirst({ attention }: ModelConfig, positions: readonly number[]): readonly number[] {
  return attention.windows.flatMap((window, layer) =>
    window !== null && Math.max(...positions) >= window ? [layer] : [],
  );
}

/** Where a change of z is made, and what is needed for it. */
interface DeltaPlace {
  readonly runs: GroupRuns;
  readonly layer: number;
  readonly cell: CellRun;
  readonly pair: readonly [own: number, other: number];
  readonly renormalise: boolean;
  /** The part of the head's values that is the same for every token, `[d_head]`. */
  readonly constant: Float64Array;
}

/**
 * What the exchange changes in z of a head, at one of the two positions, written to `dz` from `at` on: with p the attention to
 * the first position there, q at the other, v the first position's value and c the part of values that no token changes,
 * (q − p)(v − c): as published, where c is folded into the output bias. Renormalised: (z + (q − p) v) / (1 + q − p) − z,
 * in which c makes no difference.
 */
function addDelta(dz: Float32Array, at: number, place: DeltaPlace): void {
  const { runs, layer, renormalise, constant } = place;
  const { item, column } = place.cell;
  const [own, other] = place.pair;
  const { base } = runs;
  const { nHeads, nKeyValueHeads, dHead } = base.runner.config;
  const pattern = base.at(layer, 'attn.hook_pattern');
  const bos = (position: number) => pattern[((item * nHeads + column) * base.count + position) * base.count];
  const { values } = base.keysValuesOf(layer);
  const keyHead = Math.floor(column / (nHeads / nKeyValueHeads));
  const value = (item * nKeyValueHeads + keyHead) * base.count * dHead;
  const z = base.at(layer, 'attn.hook_z');
  const from = ((item * base.count + own) * nHeads + column) * dHead;
  const more = bos(other) - bos(own);
  for (let e = 0; e < dHead; e += 1) {
    dz[at + e] = renormalise
      ? (z[from + e] + more * values[value + e]) / (1 + more) - z[from + e]
      : more * (values[value + e] - constant[e]);
  }
}

/**
 * Exchanges, in one head at a time, how much two positions attend to the first one (E11 of arXiv 2405.04156): a grid of
 * layers and heads on the clean run. About half a forward pass a cell, from the earlier position on.
 */
export function swapBosPlan({ positions: pair, renormalise }: BosSwap, config: ModelConfig): SweepPlan {
  const { nLayers, nHeads, dHead, parallelResidual } = config;
  const mid: BlockHook[] = parallelResidual ? [] : ['hook_resid_mid'];
  const first = Math.min(...pair);
  const without = layersWithoutFirst(config, pair);
  const weights = new Map<number, Promise<HeadWeights>>();
  return {
    axes: { rows: layerAxis(nLayers), columns: headAxis(nHeads) },
    intervention: `attention to the first position exchanged between two positions, ${renormalise ? 'rows renormalised' : 'rows as they become'}`,
    base: 'clean',
    firstOrder: null,
    kept: {
      base: { hooks: ['attn.hook_z', 'attn.hook_pattern', ...mid], keysValues: true, residuals: parallelResidual },
      source: null,
    },
    start: ({ row }, count) => (first < count && !without.includes(row) ? { first, boundary: row + 1 } : null),
    rows: async (stack, runs, start, cells, context) => {
      const layer = start.boundary - 1;
      const positions = startPositions(start, runs);
      const dz = new Float32Array(cells.length * positions.length * dHead);
      const own = weights.get(layer) ?? HeadWeights.read(stack.runner, layer);
      weights.set(layer, own);
      const values = await own;
      const constants = Array.from({ length: nHeads }, (_, head) => values.constantValue(head));
      cells.forEach((cell, c) => {
        for (const swapped of [pair, [pair[1], pair[0]] as const]) {
          const p = positions.indexOf(swapped[0]);
          const place = { runs, layer, cell, pair: swapped, renormalise, constant: constants[cell.column] };
          if (p >= 0) addDelta(dz, (c * positions.length + p) * dHead, place);
        }
      });
      const heads = cells.map(({ column }) => column);
      const change = { layer, cells, heads, positions, dz, width: dHead };
      return await streamAfterHeads(stack, runs, change, context);
    },
  };
}
