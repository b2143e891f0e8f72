/**
 * Writes ONNX models as protobuf bytes: the few messages a graph with external weights needs.
 * Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
 */

/** ONNX `TensorProto.DataType` values in use. */
export const ELEMENT_TYPE = { float32: 1, int64: 7 } as const;
export type ElementType = keyof typeof ELEMENT_TYPE;

export type AttributeValue = number | string | readonly number[] | { readonly float: number };

export interface GraphNode {
  readonly op: string;
  /** Empty for the standard operators. */
  readonly domain: string;
  /** An empty name leaves an optional input out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Numbers and number lists are written as integers, `{float}` as a float, strings as strings. */
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** A graph input or output; a string dimension is symbolic. */
export interface GraphValue {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly (number | string)[];
}

export type Initializer =
  | {
      readonly name: string;
      readonly kind: 'int64';
      readonly dims: readonly number[];
      readonly data: readonly number[];
    }
  | { readonly name: string; readonly kind: 'float32'; readonly dims: readonly number[]; readonly data: Float32Array }
  /** float32 numbers that stay in a file of the session's external-data folder. */
  | {
      readonly name: string;
      readonly kind: 'external';
      readonly dims: readonly number[];
      readonly fileName: string;
      readonly offset: number;
      readonly byteLength: number;
    };

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly GraphNode[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Operator-set version by domain. */
  readonly opsets: Readonly<Record<string, number>>;
}

const IR_VERSION = 10;
const WIRE_VARINT = 0;
const WIRE_BYTES = 2;
const WIRE_FIXED32 = 5;
const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;
const DATA_LOCATION_EXTERNAL = 1;

/** One protobuf message under construction. */
class Message {
  private readonly parts: Uint8Array[] = [];

  private varint(value: number | bigint): void {
    let rest = BigInt.asUintN(64, BigInt(value));
    const bytes: number[] = [];
    do {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      bytes.push(rest > 0n ? low | 0x80 : low);
    } while (rest > 0n);
    this.parts.push(Uint8Array.from(bytes));
  }

  integer(field: number, value: number): this {
    this.varint((field << 3) | WIRE_VARINT);
    this.varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.varint((field << 3) | WIRE_FIXED32);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.parts.push(bytes);
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.varint((field << 3) | WIRE_BYTES);
    this.varint(value.length);
    this.parts.push(value);
    return this;
  }

  text(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.finish());
  }

  finish(): Uint8Array {
    const result = new Uint8Array(this.parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of this.parts) {
      result.set(part, at);
      at += part.length;
    }
    return result;
  }
}

function attributeMessage(name: string, value: AttributeValue): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'string') return message.text(4, value).integer(20, ATTRIBUTE_TYPE.string);
  if (typeof value === 'number') return message.integer(3, value).integer(20, ATTRIBUTE_TYPE.int);
  if ('float' in value) return message.float(2, value.float).integer(20, ATTRIBUTE_TYPE.float);
  for (const item of value) message.integer(8, item);
  return message.integer(20, ATTRIBUTE_TYPE.ints);
}

function nodeMessage(node: GraphNode): Message {
  const message = new Message();
  for (const input of node.inputs) message.text(1, input);
  for (const output of node.outputs) message.text(2, output);
  message.text(3, node.outputs.find((name) => name !== '') ?? node.op).text(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) message.message(5, attributeMessage(name, value));
  return message.text(7, node.domain);
}

function keyValue(key: string, value: string): Message {
  return new Message().text(1, key).text(2, value);
}

function initializerMessage(tensor: Initializer): Message {
  const message = new Message();
  for (const dim of tensor.dims) message.integer(1, dim);
  message.integer(2, tensor.kind === 'int64' ? ELEMENT_TYPE.int64 : ELEMENT_TYPE.float32).text(8, tensor.name);
  switch (tensor.kind) {
    case 'int64': {
      const data = BigInt64Array.from(tensor.data, BigInt);
      return message.bytes(9, new Uint8Array(data.buffer));
    }
    case 'float32':
      return message.bytes(9, new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
    case 'external':
      return message
        .message(13, keyValue('location', tensor.fileName))
        .message(13, keyValue('offset', String(tensor.offset)))
        .message(13, keyValue('length', String(tensor.byteLength)))
        .integer(14, DATA_LOCATION_EXTERNAL);
  }
}

function valueMessage(value: GraphValue): Message {
  const shape = new Message();
  for (const dim of value.dims) {
    shape.message(1, typeof dim === 'number' ? new Message().integer(1, dim) : new Message().text(2, dim));
  }
  const tensorType = new Message().integer(1, ELEMENT_TYPE[value.type]).message(2, shape);
  return new Message().text(1, value.name).message(2, new Message().message(1, tensorType));
}

/** The model file as bytes, ready for a session. Weights stay outside. */
export function writeOnnxModel(graph: OnnxGraph): Uint8Array {
  const body = new Message();
  for (const node of graph.nodes) body.message(1, nodeMessage(node));
  body.text(2, graph.name);
  for (const tensor of graph.initializers) body.message(5, initializerMessage(tensor));
  for (const input of graph.inputs) body.message(11, valueMessage(input));
  for (const output of graph.outputs) body.message(12, valueMessage(output));
  const model = new Message().integer(1, IR_VERSION).text(2, 'mechanist').message(7, body);
  for (const [domain, version] of Object.entries(graph.opsets)) {
    model.message(8, new Message().text(1, domain).integer(2, version));
  }
  return model.finish();
}
