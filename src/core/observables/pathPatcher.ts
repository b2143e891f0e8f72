import type { FinalNorm } from '../engine/finalNorm.ts';
import type { RunContext } from '../engine/modelRunner.ts';
import { type StreamObservable, streamValue } from './normPullBack.ts';
import type { PathPair } from './pathPair.ts';
import type { PathStack } from './pathStack.ts';
import { dot } from './vectors.ts';

/** A node of a path between the places of a pair; `place`: the token that it reads. */
export type PlacedNode =
  | { readonly kind: 'head'; readonly layer: number; readonly head: number; readonly place: number }
  | { readonly kind: 'mlp'; readonly layer: number; readonly place: number }
  | { readonly kind: 'embedding'; readonly place: number };

/** `frozen`: the scale of the clean run. `real`: the norm of the patched stream. */
export type FinalNormMode = 'frozen' | 'real';

/** How far the observable falls when changes are added to a stream. */
export class FinalDrop {
  private readonly along: Float64Array;
  /** The observable in logits, unchanged. */
  readonly value: number;

  constructor(
    private readonly norm: FinalNorm,
    private readonly observable: StreamObservable,
    /** `[d_model]` */
    private readonly stream: Float64Array,
    private readonly mode: FinalNormMode,
  ) {
    this.along = norm.pullBack(observable.direction, norm.scale(stream));
    this.value = streamValue(norm, observable, stream);
  }

  /** Observable − observable with the change: positive where the change takes away. In logits. */
  of(change: ArrayLike<number>): number {
    if (this.mode === 'frozen') return 0 - dot(this.along, change);
    const changed = this.stream.map((value, i) => value + change[i]);
    return this.value - streamValue(this.norm, this.observable, changed);
  }
}

/** Rows that go through a node at once: bounds the memory of an MLP's neurons. */
const ROWS = 1024;

/** Patches paths of one pair: patterns of the clean run, every norm and MLP on the path computed anew. */
export class PathPatcher {
  private readonly drop: FinalDrop;

  constructor(
    private readonly stack: PathStack,
    readonly pair: PathPair,
    observable: StreamObservable,
    mode: FinalNormMode,
  ) {
    const { finalNorm } = stack.sweep.runner;
    this.drop = new FinalDrop(finalNorm, observable, pair.clean, mode);
  }

  /** The observable of the clean prompt. */
  get clean(): number {
    return this.drop.value;
  }

  /** How much the observable falls for changes at the final stream. */
  fall(change: ArrayLike<number>): number {
    return this.drop.of(change);
  }

  private row(rows: Float32Array, index: number): Float32Array {
    const { dModel } = this.stack.sweep.config;
    return rows.subarray(index * dModel, (index + 1) * dModel);
  }

  private share(layer: number, head: number, to: number, from: number): number {
    const { places, layers } = this.pair;
    return layers[layer].pattern[(head * places.length + to) * places.length + from];
  }

  /** What a node writes at a place when its input there is that of the dirty run, less what it writes. `[d_model]` */
  private change(node: PlacedNode, to: number): Float32Array {
    const { layers, embedding, places } = this.pair;
    if (node.kind === 'embedding') return this.row(embedding, to);
    if (node.kind === 'mlp') return this.row(layers[node.layer].mlp, to);
    const share = this.share(node.layer, node.head, to, node.place);
    return this.row(layers[node.layer].heads, node.head * places.length + node.place).map((value) => share * value);
  }

  /** Takes changes `[n, d_model]` of what a node reads to those of what it writes at `to`. */
  private async through(
    node: PlacedNode,
    to: number,
    changes: Float32Array,
    context: RunContext,
  ): Promise<Float32Array> {
    const { dModel } = this.stack.sweep.config;
    if (node.kind === 'embedding') throw new Error('Nothing comes before the embedding.');
    const { pre, mid } = this.pair.layers[node.layer];
    const clean = this.row(node.kind === 'mlp' ? mid : pre, node.place);
    const result = new Float32Array(changes.length);
    const share = node.kind === 'head' ? this.share(node.layer, node.head, to, node.place) : 1;
    for (let first = 0; first < changes.length; first += ROWS * dModel) {
      const part = changes.subarray(first, first + ROWS * dModel);
      // The unchanged row goes with them, so that no change gives exactly none.
      const x = new Float32Array(part.length + dModel);
      for (let i = 0; i < x.length; i += 1) x[i] = clean[i % dModel] + (i < part.length ? part[i] : 0);
      const out =
        node.kind === 'head'
          ? await this.stack.heads.of(node.layer, node.head, x, context)
          : await this.stack.sweep.mlp(node.layer, x, context);
      for (let i = 0; i < part.length; i += 1) {
        result[first + i] = share * (out[i] - out[part.length + (i % dModel)]);
      }
    }
    return result;
  }

  /**
   * Contributions of `[...path, node]` for each of some nodes that write to what the path's last node reads (at the observable's token
   * for an empty path): how much the observable falls when the node's input is the dirty run's, in logits.
   */
  async contributions(
    path: readonly PlacedNode[],
    nodes: readonly PlacedNode[],
    context: RunContext,
  ): Promise<Float64Array> {
    const { dModel } = this.stack.sweep.config;
    const { end } = this.pair;
    const at = path.at(-1)?.place ?? end;
    const changes = new Float32Array(nodes.length * dModel);
    nodes.forEach((node, i) => {
      changes.set(this.change(node, at), i * dModel);
    });
    return await this.falls(path, changes, context);
  }

  /** How much the observable falls when what the path's last node reads changes: `[n, d_model]` → `[n]`, in logits. */
  async falls(path: readonly PlacedNode[], changes: Float32Array, context: RunContext): Promise<Float64Array> {
    const { end } = this.pair;
    let carried = changes;
    for (let i = path.length - 1; i >= 0; i -= 1) {
      carried = await this.through(path[i], path[i - 1]?.place ?? end, carried, context);
    }
    const count = changes.length / this.stack.sweep.config.dModel;
    return Float64Array.from({ length: count }, (_, i) => this.drop.of(this.row(carried, i)));
  }
}
