import type { BlockHook } from '../hookPoints.ts';
import { concatenate, firstPositions, type KeysValues, NO_KEYS_VALUES } from '../keysValues.ts';
import type { ModelRunner, RunContext } from '../modelRunner.ts';

/** What is kept of a run that interventions start from. */
export interface Kept {
  /** Hooks at every position, of every layer or of those named. */
  readonly hooks: readonly BlockHook[];
  readonly layers?: readonly number[];
  /** Rotated keys and values: for interventions that leave the first positions as they are. */
  readonly keysValues: boolean;
  /** The residual stream before each layer and after the last. */
  readonly residuals: boolean;
}

/** An unchanged run of prompts of one length, with the activations that were asked for. */
export class BaseRun {
  /** Keys and values of the positions before `start`, of the layers that were asked for; sweeps go from start to start. */
  private cut: { readonly start: number; readonly layers: Map<number, KeysValues> } = { start: 0, layers: new Map() };

  private constructor(
    readonly runner: ModelRunner,
    /** `[items][pos]` */
    readonly tokens: readonly Int32Array[],
    /** resid_pre by layer, then the final stream: each `[items, pos, d_model]`. Only the final one unless kept. */
    readonly streams: readonly Float32Array[],
    private readonly keysValues: readonly KeysValues[],
    private readonly activations: (layer: number, hook: BlockHook) => Float32Array,
  ) {}

  /** One forward pass. */
  static async run(
    runner: ModelRunner,
    tokens: readonly Int32Array[],
    kept: Kept,
    { signal }: RunContext,
  ): Promise<BaseRun> {
    const { nLayers } = runner.config;
    const { tokens: embedded, positions } = await runner.embed(tokens);
    const x = positions === null ? embedded : embedded.map((value, i) => value + positions[i]);
    const count = tokens[0].length;
    const layers = kept.layers ?? Array.from({ length: nLayers }, (_, layer) => layer);
    const result = await runner.blocks.forward({
      ...{ x, batch: tokens.length, count, start: 0, fromLayer: 0, toLayer: nLayers, signal },
      reads: {
        hooks: new Map(kept.hooks.length === 0 ? [] : layers.map((layer) => [layer, kept.hooks])),
        rows: Int32Array.from({ length: count }, (_, row) => row),
      },
      keepKeysValues: kept.keysValues,
      keepResiduals: kept.residuals,
    });
    const streams = kept.residuals ? [...result.residuals, result.x] : [result.x];
    return new BaseRun(runner, tokens, streams, result.keysValues, (layer, hook) => result.reads.get(layer, hook).data);
  }

  /** Floats that a run of `items` × `count` keeps. */
  static size(runner: ModelRunner, items: number, count: number, kept: Kept): number {
    const { nLayers, nHeads, nKeyValueHeads, dHead, dModel, dMlp } = runner.config;
    const width = (hook: BlockHook) => {
      if (hook === 'mlp.hook_post') return dMlp;
      if (hook === 'attn.hook_pattern') return nHeads * count;
      return hook.startsWith('attn.') ? nHeads * dHead : dModel;
    };
    const hooks = kept.hooks.reduce((sum, hook) => sum + width(hook), 0);
    // Once whole, and once up to where a sweep starts.
    const keysValues = 2 * 2 * nKeyValueHeads * dHead;
    const perLayer = (kept.residuals ? dModel : 0) + (kept.keysValues ? keysValues : 0);
    return items * count * (perLayer * nLayers + hooks * (kept.layers?.length ?? nLayers) + 2 * dModel);
  }

  get items(): number {
    return this.tokens.length;
  }

  get count(): number {
    return this.tokens[0].length;
  }

  /** resid_pre of a layer, the final stream for `nLayers`: `[items, pos, d_model]`. */
  residual(layer: number): Float32Array {
    return layer === this.runner.config.nLayers ? this.streams[this.streams.length - 1] : this.streams[layer];
  }

  /** A hook that was kept, `[items, pos, …]`. */
  at(layer: number, hook: BlockHook): Float32Array {
    return this.activations(layer, hook);
  }

  /** Rotated keys and values of a layer, where they were kept. */
  keysValuesOf(layer: number): KeysValues {
    return this.keysValues[layer];
  }

  /** Keys and values of the positions before `start`, for each of the items named; one copy where there is but one. */
  past(layer: number, start: number, items: readonly number[]): KeysValues {
    if (start === 0) return NO_KEYS_VALUES;
    const all = this.upTo(layer, start);
    if (all.batch === 1 || (items.length === all.batch && items.every((item, i) => item === i))) return all;
    const size = all.keys.length / all.batch;
    const pick = (data: Float32Array) =>
      concatenate(items.map((item) => data.subarray(item * size, (item + 1) * size)));
    return { batch: items.length, length: start, keys: pick(all.keys), values: pick(all.values) };
  }

  private upTo(layer: number, start: number): KeysValues {
    if (this.cut.start !== start) this.cut = { start, layers: new Map() };
    const known = this.cut.layers.get(layer) ?? firstPositions(this.keysValues[layer], start, this.runner.config);
    this.cut.layers.set(layer, known);
    return known;
  }
}
