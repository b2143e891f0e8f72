import { basename, dirname } from 'node:path';
import { MechanistError } from '../../shared/errors.ts';
import type { LinearWeights, NormWeights, TensorLocation } from '../models/modelWeights.ts';
import {
  type AttributeValue,
  type ElementType,
  type GraphNode,
  type GraphValue,
  type Initializer,
  writeOnnxModel,
} from './onnxModelWriter.ts';

/** A graph as a session takes it. */
export interface GraphBytes {
  readonly bytes: Uint8Array;
  /** Folder that holds the external weights; null when there are none. */
  readonly weightFolder: string | null;
}

export const MICROSOFT = 'com.microsoft';
const OPSETS = { '': 20, [MICROSOFT]: 1 };

/**
 * Builds an ONNX graph node by node. Each method returns the name of the tensor that it makes, so that graphs read
 * like the formulas they stand for.
 */
export class GraphBuilder {
  protected readonly nodes: GraphNode[] = [];
  protected readonly initializers: Initializer[] = [];
  private readonly inputs: GraphValue[] = [];
  private readonly outputs: GraphValue[] = [];
  private readonly publicNames = new Map<string, string>();
  private weightFolder: string | null = null;
  private counter = 0;

  constructor(private readonly name: string) {}

  private fresh(hint: string): string {
    this.counter += 1;
    return `${hint}_${this.counter}`;
  }

  /** A node with one output. */
  op(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): string {
    return this.many(op, inputs, 1, attributes, domain)[0];
  }

  /** A node with `count` outputs. */
  many(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): string[] {
    const outputs = Array.from({ length: count }, () => this.fresh(op));
    this.nodes.push({ op, domain, inputs, outputs, attributes });
    return outputs;
  }

  input(name: string, type: ElementType, dims: readonly (number | string)[]): string {
    this.inputs.push({ name, type, dims });
    return name;
  }

  /** Makes the result of a node an output under a public name. One name per tensor. */
  output(tensor: string, name: string, type: ElementType, dims: readonly (number | string)[]): void {
    // Renaming instead of an Identity node: that would copy tensors that have other readers.
    this.publicNames.set(tensor, name);
    this.outputs.push({ name, type, dims });
  }

  private named(tensor: string): string {
    return this.publicNames.get(tensor) ?? tensor;
  }

  integers(values: readonly number[]): string {
    const name = this.fresh('int');
    this.initializers.push({ name, kind: 'int64', dims: [values.length], data: values });
    return name;
  }

  floats(values: Float32Array, dims: readonly number[]): string {
    const name = this.fresh('float');
    this.initializers.push({ name, kind: 'float32', dims, data: values });
    return name;
  }

  /** A weight that stays in its file. All weights of one graph lie in one folder. */
  weight(location: TensorLocation): string {
    const folder = dirname(location.file);
    if (this.weightFolder !== null && this.weightFolder !== folder) {
      throw new MechanistError(
        'internal',
        `Weights of one model lie in two folders: ${this.weightFolder} and ${folder}.`,
      );
    }
    this.weightFolder = folder;
    const name = this.fresh('weight');
    this.initializers.push({
      name,
      kind: 'external',
      dims: location.shape,
      fileName: basename(location.file),
      offset: location.offset,
      byteLength: location.byteLength,
    });
    return name;
  }

  /** `x W + b` over the last axis, for either way of storing W. */
  linear(x: string, weights: LinearWeights): string {
    const matrix = this.weight(weights.weight);
    const product =
      weights.layout === 'in_out'
        ? this.op('MatMul', [x, matrix])
        : this.op('FusedMatMul', [x, matrix], { transB: 1 }, MICROSOFT);
    return weights.bias === null ? product : this.op('Add', [product, this.weight(weights.bias)]);
  }

  /** LayerNorm or RMSNorm over the last axis. `inverseScale` is 1 / hook_scale, `[…, 1]`. */
  norm(
    x: string,
    weights: NormWeights,
    norm: { readonly kind: 'layernorm' | 'rmsnorm'; readonly eps: number },
  ): { normed: string; inverseScale: string } {
    const attributes = { axis: -1, epsilon: { float: norm.eps } };
    if (norm.kind === 'rmsnorm') {
      const [normed, inverseScale] = this.many('SimplifiedLayerNormalization', [x, this.weight(weights.gain)], 2, {
        ...attributes,
        stash_type: 1,
      });
      return { normed, inverseScale };
    }
    const inputs = [x, this.weight(weights.gain), ...(weights.bias === null ? [] : [this.weight(weights.bias)])];
    const [normed, , inverseScale] = this.many('LayerNormalization', inputs, 3, attributes);
    return { normed, inverseScale };
  }

  reshape(x: string, dims: readonly number[]): string {
    return this.op('Reshape', [x, this.integers(dims)]);
  }

  transpose(x: string, order: readonly number[]): string {
    return this.op('Transpose', [x], { perm: order });
  }

  finish(): GraphBytes {
    const bytes = writeOnnxModel({
      name: this.name,
      nodes: this.nodes.map((node) => ({
        ...node,
        inputs: node.inputs.map((tensor) => this.named(tensor)),
        outputs: node.outputs.map((tensor) => this.named(tensor)),
      })),
      initializers: this.initializers,
      inputs: this.inputs,
      outputs: this.outputs,
      opsets: OPSETS,
    });
    return { bytes, weightFolder: this.weightFolder };
  }
}
