import { MechanistError } from '../../shared/errors.ts';
import type { AblateRequest, AblationSites } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import { derangement } from '../engine/interventions/replacement.ts';
import type { WeightFiles } from '../engine/weightFiles.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights } from '../models/modelWeights.ts';
import { commonLength, positionLabels, type SweepItem } from '../tasks/gridRequest.ts';
import { Replacement } from './ablationValues.ts';
import { streamAfterHeads } from './gridHeads.ts';
import { addChange, headAxis, layerAxis, pickRows, type SweepPlan, startPositions } from './gridPlan.ts';

const HOOKS: Readonly<Record<AblationSites, BlockHook>> = {
  heads: 'attn.hook_z',
  mlps: 'hook_mlp_out',
  neurons: 'mlp.hook_post',
  positions: 'hook_resid_pre',
};

const NAMES: Readonly<Record<AblationSites, string>> = {
  heads: 'z of each head',
  mlps: 'output of each MLP',
  neurons: 'activation of each neuron after the nonlinearity',
  positions: 'resid_pre of each layer and position',
};

/** What stands in for the ablated thing, in words. */
function modeWords({ mode, meanOver, seed = 0 }: AblateRequest): string {
  if (mode === 'zero') return 'set to zero';
  if (mode === 'resample') return `taken from another prompt (seed ${seed})`;
  return meanOver === 'position'
    ? 'set to its mean over the positions of the prompt'
    : 'set to its mean over the prompts at each position';
}

function checkMode(request: AblateRequest, items: readonly SweepItem[]): void {
  const { mode, meanOver } = request;
  if (mode === 'zero' || meanOver === 'position') return;
  if (items.length === 1) {
    const way =
      mode === 'mean'
        ? 'A mean over the prompts needs several prompts: give a data set, or take the mean over the positions of the prompt (--mean-over position).'
        : 'Resampling takes the value of another prompt: give a data set.';
    throw new MechanistError('bad-input', way);
  }
  commonLength(items, mode === 'mean' ? 'A mean over the prompts at each position' : 'Resampling');
}

function checkLayer(layer: number | undefined, { nLayers }: ModelConfig): number {
  if (layer !== undefined && Number.isInteger(layer) && layer >= 0 && layer < nLayers) return layer;
  const given = layer === undefined ? 'Say which layer' : `There is no layer ${layer}`;
  throw new MechanistError('bad-input', `${given}: the neurons of one layer are swept, 0 to ${nLayers - 1}.`);
}

/** Rows of W_out, `[d_mlp, d_model]`: what each neuron writes. */
async function neuronOutputs(files: WeightFiles, out: LinearWeights): Promise<Float32Array> {
  const data = await files.tensor(out.weight);
  if (out.layout === 'in_out') return data;
  const [dModel, dMlp] = out.weight.shape;
  const result = new Float32Array(data.length);
  for (let i = 0; i < dModel; i += 1) for (let n = 0; n < dMlp; n += 1) result[n * dModel + i] = data[i * dMlp + n];
  return result;
}

type Parts = Pick<SweepPlan, 'axes' | 'start' | 'rows'> & { readonly kept: SweepPlan['kept']['base'] };

function heads(config: ModelConfig, replacement: Replacement): Parts {
  const { nLayers, nHeads, dHead, parallelResidual } = config;
  const hooks: BlockHook[] = ['attn.hook_z', ...(parallelResidual ? [] : ['hook_resid_mid' as const])];
  return {
    axes: { rows: layerAxis(nLayers), columns: headAxis(nHeads) },
    kept: { hooks, keysValues: false, residuals: parallelResidual },
    start: ({ row }) => ({ first: 0, boundary: row + 1 }),
    rows: async (stack, runs, start, cells, context) => {
      const layer = start.boundary - 1;
      const positions = startPositions(start, runs);
      const own = pickRows(runs.base.at(layer, 'attn.hook_z'), runs.base, cells, positions);
      const other = replacement.rows(runs, layer, cells, positions);
      const dz = new Float32Array(cells.length * positions.length * dHead);
      for (let row = 0; row < dz.length / dHead; row += 1) {
        const { column } = cells[Math.floor(row / positions.length)];
        const from = (row * nHeads + column) * dHead;
        for (let i = 0; i < dHead; i += 1) dz[row * dHead + i] = other[from + i] - own[from + i];
      }
      const change = { layer, cells, heads: cells.map(({ column }) => column), positions, dz, width: dHead };
      return await streamAfterHeads(stack, runs, change, context);
    },
  };
}

function mlps(config: ModelConfig, replacement: Replacement): Parts {
  return {
    axes: { rows: layerAxis(config.nLayers), columns: { name: 'MLP', labels: ['MLP'] } },
    kept: { hooks: ['hook_mlp_out'], keysValues: false, residuals: true },
    start: ({ row }) => ({ first: 0, boundary: row + 1 }),
    rows: async (_stack, runs, start, cells) => {
      const layer = start.boundary - 1;
      const positions = startPositions(start, runs);
      const { base } = runs;
      const own = pickRows(base.at(layer, 'hook_mlp_out'), base, cells, positions);
      const post = pickRows(base.residual(layer + 1), base, cells, positions);
      return addChange(post, replacement.rows(runs, layer, cells, positions), own);
    },
  };
}

function neurons(config: ModelConfig, replacement: Replacement, layer: number): Parts {
  const { dMlp, dModel } = config;
  let outputs: Promise<Float32Array> | null = null;
  const labels = Array.from({ length: dMlp }, (_, n) => `N${n}`);
  return {
    axes: { rows: { name: 'layer', labels: [`L${layer}`] }, columns: { name: 'neuron', labels } },
    kept: { hooks: ['mlp.hook_post'], layers: [layer], keysValues: false, residuals: true },
    start: () => ({ first: 0, boundary: layer + 1 }),
    rows: async ({ runner }, runs, start, cells) => {
      outputs ??= neuronOutputs(runner.files, runner.weights.blocks[layer].mlp.out);
      const written = await outputs;
      const positions = startPositions(start, runs);
      const { base } = runs;
      const post = pickRows(base.residual(layer + 1), base, cells, positions);
      cells.forEach((cell, c) => {
        const own = pickRows(base.at(layer, 'mlp.hook_post'), base, [cell], positions);
        const other = replacement.rows(runs, layer, [cell], positions);
        positions.forEach((_, p) => {
          const change = other[p * dMlp + cell.column] - own[p * dMlp + cell.column];
          const at = (c * positions.length + p) * dModel;
          for (let i = 0; i < dModel; i += 1) post[at + i] += change * written[cell.column * dModel + i];
        });
      });
      return post;
    },
  };
}

function positions(config: ModelConfig, replacement: Replacement, items: readonly SweepItem[]): Parts {
  commonLength(items, 'A grid with one column a position');
  return {
    axes: { rows: layerAxis(config.nLayers), columns: { name: 'position', labels: positionLabels(items) } },
    kept: { hooks: [], keysValues: true, residuals: true },
    start: ({ row, column }, count) => (column < count ? { first: column, boundary: row } : null),
    rows: async (_stack, runs, start, cells) => {
      const { first, boundary } = start;
      const rows = pickRows(runs.base.residual(boundary), runs.base, cells, startPositions(start, runs));
      const changed = replacement.rows(runs, boundary, cells, [first]);
      const size = rows.length / cells.length;
      cells.forEach((_, c) => {
        rows.set(changed.subarray(c * config.dModel, (c + 1) * config.dModel), c * size);
      });
      return rows;
    },
  };
}

/**
 * Ablation of each head, MLP, neuron of a layer, or position of the residual stream. Cell: the metric with that one thing
 * replaced, everything above it recomputed. About half a forward pass a cell and prompt.
 * @throws MechanistError `bad-input`: a mean over one prompt, prompts of unlike length, no such layer
 */
export function ablatePlan(request: AblateRequest, items: readonly SweepItem[], config: ModelConfig): SweepPlan {
  const { sites } = request;
  checkMode(request, items);
  const layer = sites === 'neurons' ? checkLayer(request.layer, config) : 0;
  const layers = sites === 'neurons' ? [layer] : Array.from({ length: config.nLayers }, (_, l) => l);
  const replacement = new Replacement(request, layers, HOOKS[sites]);
  const make = {
    heads: () => heads(config, replacement),
    mlps: () => mlps(config, replacement),
    neurons: () => neurons(config, replacement, layer),
    positions: () => positions(config, replacement, items),
  }[sites];
  const { axes, start, rows, kept } = make();
  const where = sites === 'positions' ? '' : ' at every position';
  const columns = { heads: 'head', mlps: 'all', neurons: 'neuron', positions: 'position' } as const;
  const source = request.mode === 'resample' ? replacement.kept : null;
  return {
    axes,
    start,
    rows,
    firstOrder: {
      hook: HOOKS[sites],
      layers,
      kept: { base: { ...kept, keysValues: false }, source },
      columns: columns[sites],
      heads: null,
      replacement: (runs, l) => {
        const everything = Array.from({ length: runs.base.items }, (_, item) => ({ row: 0, column: 0, item }));
        const everywhere = Array.from({ length: runs.base.count }, (_, position) => position);
        return replacement.rows(runs, l, everything, everywhere);
      },
    },
    intervention: `${NAMES[sites]} ${modeWords(request)}${where}`,
    base: 'clean',
    kept: { base: kept, source },
    // Over all prompts, which have one length: the numbers do not depend on which are run together.
    ...(source !== null && { takesFrom: derangement(items.length, request.seed ?? 0) }),
    wholePrompts: request.mode === 'mean' && request.meanOver === 'position',
    learn: (runs) => replacement.learn(runs),
  };
}
