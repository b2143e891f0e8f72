import type { AblationValue } from '../../shared/circuit.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import { addRows, type Chunk, meanRows, tokensOf } from './ablationValues.ts';

const HOOK = 'mlp.hook_post';

/** By layer, `[values, pos, d_mlp]`. */
export type NeuronLayers = ReadonlyMap<number, Float32Array>;

/**
 * What stands in for neurons (`mlp.hook_post`), made for the layers that are asked for: few circuits name neurons, and those of
 * all layers would take more memory than everything else. A forward pass of the data for the means of new layers; for a
 * resample one of each chunk, the last of which is kept.
 */
export class NeuronValues {
  /** Σ items × positions of what was run for them. */
  positions = 0;
  private readonly means = new Map<number, Float32Array>();
  private last: { readonly chunk: Chunk; readonly values: Map<number, Float32Array> } | null = null;
  private readonly longest: number;

  constructor(
    private readonly runner: ModelRunner,
    private readonly task: TaskSet,
    private readonly chunks: readonly Chunk[],
    private readonly ablation: AblationValue,
  ) {
    this.longest = Math.max(...chunks.map(({ count }) => count));
  }

  /** One for all items of a chunk, or for a resample each its own. */
  async of(chunk: Chunk, layers: readonly number[], context: RunContext): Promise<NeuronLayers> {
    const { dMlp } = this.runner.config;
    const { ablation } = this;
    if (ablation.kind === 'resample') return await this.resampled(chunk, layers, ablation.corruption, context);
    const missing = layers.filter((layer) => !this.means.has(layer));
    if (ablation.kind === 'mean' && missing.length > 0) await this.makeMeans(missing, ablation.corruption, context);
    const size = chunk.count * dMlp;
    return new Map(layers.map((layer) => [layer, this.means.get(layer)?.subarray(0, size) ?? new Float32Array(size)]));
  }

  private async recorded(
    chunk: Chunk,
    layers: readonly number[],
    corruption: string | undefined,
    context: RunContext,
  ): Promise<BaseRun> {
    const tokens = chunk.items.map((item) => tokensOf(this.task.items[item], corruption));
    this.positions += chunk.items.length * chunk.count;
    return await BaseRun.run(
      this.runner,
      tokens,
      { hooks: [HOOK], layers, keysValues: false, residuals: false },
      context,
    );
  }

  private async resampled(
    chunk: Chunk,
    layers: readonly number[],
    corruption: string,
    context: RunContext,
  ): Promise<NeuronLayers> {
    const values = this.last?.chunk === chunk ? this.last.values : new Map<number, Float32Array>();
    this.last = { chunk, values };
    const missing = layers.filter((layer) => !values.has(layer));
    if (missing.length > 0) {
      const run = await this.recorded(chunk, missing, corruption, context);
      for (const layer of missing) values.set(layer, run.at(layer, HOOK));
    }
    return values;
  }

  /** Over all rows that reach a position, as for heads and MLPs. */
  private async makeMeans(
    layers: readonly number[],
    corruption: string | undefined,
    context: RunContext,
  ): Promise<void> {
    const { dMlp } = this.runner.config;
    const sums = new Map(layers.map((layer) => [layer, new Float64Array(this.longest * dMlp)]));
    const rows = new Float64Array(this.longest);
    for (const chunk of this.chunks) {
      throwIfCancelled(context.signal);
      const run = await this.recorded(chunk, layers, corruption, context);
      for (let position = 0; position < chunk.count; position += 1) rows[position] += chunk.items.length;
      for (const [layer, sum] of sums) addRows(sum, run.at(layer, HOOK), chunk.items.length);
    }
    for (const [layer, sum] of sums) this.means.set(layer, meanRows(sum, rows));
  }

  clear(): void {
    this.means.clear();
    this.last = null;
  }
}
