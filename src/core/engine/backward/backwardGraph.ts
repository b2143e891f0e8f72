import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights, TensorLocation } from '../../models/modelWeights.ts';
import { BLOCK_INPUTS, BLOCK_OUTPUTS, blockForward } from '../blockGraph.ts';
import type { GraphBytes } from '../graphBuilder.ts';
import { type BlockHook, graphHooks, innerDims, isAttentionMap } from '../hookPoints.ts';
import { type HookSink, rowsInput } from '../hookSink.ts';
import { GradientGraph } from './gradientGraph.ts';
import { VjpRules } from './vjpRules.ts';

/**
 * Parts of the model that a backward pass treats as constants (stop-gradient):
 * - `patterns`: attention patterns; nothing flows through q and k.
 * - `norm-scales`: the scale of every LayerNorm or RMSNorm, the final one included; mean and gain still apply.
 * - `mlp-gates`: act(pre) of a gated MLP; act(x) / x of a plain one (Φ(x) for GELU, the step for ReLU).
 * - `mlps`: mlp_out; nothing flows through the MLPs. `attention`: attn_out likewise.
 */
export type FreezablePart = 'patterns' | 'norm-scales' | 'mlp-gates' | 'mlps' | 'attention';

/**
 * Inputs of a backward graph besides those of `BLOCK_INPUTS`: the gradient at resid_post `[batch, new, d_model]`, and
 * those at the keys and values of the new positions that later positions have left `[batch, kvHead, new, d_head]`.
 */
export const BACKWARD_INPUTS = { dy: 'd.y', dKeys: 'd.keys', dValues: 'd.values' } as const;

/** Outputs: the gradient at resid_pre, and at past keys and values, each of the shape of what it belongs to. */
export const BACKWARD_OUTPUTS = { dx: 'd.x', dPastKeys: 'd.past.keys', dPastValues: 'd.past.values' } as const;

/** Name of the output that holds the gradient at a hook. */
export function hookGradient(hook: BlockHook): string {
  return `d.${hook}`;
}

/** Name of the output that holds the gradient of a weight. */
export function weightGradient(name: string): string {
  return `d.weight.${name}`;
}

interface BackwardGraphOptions {
  readonly freeze: readonly FreezablePart[];
  /** Whether the prompt is run in chunks, so that gradients at keys and values pass between them. */
  readonly chunked: boolean;
  /** Weights whose gradients are returned, by name. */
  readonly weights: ReadonlyMap<string, TensorLocation>;
}

/** Remembers which tensor stands at which hook. */
class HookTensors implements HookSink {
  readonly tensors = new Map<BlockHook, string>();
  readonly norms = new Map<'ln1' | 'ln2', string>();

  read(hook: BlockHook, tensor: string): void {
    this.tensors.set(hook, tensor);
  }

  readNorm(name: 'ln1' | 'ln2', _x: string, normed: string): void {
    this.norms.set(name, normed);
  }
}

/** Tensors beyond which nothing flows. */
function stopsOf(freeze: readonly FreezablePart[], tensors: ReadonlyMap<BlockHook, string>): Set<string> {
  const hooks: readonly (BlockHook | false)[] = [
    freeze.includes('patterns') && 'attn.hook_pattern',
    freeze.includes('mlps') && 'hook_mlp_out',
    freeze.includes('attention') && 'hook_attn_out',
  ];
  return new Set(hooks.flatMap((hook) => (hook === false ? [] : (tensors.get(hook) ?? []))));
}

/** The gradients of one block, written as outputs. */
class BlockGradients {
  readonly hooks = new HookTensors();
  readonly scales = new Map<string, string>();

  constructor(
    private readonly graph: GradientGraph,
    private readonly config: ModelConfig,
    private readonly weights: BlockWeights,
  ) {}

  /** The gradient at a hook `[batch, pos, …]` or `[batch, head, query, key]`; zeros where nothing flows. */
  private at(hook: BlockHook): string {
    const { graph, config } = this;
    const norm = hook.startsWith('ln1.') ? 'ln1' : hook.startsWith('ln2.') ? 'ln2' : null;
    const tensor = (norm === null ? this.hooks.tensors.get(hook) : this.hooks.norms.get(norm)) ?? '';
    const gradient = graph.gradient(tensor);
    if (hook === 'ln1.hook_scale' || hook === 'ln2.hook_scale') {
      return this.scales.get(tensor) ?? graph.op('ReduceSum', [graph.zerosLike(tensor), graph.integers([-1])]);
    }
    if (gradient === null) return graph.zerosLike(tensor);
    if (norm === null || config.norm.kind === 'layernorm') return gradient;
    const { gain } = norm === 'ln1' ? this.weights.norm1 : this.weights.norm2;
    return graph.op('Mul', [gradient, graph.weight(gain)]);
  }

  /** Returns the rows that the hook's input asks for, as `HookReader` does for activations. */
  emitHook(hook: BlockHook): void {
    const { graph, config } = this;
    const map = isAttentionMap(hook);
    const rows = graph.input(rowsInput(hook), 'int64', [`rows of ${hook}`]);
    const dims = map
      ? ['batch', config.nHeads, `rows of ${hook}`, 'keys']
      : ['batch', `rows of ${hook}`, ...innerDims(hook, config)];
    const picked = graph.op('Gather', [this.at(hook), rows], { axis: map ? 2 : 1 });
    graph.emit(hook === 'attn.hook_pattern' ? this.visible(picked, rows) : picked, hookGradient(hook), 'float32', dims);
  }

  /** Zero where a query must not look: no change of the model's input or weights can put anything there. */
  private visible(picked: string, rows: string): string {
    const { graph } = this;
    const zero = graph.scalar(0);
    const mask = graph.op('Gather', [BLOCK_INPUTS.mask, rows], { axis: 2 });
    return graph.op('Where', [graph.op('Equal', [mask, zero]), picked, zero]);
  }

  /** The gradient at an input or weight, zeros where nothing flows. */
  emit(tensor: string, name: string, dims: readonly (number | string)[]): void {
    this.graph.emit(this.graph.gradient(tensor) ?? this.graph.zerosLike(tensor), name, 'float32', dims);
  }
}

/**
 * The reverse pass of one block, with the forward recomputed inside from x. Activations: gradients at x and at any hook;
 * weights on request. Costs about 2 block passes, and one more for all weights.
 */
export function buildBackwardGraph(
  config: ModelConfig,
  weights: BlockWeights,
  layer: number,
  options: BackwardGraphOptions,
): GraphBytes {
  const { freeze, chunked } = options;
  const graph = new GradientGraph(`backward ${layer}`);
  const own = new BlockGradients(graph, config, weights);
  const y = blockForward(graph, config, weights, own.hooks);
  const seeds = new Map([[y, graph.input(BACKWARD_INPUTS.dy, 'float32', ['batch', 'new', config.dModel])]]);
  const cached = ['batch', config.nKeyValueHeads, 'new', config.dHead];
  const past = ['batch of past', config.nKeyValueHeads, 'past', config.dHead];
  if (chunked) {
    for (const [output, seed] of [
      [BLOCK_OUTPUTS.keys, BACKWARD_INPUTS.dKeys],
      [BLOCK_OUTPUTS.values, BACKWARD_INPUTS.dValues],
    ]) {
      seeds.set(graph.forwardOutputs.get(output) ?? '', graph.input(seed, 'float32', cached));
    }
  }
  const wanted = [...options.weights].map(([name, location]) => ({
    name,
    dims: location.shape,
    tensor: [...graph.weights].find(([, other]) => other === location)?.[0] ?? '',
  }));
  const pasts = chunked ? [BLOCK_INPUTS.pastKeys, BLOCK_INPUTS.pastValues] : [];
  const roots = [BLOCK_INPUTS.x, ...pasts, ...wanted.map(({ tensor }) => tensor)];
  const rules = new VjpRules(graph, {
    freezeNormScales: freeze.includes('norm-scales'),
    activations: !freeze.includes('mlp-gates') ? 'exact' : config.mlp.gated ? 'stop' : 'gate',
    onNormScale: (normed, gradient) => own.scales.set(normed, gradient),
  });
  graph.differentiate(seeds, roots, rules.apply, stopsOf(freeze, own.hooks.tensors));
  for (const hook of graphHooks(config)) own.emitHook(hook);
  own.emit(BLOCK_INPUTS.x, BACKWARD_OUTPUTS.dx, ['batch', 'new', config.dModel]);
  if (chunked) {
    own.emit(BLOCK_INPUTS.pastKeys, BACKWARD_OUTPUTS.dPastKeys, past);
    own.emit(BLOCK_INPUTS.pastValues, BACKWARD_OUTPUTS.dPastValues, past);
  }
  for (const { tensor, name, dims } of wanted) own.emit(tensor, weightGradient(name), dims);
  return graph.finish();
}
