import { MechanistError } from '../../shared/errors.ts';
import type { HeadRef, PatchRequest } from '../../shared/gridDocument.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { commonLength, positionLabels, type SweepItem } from '../tasks/gridRequest.ts';
import { streamAfterHeads } from './gridHeads.ts';
import { pickRows, putRows, type SweepPlan, startPositions } from './gridPlan.ts';
import { byKey, type HeadSite, headChange, headNoun, keptForHeads } from './patchHeads.ts';

/**
 * The heads that are the rows of a grid by position.
 * @throws MechanistError `bad-input`: none named, one that the model has not, or one named twice
 */
export function headsOf(site: HeadSite, heads: PatchRequest['heads'], config: ModelConfig): readonly HeadRef[] {
  const { nLayers, nHeads, nKeyValueHeads } = config;
  const count = byKey(site) ? nKeyValueHeads : nHeads;
  if (heads === undefined) {
    throw new MechanistError(
      'bad-input',
      `A grid of ${site} by position has a row for each head: name them, or a layer.`,
    );
  }
  const rows = 'layer' in heads ? Array.from({ length: count }, (_, head) => ({ layer: heads.layer, head })) : heads;
  if (rows.length === 0) throw new MechanistError('bad-input', 'Name at least one head.');
  const seen = new Set<string>();
  for (const { layer, head } of rows) {
    if (!Number.isInteger(layer) || layer < 0 || layer >= nLayers) {
      throw new MechanistError('bad-input', `There is no layer ${layer}: the model has layers 0 to ${nLayers - 1}.`);
    }
    if (!Number.isInteger(head) || head < 0 || head >= count) {
      const noun = headNoun(site, config);
      throw new MechanistError('bad-input', `There is no ${noun} ${head}: each layer has 0 to ${count - 1}.`);
    }
    const name = `L${layer}.H${head}`;
    if (seen.has(name)) throw new MechanistError('bad-input', `${name} is named twice. Name each head once.`);
    seen.add(name);
  }
  return rows;
}

/**
 * A grid of chosen heads and positions: z, q or pattern of a head at one query position, its key or value at one position.
 * @param firstChange first position at which the two runs' tokens differ: nothing differs before
 * @throws MechanistError `bad-input`: prompts of unlike length
 */
export function headPositionsPlan(
  site: HeadSite,
  heads: readonly HeadRef[],
  items: readonly SweepItem[],
  firstChange: number,
  config: ModelConfig,
): Pick<SweepPlan, 'axes' | 'start' | 'rows' | 'kept'> {
  commonLength(items, 'A grid with one column a position');
  const labels = heads.map(({ layer, head }) => `L${layer}.H${head}`);
  const layers = [...new Set(heads.map(({ layer }) => layer))];
  const { base, source } = keptForHeads(site, config);
  return {
    axes: {
      rows: { name: headNoun(site, config), labels },
      columns: { name: 'position', labels: positionLabels(items) },
    },
    kept: { base: { hooks: base, layers, keysValues: true, residuals: true }, source: { ...source, layers } },
    start: ({ row, column }, count) =>
      column >= firstChange && column < count ? { first: column, boundary: heads[row].layer + 1 } : null,
    rows: async (stack, runs, start, cells, context) => {
      const { first, boundary } = start;
      const all = startPositions(start, runs);
      // A key or value is read at its position and after it; z, query and pattern are those of one position.
      const changes = all.map((at) => (byKey(site) ? at >= first : at === first));
      const positions = all.filter((_, i) => changes[i]);
      const own = pickRows(runs.base.residual(boundary), runs.base, cells, all);
      if (positions.length === 0) return own;
      const headOfCell = cells.map(({ row }) => heads[row].head);
      const patched = { layer: boundary - 1, cells, heads: headOfCell, positions, keys: [first] };
      const change = await headChange(site, stack, runs, patched, context);
      return putRows(own, await streamAfterHeads(stack, runs, change, context), cells.length, changes);
    },
  };
}
