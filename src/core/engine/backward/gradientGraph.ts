import type { TensorLocation } from '../../models/modelWeights.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from '../graphBuilder.ts';
import type { AttributeValue, ElementType, GraphNode } from '../onnxModelWriter.ts';

/** Cotangents of a node's inputs, in their order; null where nothing flows. */
export type InputGradients = readonly (string | null)[];

/**
 * The reverse-mode derivative of one node: from the gradients at its outputs (null where nothing flows) to those at its
 * inputs. Called only when some output has a gradient; inputs that need none may be given null.
 */
export type VectorJacobianProduct = (node: GraphNode, gradients: readonly (string | null)[]) => InputGradients;

/**
 * A graph that can be differentiated: nodes are recorded while the forward is built, and `differentiate` adds the nodes
 * that carry a gradient back (reverse mode, one pass). Only what its outputs need is written.
 */
export class GradientGraph extends GraphBuilder {
  /** Weight tensors by name. */
  readonly weights = new Map<string, TensorLocation>();
  private readonly kept = new Set<string>();
  private readonly arriving = new Map<string, string[]>();
  private required = new Set<string>();

  /** Outputs of the forward under their public names; they are written only by `emit`. */
  readonly forwardOutputs = new Map<string, string>();

  override weight(location: TensorLocation): string {
    const name = super.weight(location);
    this.weights.set(name, location);
    return name;
  }

  override output(tensor: string, name: string): void {
    this.forwardOutputs.set(name, tensor);
  }

  /** Makes `tensor` an output of the graph. */
  emit(tensor: string, name: string, type: ElementType, dims: readonly (number | string)[]): void {
    const own = this.op('Identity', [tensor]);
    this.kept.add(own);
    super.output(own, name, type, dims);
  }

  /** A number as a scalar tensor. */
  scalar(value: number): string {
    return this.floats(Float32Array.of(value), []);
  }

  /** A product of matrices with transposed operands or a factor. */
  product(a: string, b: string, attributes: Readonly<Record<string, AttributeValue>> = {}): string {
    return this.op('FusedMatMul', [a, b], attributes, MICROSOFT);
  }

  zerosLike(tensor: string): string {
    return this.op('ConstantOfShape', [this.op('Shape', [tensor])]);
  }

  /** Whether a gradient at this tensor reaches something that it is wanted for. */
  needs(tensor: string): boolean {
    return this.required.has(tensor);
  }

  /** The node that makes a tensor, if any. */
  producer(tensor: string): GraphNode | undefined {
    return this.nodes.find((node) => node.outputs.includes(tensor));
  }

  /** The gradient at a tensor once `differentiate` has run; null where nothing arrives. */
  gradient(tensor: string): string | null {
    const parts = this.arriving.get(tensor);
    if (parts === undefined) return null;
    const total = parts.reduce((sum, part) => this.op('Add', [sum, part]));
    this.arriving.set(tensor, [total]);
    return total;
  }

  /**
   * Adds the reverse pass to what has been built so far.
   * @param seeds gradients that arrive from outside, by the tensor they arrive at
   * @param roots tensors with respect to which gradients are wanted
   * @param rule derivative of a node
   * @param stops tensors beyond which nothing flows (stop-gradient); the gradient at them is still known
   */
  differentiate(
    seeds: ReadonlyMap<string, string>,
    roots: Iterable<string>,
    rule: VectorJacobianProduct,
    stops: ReadonlySet<string> = new Set(),
  ): void {
    const forward = [...this.nodes];
    this.required = new Set(roots);
    for (const node of forward) {
      if (node.inputs.some((input) => this.required.has(input))) {
        for (const output of node.outputs) this.required.add(output);
      }
    }
    for (const [tensor, gradient] of seeds) this.arrive(tensor, gradient);
    for (const node of forward.reverse()) {
      if (!node.inputs.some((input) => this.required.has(input))) continue;
      const gradients = node.outputs.map((output) => this.gradient(output));
      const flowing = gradients.map((gradient, i) => (stops.has(node.outputs[i]) ? null : gradient));
      if (flowing.every((gradient) => gradient === null)) continue;
      rule(node, flowing).forEach((gradient, i) => {
        if (gradient !== null && this.required.has(node.inputs[i])) this.arrive(node.inputs[i], gradient);
      });
    }
  }

  private arrive(tensor: string, gradient: string): void {
    this.arriving.set(tensor, [...(this.arriving.get(tensor) ?? []), gradient]);
  }

  /** The finished graph, without the nodes and weights that no output needs. */
  override finish(): GraphBytes {
    const used = new Set(this.kept);
    const nodes: GraphNode[] = [];
    for (const node of [...this.nodes].reverse()) {
      if (!node.outputs.some((output) => used.has(output))) continue;
      for (const input of node.inputs) used.add(input);
      nodes.push(node);
    }
    this.nodes.splice(0, this.nodes.length, ...nodes.reverse());
    const initializers = this.initializers.filter(({ name }) => used.has(name));
    this.initializers.splice(0, this.initializers.length, ...initializers);
    return super.finish();
  }
}
