import { buildHeadPullBackGraph } from './headPullBackGraph.ts';
import type { ModelRunner } from './modelRunner.ts';
import { floats, floatTensor, type SessionKind } from './sessionPool.ts';

/** `norms`: lengths of the directions that a head reads along, `[head, n]`. `gainedNorms`: times the gain of the layer's norm. */
export type HeadPullBackOutput = 'norms' | 'gainedNorms';

/**
 * Directions taken back through all heads of a layer at once. Reads W_V and W_O from the file's pages; 4 n d_model n_heads d_head
 * operations a layer, no forward pass.
 */
export class HeadPullBack {
  private readonly kind: SessionKind;

  constructor(private readonly runner: ModelRunner) {
    const { config, weights } = runner;
    const build = (layer: number) => buildHeadPullBackGraph(config, weights.blocks[layer], layer);
    this.kind = { name: 'head pull-back', packed: false, build };
  }

  /** @param directions `[n, d_model]`, at what the heads write */
  async run(
    layer: number,
    directions: Float32Array,
    output: HeadPullBackOutput,
    signal?: AbortSignal,
  ): Promise<Float32Array> {
    const { dModel } = this.runner.config;
    const feeds = { directions: floatTensor(directions, [directions.length / dModel, dModel]) };
    const results = await this.runner.pool.run(this.kind, layer, feeds, [output], { signal });
    return floats(results[output]);
  }

  /** Frees its sessions. */
  release(): Promise<void> {
    return this.runner.pool.release(this.kind);
  }
}
