import { MechanistError } from '../../shared/errors.ts';
import type { PathPatchRequest } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { SweepStack } from '../engine/sweeps/sweepStack.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import { headDeltas, pickHeads } from './gridHeads.ts';
import { type CellRun, type GroupRuns, headAxis, layerAxis, pickRows, type SweepPlan } from './gridPlan.ts';
import { firstChange } from './patch.ts';
import { queryHook } from './patchHeads.ts';
import { type Receiver, Receivers } from './pathReceivers.ts';

/** What the sender of each cell writes anew into the stream, `[cells, positions, d_model]`. */
async function senderDeltas(
  stack: SweepStack,
  runs: GroupRuns,
  layer: number,
  cells: readonly CellRun[],
  positions: readonly number[],
  context: ClimbContext,
): Promise<Float32Array> {
  const { dHead } = stack.config;
  const { base, source } = runs;
  if (source === null) throw new Error('There is no run to patch from.');
  const heads = cells.map(({ column }) => column);
  const z = (run: typeof base) => pickHeads(run.at(layer, 'attn.hook_z'), runs, cells, positions, heads, dHead);
  const [dz, own] = [z(source), z(base)];
  for (let i = 0; i < dz.length; i += 1) dz[i] -= own[i];
  return await headDeltas(stack, layer, dz, heads, dHead, context);
}

/** Streams of run 1, in which every head but the sender writes what it writes in the base run. */
class SenderStreams {
  /** Cells whose sender lies below the present layer. */
  cells: CellRun[] = [];
  /** What differs from the base run's stream, `[cells, positions, d_model]`. */
  private change: Float32Array = new Float32Array(0);

  constructor(
    private readonly stack: SweepStack,
    private readonly runs: GroupRuns,
    private readonly all: readonly CellRun[],
    private readonly positions: readonly number[],
    private readonly mlps: PathPatchRequest['mlps'],
    private readonly context: ClimbContext,
  ) {}

  /** The stream before a layer (after the last: `nLayers`), `[cells, positions, d_model]`. */
  stream(layer: number): Float32Array {
    const x = pickRows(this.runs.base.residual(layer), this.runs.base, this.cells, this.positions);
    for (let i = 0; i < x.length; i += 1) x[i] += this.change[i];
    return x;
  }

  /** Goes past a layer; cells whose sender it holds join. */
  async pass(layer: number): Promise<void> {
    const joining = this.all.filter(({ row }) => row === layer);
    if (joining.length > 0) {
      const deltas = await senderDeltas(this.stack, this.runs, layer, joining, this.positions, this.context);
      const change = new Float32Array(this.change.length + deltas.length);
      change.set(this.change);
      change.set(deltas, this.change.length);
      this.change = change;
      this.cells = [...this.cells, ...joining];
    }
    if (this.mlps === 'frozen' || this.cells.length === 0) return;
    await this.context.giveWay?.();
    const { base } = this.runs;
    const { parallelResidual } = this.stack.config;
    const joined = this.cells.length - joining.length;
    // A parallel MLP reads resid_pre, which the senders of this layer do not change.
    const reading = parallelResidual ? this.cells.slice(0, joined) : this.cells;
    if (reading.length === 0) return;
    const from = parallelResidual ? base.residual(layer) : base.at(layer, 'hook_resid_mid');
    const input = pickRows(from, base, reading, this.positions);
    for (let i = 0; i < input.length; i += 1) input[i] += this.change[i];
    const out = await this.stack.mlp(layer, input, this.context);
    const own = pickRows(base.at(layer, 'hook_mlp_out'), base, reading, this.positions);
    for (let i = 0; i < out.length; i += 1) this.change[i] += out[i] - own[i];
  }
}

/** Puts `[cells in their own order, size]` into the order of `wanted`. */
function inOrder(data: Float32Array, cells: readonly CellRun[], wanted: readonly CellRun[]): Float32Array {
  const size = data.length / cells.length;
  const result = new Float32Array(data.length);
  const index = new Map(cells.map((cell, i) => [cell, i]));
  wanted.forEach((cell, i) => {
    const from = (index.get(cell) ?? 0) * size;
    result.set(data.subarray(from, from + size), i * size);
  });
  return result;
}

function toFinal(
  mlps: PathPatchRequest['mlps'],
  first: number,
  { nLayers }: ModelConfig,
): Pick<SweepPlan, 'start' | 'rows'> {
  return {
    start: (_, count) => (first < count ? { first: 0, boundary: nLayers } : null),
    // Attention is held, so that nothing passes between positions: only the answers' are run.
    rows: async (stack, runs, _start, cells, context) => {
      const streams = new SenderStreams(stack, runs, cells, runs.answers, mlps, context);
      const lowest = Math.min(...cells.map(({ row }) => row));
      for (let layer = lowest; layer < nLayers; layer += 1) await streams.pass(layer);
      return inOrder(streams.stream(nLayers), streams.cells, cells);
    },
  };
}

function toReceivers(
  mlps: PathPatchRequest['mlps'],
  receivers: readonly Receiver[],
  first: number,
  { nLayers }: ModelConfig,
): Pick<SweepPlan, 'start' | 'rows'> {
  const highest = Math.max(...receivers.map(({ layer }) => layer));
  return {
    start: ({ row }, count) => (row < highest && first < count ? { first, boundary: highest + 1 } : null),
    rows: async (stack, runs, _start, cells, context) => {
      const changed = Array.from({ length: runs.base.count - first }, (_, i) => first + i);
      const streams = new SenderStreams(stack, runs, cells, changed, mlps, context);
      const second = new Receivers(stack, runs, cells, receivers, first, context);
      const lowest = Math.min(...cells.map(({ row }) => row));
      for (let layer = lowest; layer <= highest; layer += 1) {
        if (streams.cells.length > 0 && second.hasLayer(layer)) {
          await second.read(layer, streams.cells, streams.stream(layer));
        }
        if (layer < highest) await streams.pass(layer);
      }
      const positions = highest + 1 === nLayers ? runs.answers : changed;
      return await second.run(highest, positions);
    },
  };
}

function checkReceivers(receivers: readonly Receiver[], { nLayers, nHeads }: ModelConfig): void {
  if (receivers.length === 0) throw new MechanistError('bad-input', 'Name at least one receiver, or "final".');
  for (const { layer, head } of receivers) {
    if (!Number.isInteger(layer) || layer < 0 || layer >= nLayers) {
      throw new MechanistError('bad-input', `There is no layer ${layer}: the model has layers 0 to ${nLayers - 1}.`);
    }
    if (!Number.isInteger(head) || head < 0 || head >= nHeads) {
      throw new MechanistError('bad-input', `There is no head ${head}: each layer has heads 0 to ${nHeads - 1}.`);
    }
  }
  if (receivers.every(({ layer }) => layer === 0)) {
    throw new MechanistError('bad-input', 'No head writes before layer 0: take receivers from layer 1 on.');
  }
}

/**
 * Path patching (Wang et al. 2022; Goldowsky-Dill et al. 2023). Run 1 holds every head's z at the base run's but the
 * sender's, which comes from the other run; MLPs are held too, or recomputed. To the final stream: its metric, the final norm
 * recomputed. To receivers: their q, k or v of run 1 replace those of the base run in a second run in which nothing is held; a
 * key or value is its key-value head's, so that all its query heads read it.
 * Cost a cell: to the final stream an output map, and the MLPs above; to receivers up to a forward pass, of the positions from
 * the first on at which a prompt differs from its other one.
 * @throws MechanistError `bad-input`: no such receiver
 */
export function pathPatchPlan(
  request: Pick<PathPatchRequest, 'receivers' | 'mlps' | 'direction'>,
  items: readonly SweepItem[],
  config: ModelConfig,
): SweepPlan {
  const { receivers, mlps, direction = 'denoising' } = request;
  const { nLayers, nHeads, parallelResidual } = config;
  if (receivers !== 'final') checkReceivers(receivers, config);
  const mid: BlockHook[] = parallelResidual ? [] : ['hook_resid_mid'];
  const hooks: BlockHook[] = ['attn.hook_z', ...mid, 'hook_mlp_out'];
  const toHeads = receivers !== 'final';
  const [from, into] = direction === 'denoising' ? ['clean', 'corrupted'] : ['corrupted', 'clean'];
  const end = toHeads
    ? receivers.map(({ layer, head, input }) => `L${layer}.H${head}.${input}`).join(', ')
    : 'the final residual stream';
  // What all prompts share with their other prompt is as in the base run.
  const first = firstChange(items);
  const parts = toHeads ? toReceivers(mlps, receivers, first, config) : toFinal(mlps, first, config);
  return {
    ...parts,
    firstOrder: null,
    axes: { rows: layerAxis(nLayers), columns: headAxis(nHeads) },
    intervention: `path from each head to ${end}, z taken from the ${from} run into the ${into} run, MLPs ${mlps}`,
    base: direction === 'denoising' ? 'corrupted' : 'clean',
    kept: {
      base: { hooks: toHeads ? [...hooks, queryHook(config)] : hooks, keysValues: toHeads, residuals: true },
      source: { hooks: ['attn.hook_z'], keysValues: false, residuals: false },
    },
  };
}
