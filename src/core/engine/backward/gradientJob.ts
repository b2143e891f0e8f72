import type { PackedArray } from '../../../shared/packedArray.ts';
import type { OnProgress } from '../../../shared/progress.ts';
import type { ActivationReads, ReadPlan } from '../activationReads.ts';
import { type GlobalHook, hookName } from '../hookPoints.ts';
import type { ModelRunner, RunOptions } from '../modelRunner.ts';
import { checkResidual, type ParsedHooks } from '../runChecks.ts';
import type { StackResult } from '../stackPass.ts';
import type { KnownForward } from './backward.ts';
import type { FreezablePart } from './backwardGraph.ts';
import { type BackwardStack, HookGradients } from './backwardStack.ts';
import type { FinalBackward, RowGradient } from './finalBackward.ts';
import type { Objective, ObjectivePart } from './objective.ts';
import type { WantedWeights } from './weightNames.ts';
import type { WeightSums } from './weightSums.ts';

export interface GradientResult {
  /** `[batch]`: the objective. */
  readonly values: Float64Array;
  /** ∂ value of the item / ∂ activation, by TransformerLens name; shapes as in `RunResult.activations`. */
  readonly gradients: ReadonlyMap<string, PackedArray>;
  /** The activations that were asked for. */
  readonly activations: ReadonlyMap<string, PackedArray>;
}

/** Positions per run, as in `BlockStack`. */
const TILE_POSITIONS = 1024;

/** One job, with everything read from its options. */
export interface Job {
  readonly tokens: readonly ArrayLike<number>[];
  readonly length: number;
  readonly objective: Objective;
  readonly parts: readonly ObjectivePart[];
  readonly hooks: ParsedHooks;
  readonly activations: ParsedHooks;
  readonly rows: Int32Array;
  readonly fromLayer: number;
  readonly weights: WantedWeights;
  readonly freeze: readonly FreezablePart[];
  /** A forward run from layer 0 that need not be made again. */
  readonly forward: KnownForward | null;
  readonly options: RunOptions;
}

/** The last block that is gone through on the way down; `nLayers` when none is. */
function lowestLayer(nLayers: number, { hooks, weights }: Job): number {
  const below = hooks.globals.some((hook) => hook === 'hook_embed' || hook === 'hook_pos_embed');
  const embeds = weights.globals.has('embed') || weights.globals.has('positionEmbed');
  const layers = [...hooks.blocks].flatMap(([layer, names]) =>
    names.map((name) => (name === 'hook_resid_post' ? layer + 1 : layer)),
  );
  return Math.min(nLayers, ...layers, ...weights.blocks.keys(), ...(below || embeds ? [0] : []));
}

/** The forward and reverse pass of one job, tile by tile. */
export class GradientJob {
  private readonly lowest: number;
  private readonly values: Float64Array;
  private readonly gradients: HookGradients;
  private readonly activations: HookGradients;
  private readonly globals = new Map<GlobalHook, PackedArray>();

  constructor(
    private readonly runner: ModelRunner,
    private readonly final: FinalBackward,
    private readonly stack: BackwardStack,
    private readonly job: Job,
    private readonly sums: WeightSums,
  ) {
    const { config } = runner;
    const batch = job.tokens.length;
    this.lowest = lowestLayer(config.nLayers, job);
    this.values = new Float64Array(batch);
    this.gradients = new HookGradients(config, batch, job.rows.length, job.length);
    this.activations = new HookGradients(config, batch, job.rows.length, job.length);
    for (const hook of job.hooks.globals) {
      const dims = [batch, job.rows.length, hook === 'ln_final.hook_scale' ? 1 : config.dModel];
      this.globals.set(hook, { dims, data: new Float32Array(dims[0] * dims[1] * dims[2]) });
    }
  }

  async run(): Promise<GradientResult> {
    const { job } = this;
    const batch = job.tokens.length;
    const items = Math.max(1, Math.min(batch, Math.floor(TILE_POSITIONS / job.length)));
    for (let first = 0; first < batch; first += items) {
      await this.tile(first, Math.min(items, batch - first), first / items, Math.ceil(batch / items));
    }
    return {
      values: this.values,
      gradients: this.named(job.hooks, this.gradients),
      activations: this.named(job.activations, this.activations),
    };
  }

  private named({ blocks, globals }: ParsedHooks, from: HookGradients): Map<string, PackedArray> {
    const result = new Map<string, PackedArray>();
    for (const hook of globals) {
      const array = this.globals.get(hook);
      if (array !== undefined) result.set(hook, array);
    }
    for (const [layer, hooks] of blocks) {
      for (const hook of hooks) result.set(hookName({ kind: 'block', layer, hook }), from.get(layer, hook));
    }
    return result;
  }

  /** resid_pre of the first layer, `[items, length, d_model]`. */
  private async start(first: number, items: number): Promise<Float32Array> {
    const { job, runner } = this;
    if (job.options.residual !== undefined) {
      const data = checkResidual(runner.config, job.options, job.tokens.length, job.length);
      const size = job.length * runner.config.dModel;
      return data.subarray(first * size, (first + items) * size);
    }
    const { tokens, positions } = await runner.embed(job.tokens.slice(first, first + items));
    return positions === null ? tokens : tokens.map((value, i) => value + positions[i]);
  }

  private async tile(first: number, items: number, done: number, tiles: number): Promise<void> {
    const { job, lowest } = this;
    const { nLayers } = this.runner.config;
    const { signal, onProgress } = job.options;
    const steps = nLayers - job.fromLayer + nLayers - lowest;
    const report = (step: number, label: string) =>
      onProgress?.({ done: done * steps + step, total: tiles * steps, label });
    const width = { firstItem: first, items, length: job.length };
    const forward = this.known(width) ?? (await this.forward(width, (p) => report(p.done, p.label)));
    const dy = await this.finalGradient(forward.x, width);
    const dx = await this.stack.run({
      ...{
        ...width,
        fromLayer: job.fromLayer,
        residuals: forward.residuals,
        keysValues: forward.keysValues,
        lowest,
        dy,
      },
      ...{ reads: { hooks: job.hooks.blocks, rows: job.rows }, collected: this.gradients, sums: this.sums, signal },
      weights: job.weights.blocks,
      onLayer: (layer) => report(nLayers - job.fromLayer + nLayers - layer, `Gradient, L${layer + 1} of ${nLayers}`),
    });
    if (lowest === 0) this.keepEmbeddings(dx, width);
  }

  /** The tile's part of a forward run that was made before; null where there is none, or where keys and values are needed, too. */
  private known({ firstItem, items, length }: TileSize): TileForward | null {
    const { forward, activations } = this.job;
    if (forward === null || activations.blocks.size > 0 || this.stack.chunkRows(items, length) < length) return null;
    const size = length * this.runner.config.dModel;
    const own = forward.residuals.map((stream) => stream.subarray(firstItem * size, (firstItem + items) * size));
    return { x: own[own.length - 1], residuals: own.slice(0, -1), keysValues: [] };
  }

  private async forward(width: TileSize, onProgress: OnProgress): Promise<TileForward> {
    const { job, runner, lowest } = this;
    const { firstItem, items, length } = width;
    const { nLayers } = runner.config;
    const reads: ReadPlan = { hooks: job.activations.blocks, rows: job.rows };
    const chunked = this.stack.chunkRows(items, length) < length;
    const result = await runner.blocks.forward({
      ...{ x: await this.start(firstItem, items), batch: items, count: length, start: 0, reads, onProgress },
      ...{ fromLayer: job.fromLayer, toLayer: nLayers, keepResiduals: lowest < nLayers, keepKeysValues: chunked },
      signal: job.options.signal,
    });
    this.keepActivations(result.reads, width);
    return result;
  }

  private keepActivations(reads: ActivationReads, { firstItem, items }: TileSize): void {
    const tile = { firstItem, items, firstRow: 0, rows: this.job.length };
    const target = [...this.job.rows.keys()];
    for (const [layer, hooks] of this.job.activations.blocks) {
      for (const hook of hooks) {
        const { dims, data } = reads.get(layer, hook);
        const own = this.activations.of(hook);
        own.reads.store(layer, own.hook, tile, { local: target, target }, dims, data);
      }
    }
  }

  /** Values of the tile's items, and the gradient at resid_post of the last layer `[items, length, d_model]`. */
  private async finalGradient(residual: Float32Array, tile: TileSize): Promise<Float32Array> {
    const { job, runner } = this;
    const { dModel } = runner.config;
    const size = job.length * dModel;
    const { firstItem, items } = tile;
    if (job.objective.kind === 'residual') {
      const all = job.objective.gradient;
      checkResidual(runner.config, { residual: all }, job.tokens.length, job.length);
      const dy = all.data.subarray(firstItem * size, (firstItem + items) * size);
      dy.forEach((value, i) => {
        this.values[firstItem + Math.floor(i / size)] += value * residual[i];
      });
      return dy;
    }
    const parts = job.parts.filter(({ item }) => item >= firstItem && item < firstItem + items);
    const frozen = job.freeze.includes('norm-scales');
    const found = await this.final.run(parts, residual, tile, frozen, this.sums, job.options.signal);
    this.values.set(found.values, firstItem);
    const dy = new Float32Array(residual.length);
    for (const row of found.rows) {
      dy.set(row.residual, (row.item - firstItem) * size + row.position * dModel);
      this.keepFinal(row);
    }
    return dy;
  }

  private keepFinal({ item, position, normalized, scale }: RowGradient): void {
    const { rows } = this.job;
    rows.forEach((row, i) => {
      if (row !== position) return;
      const at = item * rows.length + i;
      this.globals.get('ln_final.hook_normalized')?.data.set(normalized, at * normalized.length);
      this.globals.get('ln_final.hook_scale')?.data.set([scale], at);
    });
  }

  private keepEmbeddings(dx: Float32Array, { firstItem, items, length }: TileSize): void {
    const { dModel } = this.runner.config;
    const { rows, tokens } = this.job;
    const row = (item: number, position: number) => {
      const at = (item * length + position) * dModel;
      return dx.subarray(at, at + dModel);
    };
    for (let item = 0; item < items; item += 1) {
      rows.forEach((position, i) => {
        const at = ((firstItem + item) * rows.length + i) * dModel;
        this.globals.get('hook_embed')?.data.set(row(item, position), at);
        this.globals.get('hook_pos_embed')?.data.set(row(item, position), at);
      });
      for (let position = 0; position < length; position += 1) {
        this.sums.add('embed', row(item, position), tokens[firstItem + item][position] * dModel);
        this.sums.add('positionEmbed', row(item, position), position * dModel);
      }
    }
  }
}

/** What the reverse pass needs of the forward pass. */
type TileForward = Pick<StackResult, 'x' | 'residuals' | 'keysValues'>;

interface TileSize {
  readonly firstItem: number;
  readonly items: number;
  readonly length: number;
}
