import type { ModelConfig } from '../../models/modelConfig.ts';
import type { BlockWeights, LinearWeights, NormWeights } from '../../models/modelWeights.ts';
import { MASKED_SCORE } from '../attentionInputs.ts';
import { BLOCK_INPUTS, BLOCK_OUTPUTS, blockForward } from '../blockGraph.ts';
import { GraphBuilder, type GraphBytes } from '../graphBuilder.ts';
import { headResults } from '../headResultGraph.ts';
import type { BlockHook } from '../hookPoints.ts';
import { HookReader, type Normed } from '../hookSink.ts';
import type { EditOp } from './editOps.ts';

/** What a graph needs to know of the edits at one hook: which steps, not their numbers. */
export type EditShape = readonly (Exclude<EditOp['op'], 'lowRank'> | 'lowRank scaled' | 'lowRank mixed')[];

/** The edits of one block by hook. Two layers of one shape are served by one kind of graph. */
export type BlockEditShape = ReadonlyMap<BlockHook, EditShape>;

/** Name of a graph input that holds a number of one step. */
export function editInput(hook: BlockHook, step: number, part: string): string {
  return `edit.${hook}.${step}.${part}`;
}

/** Half of `MASKED_SCORE`: below it a mask's entry hides its key. */
const HIDDEN = MASKED_SCORE / 2;

/** Adds the arithmetic of interventions to a block while it is built, and reads what they leave. */
class InterventionSink extends HookReader {
  /** Where the norms' outputs come to stand: the inputs of attention and MLP. */
  private readonly inputs = new Map<'ln1' | 'ln2', string>();
  /** Edited tensors at norm hooks, where they are not what `readNorm` would work out. */
  private readonly norms = new Map<BlockHook, string>();

  constructor(
    graph: GraphBuilder,
    config: ModelConfig,
    private readonly shape: BlockEditShape,
  ) {
    super(graph, config);
  }

  edit(hook: BlockHook, tensor: string): string {
    if (!this.shape.has(hook)) return tensor;
    const changed = this.steps(hook, tensor);
    // No intervention lets a query see a key that the model hides from it.
    if (hook === 'attn.hook_attn_scores') {
      return this.graph.op('Where', [this.hidden(), BLOCK_INPUTS.mask, changed]);
    }
    return hook === 'attn.hook_pattern' ? this.graph.op('Where', [this.hidden(), this.number(0), changed]) : changed;
  }

  editNorm(name: 'ln1' | 'ln2', x: string, norm: Normed, weights: NormWeights): Normed {
    const changed = this.changeNorm(name, x, norm, weights);
    this.inputs.set(name, changed.normed);
    return changed;
  }

  private changeNorm(name: 'ln1' | 'ln2', x: string, norm: Normed, weights: NormWeights): Normed {
    const { graph, config } = this;
    const [scaleHook, outHook] = [`${name}.hook_scale`, `${name}.hook_normalized`] as const;
    if (!this.shape.has(scaleHook) && !this.shape.has(outHook)) return norm;
    const centred = config.norm.kind === 'layernorm';
    const plainScale = graph.op('Reciprocal', [norm.inverseScale]);
    const scale = this.steps(scaleHook, plainScale);
    this.norms.set(scaleHook, scale);
    // Rows whose scale is as it was keep what the one kernel gives: an edit that changes nothing changes no bit.
    const same = graph.op('Equal', [scale, plainScale]);
    if (centred) {
      const mean = graph.op('ReduceMean', [x, graph.integers([-1])], { keepdims: 1 });
      const unit = graph.op('Div', [graph.op('Sub', [x, mean]), scale]);
      const gained = graph.op('Mul', [unit, graph.weight(weights.gain)]);
      const own = weights.bias === null ? gained : graph.op('Add', [gained, graph.weight(weights.bias)]);
      const normed = this.steps(outHook, graph.op('Where', [same, norm.normed, own]));
      return { normed, inverseScale: norm.inverseScale };
    }
    const fused = graph.op('Mul', [x, norm.inverseScale]);
    const plain = graph.op('Where', [same, fused, graph.op('Div', [x, scale])]);
    const unit = this.steps(outHook, plain);
    this.norms.set(outHook, unit);
    const untouched = graph.op('And', [same, graph.op('Equal', [unit, plain])]);
    const normed = graph.op('Where', [untouched, norm.normed, graph.op('Mul', [unit, graph.weight(weights.gain)])]);
    return { normed, inverseScale: norm.inverseScale };
  }

  override readNorm(name: 'ln1' | 'ln2', x: string, normed: string, inverseScale: string): void {
    const scale = this.norms.get(`${name}.hook_scale`);
    if (scale === undefined) {
      super.readNorm(name, x, normed, inverseScale);
      return;
    }
    this.read(`${name}.hook_scale`, scale);
    this.read(`${name}.hook_normalized`, this.norms.get(`${name}.hook_normalized`) ?? normed);
  }

  editResults(z: string, attnOut: string, weights: LinearWeights): string {
    if (!this.shape.has('attn.hook_result')) return attnOut;
    const results = headResults(this.graph, this.config, weights, z);
    const changed = this.steps('attn.hook_result', results);
    this.read('attn.hook_result', changed);
    const difference = this.graph.op('Sub', [changed, results]);
    const sum = this.graph.op('ReduceSum', [difference, this.graph.integers([2])], { keepdims: 0 });
    return this.graph.op('Add', [attnOut, sum]);
  }

  /** Where the mask hides a key, as booleans of the mask's shape. */
  private hidden(): string {
    return this.graph.op('Less', [BLOCK_INPUTS.mask, this.number(HIDDEN)]);
  }

  private number(value: number): string {
    return this.graph.floats(Float32Array.of(value), []);
  }

  /** The steps at a hook, one after another. */
  private steps(hook: BlockHook, tensor: string): string {
    return (this.shape.get(hook) ?? []).reduce((y, _, step) => this.step(hook, step, y), tensor);
  }

  private step(hook: BlockHook, step: number, y: string): string {
    const { graph } = this;
    const isMap = hook === 'attn.hook_attn_scores' || hook === 'attn.hook_pattern';
    const byHead = isMap || /_[qkvz]$|_result$/.test(hook);
    const axes = ['items', 'positions', 'heads', 'entries'].slice(0, byHead ? 4 : 3);
    /** A mask or value that repeats along some axes. */
    const given = (
      part: string,
      dims: readonly (string | number)[] = axes.map((axis) => `${axis} of ${hook} ${step} ${part}`),
    ) => graph.input(editInput(hook, step, part), 'float32', dims);
    const times = (a: string, b: string) => graph.op('Mul', [a, b]);
    const plus = (a: string, b: string) => graph.op('Add', [a, b]);
    const rest = (a: string) => graph.op('Sub', [this.number(1), a]);
    const overEntries = (x: string) => graph.op('ReduceSum', [x, graph.integers([-1])], { keepdims: 1 });
    const kind = this.shape.get(hook)?.[step];
    switch (kind) {
      case 'project': {
        const direction = given('direction', [`direction of ${hook} ${step}`]);
        return plus(y, times(overEntries(times(y, direction)), given('weight')));
      }
      case 'permute': {
        const keep = given('keep');
        const order = graph.input(editInput(hook, step, 'order'), 'int64', [`order of ${hook} ${step}`]);
        const moved = graph.op('Gather', [y, order], { axis: isMap ? 2 : 1 });
        return plus(times(y, keep), times(moved, rest(keep)));
      }
      case 'renormalise': {
        const rows = given('rows');
        // What was written at hidden keys is not seen, and so does not count.
        const seen = graph.op('Where', [this.hidden(), this.number(0), y]);
        return graph.op('Div', [seen, plus(times(overEntries(seen), rows), rest(rows))]);
      }
      case 'lowRank scaled':
      case 'lowRank mixed': {
        const { dModel } = this.config;
        const x = this.inputs.get(hook === 'hook_attn_out' ? 'ln1' : 'ln2') ?? '';
        const rank = `rank of ${hook} ${step}`;
        const own =
          kind === 'lowRank scaled' ? times(y, given('p', [])) : graph.op('MatMul', [y, given('p', [dModel, dModel])]);
        const inner = graph.op('MatMul', [x, given('left', [dModel, rank])]);
        const added = plus(graph.op('MatMul', [inner, given('right', [rank, dModel])]), given('bias', [dModel]));
        const keep = given('keep');
        return plus(times(y, keep), times(plus(own, added), rest(keep)));
      }
      default:
        return plus(times(y, given('keep')), given('value'));
    }
  }
}

/** The graph of a block with room for edits of this shape: their numbers are inputs, so that one graph serves many. */
export function buildInterventionGraph(
  config: ModelConfig,
  weights: BlockWeights,
  layer: number,
  shape: BlockEditShape,
): GraphBytes {
  const graph = new GraphBuilder(`block ${layer} with interventions`);
  const y = blockForward(graph, config, weights, new InterventionSink(graph, config, shape));
  graph.output(y, BLOCK_OUTPUTS.y, 'float32', ['batch', 'new', config.dModel]);
  return graph.finish();
}
