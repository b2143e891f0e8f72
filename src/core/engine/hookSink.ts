import type { ModelConfig } from '../models/modelConfig.ts';
import type { LinearWeights, NormWeights } from '../models/modelWeights.ts';
import type { GraphBuilder } from './graphBuilder.ts';
import { type BlockHook, innerDims, isAttentionMap } from './hookPoints.ts';

/** The input that says which of the new positions a hook's output holds: int64 `[rows]`, may be empty. */
export function rowsInput(hook: BlockHook): string {
  return `${hook}.rows`;
}

/** Is told which tensor of the graph stands at which hook, while a block is built. */
export interface HookSink {
  /** `tensor` `[batch, pos, …]`, or `[batch, head, query, key]` for attention maps. */
  read(hook: BlockHook, tensor: string): void;
  /** A norm's input `[batch, pos, d_model]`, its output (after gain and bias) and 1 / scale `[batch, pos, 1]`. */
  readNorm(name: 'ln1' | 'ln2', x: string, normed: string, inverseScale: string): void;
  /** The tensor that takes the place of the one at a hook from there on; absent: nothing is changed. */
  edit?(hook: BlockHook, tensor: string): string;
  /** The same for a norm: its scale, and its output before or after the gain. */
  editNorm?(name: 'ln1' | 'ln2', x: string, norm: Normed, weights: NormWeights): Normed;
  /** attn_out `[batch, pos, d_model]` after what was done to the results of single heads. */
  editResults?(z: string, attnOut: string, weights: LinearWeights): string;
}

/** A norm's output and 1 / scale `[batch, pos, 1]`. */
export interface Normed {
  readonly normed: string;
  readonly inverseScale: string;
}

/** Changes, then reads what stands at a hook. */
export function passHook(sink: HookSink, hook: BlockHook, tensor: string): string {
  const value = sink.edit?.(hook, tensor) ?? tensor;
  sink.read(hook, value);
  return value;
}

/** Changes, then reads a norm; returns its output. */
export function passNorm(sink: HookSink, name: 'ln1' | 'ln2', x: string, norm: Normed, weights: NormWeights): string {
  const { normed, inverseScale } = sink.editNorm?.(name, x, norm, weights) ?? norm;
  sink.readNorm(name, x, normed, inverseScale);
  return normed;
}

/**
 * Adds the reading of hooks to a graph. Each hook has its own list of rows, so that one graph (one packed copy of the
 * weights) serves every question: an empty list costs a microsecond, and only what is asked for is copied out.
 */
export class HookReader implements HookSink {
  constructor(
    protected readonly graph: GraphBuilder,
    protected readonly config: ModelConfig,
  ) {}

  /** `tensor` has the rows on `axis`: 1 for `[batch, pos, …]`, 2 for `[batch, head, query, key]`. */
  read(hook: BlockHook, tensor: string): void {
    const rows = this.graph.input(rowsInput(hook), 'int64', [`rows of ${hook}`]);
    const axis = isAttentionMap(hook) ? 2 : 1;
    this.emit(hook, this.graph.op('Gather', [tensor, rows], { axis }));
  }

  /** `hook_scale` of the norm, and its output as TransformerLens defines it. */
  readNorm(name: 'ln1' | 'ln2', x: string, normed: string, inverseScale: string): void {
    const scaleRows = this.graph.input(rowsInput(`${name}.hook_scale`), 'int64', [`rows of ${name}.hook_scale`]);
    const inverse = this.graph.op('Gather', [inverseScale, scaleRows], { axis: 1 });
    this.emit(`${name}.hook_scale`, this.graph.op('Reciprocal', [inverse]));
    const hook = `${name}.hook_normalized` as const;
    if (this.config.norm.kind === 'layernorm') {
      this.read(hook, normed);
      return;
    }
    const rows = this.graph.input(rowsInput(hook), 'int64', [`rows of ${hook}`]);
    const [some, scale] = [x, inverseScale].map((tensor) => this.graph.op('Gather', [tensor, rows], { axis: 1 }));
    this.emit(hook, this.graph.op('Mul', [some, scale]));
  }

  private emit(hook: BlockHook, tensor: string): void {
    const dims = isAttentionMap(hook)
      ? ['batch', this.config.nHeads, `rows of ${hook}`, 'keys']
      : ['batch', `rows of ${hook}`, ...innerDims(hook, this.config)];
    this.graph.output(tensor, hook, 'float32', dims);
  }
}
