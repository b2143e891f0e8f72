import { streamAfterHeads } from '../../analyses/gridHeads.ts';
import type { SweepPlan } from '../../analyses/gridPlan.ts';
import { type CellRun, type GroupRuns, headAxis, layerAxis, startPositions } from '../../analyses/gridPlan.ts';
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

/**
 * What the exchange changes in z of a head, at one of the two positions: with p the attention to the first position there, q
 * at the other, v the first position's value, z + (q − p) v, divided by 1 + q − p where the row is renormalised.
 */
function addDelta(
  dz: Float32Array,
  at: number,
  runs: GroupRuns,
  layer: number,
  { item, column }: CellRun,
  [own, other]: readonly [number, number],
  renormalise: boolean,
): void {
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
  const sum = renormalise ? 1 + more : 1;
  for (let e = 0; e < dHead; e += 1) {
    dz[at + e] = (z[from + e] + more * values[value + e]) / sum - z[from + e];
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
      cells.forEach((cell, c) => {
        for (const [own, other] of [pair, [pair[1], pair[0]] as const]) {
          const p = positions.indexOf(own);
          if (p >= 0) addDelta(dz, (c * positions.length + p) * dHead, runs, layer, cell, [own, other], renormalise);
        }
      });
      const heads = cells.map(({ column }) => column);
      const change = { layer, cells, heads, positions, dz, width: dHead };
      return await streamAfterHeads(stack, runs, change, context);
    },
  };
}
