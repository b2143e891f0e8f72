import type { AttributeValue, GraphNode } from '../onnxModelWriter.ts';
import {
  type ActivationMode,
  geluGradient,
  reluGradient,
  siluGradient,
  tanhGeluGradient,
} from './activationGradients.ts';
import type { GradientGraph, InputGradients, VectorJacobianProduct } from './gradientGraph.ts';

/** What the rules leave out on purpose. */
interface RuleOptions {
  /** Norms pass gradients as if their scale were a constant. */
  readonly freezeNormScales: boolean;
  /** `stop`: nothing passes the activation function (the gate of a gated MLP is a constant). */
  readonly activations: ActivationMode | 'stop';
  /** Told the gradient at the scale of each norm, `[batch, pos, 1]`, by the tensor that holds the norm's output. */
  readonly onNormScale: (normed: string, gradient: string) => void;
}

type Rule = (node: GraphNode, gradients: readonly (string | null)[]) => InputGradients;

/** Derivatives of the operators that `blockForward` uses. */
export class VjpRules {
  constructor(
    private readonly graph: GradientGraph,
    private readonly options: RuleOptions,
  ) {}

  private readonly rules: Readonly<Record<string, Rule>> = {
    Add: ({ inputs }, [dy]) => inputs.map((input) => this.summand(input, dy)),
    Sub: (_, [dy]) => [dy, dy === null ? null : this.graph.op('Neg', [dy])],
    Mul: (node, [dy]) => this.mul(node, dy ?? ''),
    MatMul: ({ inputs: [a, b] }, [dy]) => this.matMul(a, b, dy ?? '', false, 1),
    FusedMatMul: ({ inputs: [a, b], attributes }, [dy]) => {
      const alpha = typeof attributes.alpha === 'object' && 'float' in attributes.alpha ? attributes.alpha.float : 1;
      return this.matMul(a, b, dy ?? '', attributes.transB === 1, alpha);
    },
    Reshape: ({ inputs: [x] }, [dy]) => [this.graph.op('Reshape', [dy ?? '', this.graph.op('Shape', [x])]), null],
    Transpose: ({ attributes }, [dy]) => {
      const perm = attributes.perm as readonly number[];
      const inverse = perm.map((_, axis) => perm.indexOf(axis));
      return [this.graph.transpose(dy ?? '', inverse)];
    },
    Split: ({ outputs, attributes }, dys) => {
      const parts = dys.map((dy, i) => dy ?? this.graph.zerosLike(outputs[i]));
      return [this.graph.op('Concat', parts, { axis: attributes.axis }), null];
    },
    Concat: (node, [dy]) => this.concat(node, dy ?? ''),
    Expand: ({ inputs: [x] }, [dy]) => [this.reduceBatch(x, dy ?? ''), null],
    Softmax: ({ outputs: [y] }, [dy]) => {
      const weighted = this.graph.op('Mul', [dy ?? '', y]);
      const mean = this.graph.op('ReduceSum', [weighted, this.graph.integers([-1])], { keepdims: 1 });
      return [this.graph.op('Sub', [weighted, this.graph.op('Mul', [y, mean])])];
    },
    Gelu: ({ inputs: [x], attributes }, [dy]) => {
      const { activations: mode } = this.options;
      if (mode === 'stop') return [null];
      const gradient = attributes.approximate === 'tanh' ? tanhGeluGradient : geluGradient;
      return [gradient(this.graph, x, dy ?? '', mode)];
    },
    Relu: ({ inputs: [x] }, [dy]) => [
      this.options.activations === 'stop' ? null : reluGradient(this.graph, x, dy ?? ''),
    ],
    // Its only reader is the product of SiLU, which differentiates both.
    Sigmoid: () => [null],
    LayerNormalization: (node, [dy]) => this.norm(node, dy ?? '', true),
    SimplifiedLayerNormalization: (node, [dy]) => this.norm(node, dy ?? '', false),
  };

  /** @throws Error for an operator without a rule: a mistake in this program. */
  readonly apply: VectorJacobianProduct = (node, gradients) => {
    const rule = this.rules[node.op];
    if (rule === undefined) throw new Error(`There is no derivative of ${node.op}.`);
    return rule(node, gradients);
  };

  /** One side of a sum of equal shapes, or a bias that is added to every row. */
  private summand(input: string, dy: string | null): string | null {
    return dy !== null && this.graph.weights.has(input) ? this.overRows(input, dy) : dy;
  }

  /** Σ over all rows of `[…, n]`, `[n]`, the shape of the weight. */
  private overRows(weight: string, rows: string): string {
    const width = this.graph.weights.get(weight)?.shape[0] ?? 0;
    return this.graph.op('ReduceSum', [this.graph.reshape(rows, [-1, width]), this.graph.integers([0])], {
      keepdims: 0,
    });
  }

  private mul({ inputs: [a, b], outputs: [y] }: GraphNode, dy: string): InputGradients {
    const { activations: mode } = this.options;
    const factor = this.graph.producer(b);
    if (factor?.op === 'Sigmoid' && factor.inputs[0] === a) {
      return [mode === 'stop' ? null : siluGradient(this.graph, b, y, dy, mode), null];
    }
    const times = (own: string, other: string) => (this.graph.needs(own) ? this.graph.op('Mul', [dy, other]) : null);
    return [times(a, b), times(b, a)];
  }

  /** y = α a b, or α a bᵀ. A weight `b` has two axes and serves every row of `a`. */
  private matMul(a: string, b: string, dy: string, transposed: boolean, alpha: number): InputGradients {
    const { graph } = this;
    const factor: Record<string, AttributeValue> = alpha === 1 ? {} : { alpha: { float: alpha } };
    const da = graph.needs(a) ? graph.product(dy, b, { transB: transposed ? 0 : 1, ...factor }) : null;
    if (!graph.needs(b)) return [da, null];
    const shape = graph.weights.get(b)?.shape;
    const [inputs, outputs] = transposed ? [shape?.[1], shape?.[0]] : [shape?.[0], shape?.[1]];
    const rowsOf = (x: string, width: number | undefined) => (width === undefined ? x : graph.reshape(x, [-1, width]));
    const [left, right] = [rowsOf(a, inputs), rowsOf(dy, outputs)];
    return [
      da,
      graph.product(...(transposed ? ([right, left] as const) : ([left, right] as const)), { transA: 1, ...factor }),
    ];
  }

  private concat({ inputs, attributes }: GraphNode, dy: string): InputGradients {
    const axis = attributes.axis as number;
    const end: Record<string, AttributeValue> = axis === -1 ? {} : { end: axis + 1 };
    const sizes = inputs.map((input) => this.graph.op('Shape', [input], { start: axis, ...end }));
    return this.graph.many('Split', [dy, this.graph.op('Concat', sizes, { axis: 0 })], inputs.length, { axis });
  }

  /** The past of batch 1 or of the whole batch: summed over the items that it serves. */
  private reduceBatch(x: string, dy: string): string {
    const { graph } = this;
    const batch = (tensor: string) => graph.op('Shape', [tensor], { start: 0, end: 1 });
    const repeats = graph.op('Div', [batch(dy), batch(x)]);
    const groups = graph.op('Concat', [repeats, graph.op('Shape', [x])], { axis: 0 });
    // allowzero: the past may be of length 0.
    const grouped = graph.op('Reshape', [dy, groups], { allowzero: 1 });
    return graph.op('ReduceSum', [grouped, graph.integers([0])], { keepdims: 0 });
  }

  /** Input, gain and bias of a LayerNorm or RMSNorm. With n = g·dy, x̂ = (x − mean) / s: dx = (n − mean n − x̂ mean(n x̂)) / s. */
  private norm({ inputs, outputs }: GraphNode, dy: string, centred: boolean): InputGradients {
    const { graph } = this;
    const [x, gain, bias] = inputs;
    const inverse = outputs[outputs.length - 1];
    const over = (op: string, tensor: string) => graph.op(op, [tensor, graph.integers([-1])], { keepdims: 1 });
    const middle = centred ? graph.op('Sub', [x, outputs[1]]) : x;
    const unit = graph.op('Mul', [middle, inverse]);
    const scaled = graph.op('Mul', [dy, gain]);
    const product = graph.op('Mul', [scaled, unit]);
    this.options.onNormScale(outputs[0], graph.op('Neg', [graph.op('Mul', [over('ReduceSum', product), inverse])]));
    let inner = scaled;
    if (centred) inner = graph.op('Sub', [inner, over('ReduceMean', scaled)]);
    if (!this.options.freezeNormScales) {
      inner = graph.op('Sub', [inner, graph.op('Mul', [unit, over('ReduceMean', product)])]);
    }
    const dGain = graph.needs(gain) ? this.overRows(gain, graph.op('Mul', [dy, unit])) : null;
    const dBias = bias !== undefined && graph.needs(bias) ? this.overRows(bias, dy) : null;
    return [graph.op('Mul', [inner, inverse]), dGain, dBias].slice(0, inputs.length);
  }
}
