import type { AblateRequest } from '../../shared/gridDocument.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { BaseRun, Kept } from '../engine/sweeps/baseRun.ts';
import { type CellRun, type GroupRuns, pickRows } from './gridPlan.ts';

/** Stand-ins for what is ablated: zeros, a mean, or the values of another prompt. */
export class Replacement {
  /** By layer, `[pos, width]`. */
  private readonly sums = new Map<number, Float64Array>();
  private seen = 0;

  constructor(
    private readonly request: AblateRequest,
    private readonly layers: readonly number[],
    private readonly hook: BlockHook,
  ) {}

  private get overBatch(): boolean {
    return this.request.mode === 'mean' && this.request.meanOver !== 'position';
  }

  /** What an unchanged run must keep to be taken from. */
  get kept(): Kept {
    const stream = this.hook === 'hook_resid_pre';
    return { hooks: stream ? [] : [this.hook], layers: this.layers, keysValues: false, residuals: stream };
  }

  private read(run: BaseRun, layer: number): Float32Array {
    return this.hook === 'hook_resid_pre' ? run.residual(layer) : run.at(layer, this.hook);
  }

  /** Adds the unchanged runs of a group to the mean over the prompts. */
  learn(runs: GroupRuns): void {
    if (!this.overBatch) return;
    this.seen += runs.base.items;
    for (const layer of this.layers) {
      const data = this.read(runs.base, layer);
      const size = data.length / runs.base.items;
      const sums = this.sums.get(layer) ?? new Float64Array(size);
      this.sums.set(layer, sums);
      for (let i = 0; i < data.length; i += 1) sums[i % size] += data[i];
    }
  }

  /** What stands at the hook after the ablation, `[cells, positions, width]`. */
  rows(runs: GroupRuns, layer: number, cells: readonly CellRun[], positions: readonly number[]): Float32Array {
    const { base, source, sourceItems } = runs;
    const data = this.read(base, layer);
    const width = data.length / (base.items * base.count);
    switch (this.request.mode) {
      case 'zero':
        return new Float32Array(cells.length * positions.length * width);
      case 'resample': {
        if (source === null) throw new Error('There is no run to take values from.');
        const others = cells.map((cell) => ({ ...cell, item: sourceItems[cell.item] }));
        return pickRows(this.read(source, layer), source, others, positions);
      }
      case 'mean': {
        const result = new Float32Array(cells.length * positions.length * width);
        const means = this.overBatch ? null : this.ownMeans(data, runs, width);
        const sums = this.sums.get(layer) ?? new Float64Array(0);
        let at = 0;
        for (const { item } of cells) {
          for (const position of positions) {
            for (let i = 0; i < width; i += 1, at += 1) {
              result[at] = means === null ? sums[position * width + i] / this.seen : means[item * width + i];
            }
          }
        }
        return result;
      }
    }
  }

  /** Mean over the positions of each item, `[items, width]`. */
  private ownMeans(data: Float32Array, { base }: GroupRuns, width: number): Float64Array {
    const means = new Float64Array(base.items * width);
    const size = base.count * width;
    for (let i = 0; i < data.length; i += 1) means[Math.floor(i / size) * width + (i % width)] += data[i] / base.count;
    return means;
  }
}
