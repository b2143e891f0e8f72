import type { NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';

/** What a node's name stands for. */
export type NodePart =
  | { readonly kind: 'emb' }
  | { readonly kind: 'logits' }
  | { readonly kind: 'head'; readonly layer: number; readonly head: number }
  | { readonly kind: 'mlp'; readonly layer: number }
  | { readonly kind: 'neuron'; readonly layer: number; readonly neuron: number };

/** Sizes that say which nodes a model has. */
export interface NodeSizes {
  readonly nLayers: number;
  readonly nHeads: number;
  readonly dMlp: number;
}

const PATTERNS: readonly (readonly [RegExp, (a: number, b: number) => NodePart])[] = [
  [/^L(\d+)\.?H(\d+)$/i, (layer, head) => ({ kind: 'head', layer, head })],
  // EAP-IG `a9.h6`, AutoCircuit `A9.6`.
  [/^a(\d+)\.h?(\d+)$/i, (layer, head) => ({ kind: 'head', layer, head })],
  // EAP-IG `m3`, AutoCircuit `MLP 3`.
  [/^(?:MLP ?|m)(\d+)$/i, (layer) => ({ kind: 'mlp', layer })],
  [/^N(\d+)\.(\d+)$/i, (layer, neuron) => ({ kind: 'neuron', layer, neuron })],
  [/^(?:emb|embed|input|Resid Start)$/i, () => ({ kind: 'emb' })],
  [/^(?:logits|Resid End)$/i, () => ({ kind: 'logits' })],
];

/**
 * Reads a node's name: `L9.H6`, `MLP 3`, `N3.1207`, `emb`, `logits`, or as EAP-IG (`a9.h6`, `m3`, `input`) and AutoCircuit
 * (`A9.6`, `Resid Start`, `Resid End`) write it. Null when it is none.
 */
export function parseNodeName(name: string): NodePart | null {
  for (const [pattern, make] of PATTERNS) {
    const match = pattern.exec(name.trim());
    if (match !== null) return make(Number(match[1]), Number(match[2]));
  }
  return null;
}

/** The one spelling that Mechanist writes. */
export function nodeName(part: NodePart): NodeName {
  switch (part.kind) {
    case 'head':
      return `L${part.layer}.H${part.head}`;
    case 'mlp':
      return `MLP ${part.layer}`;
    case 'neuron':
      return `N${part.layer}.${part.neuron}`;
    case 'emb':
    case 'logits':
      return part.kind;
  }
}

/** Why a model has no such node, and what it has; null when it has it. */
export function missingNode(name: string, sizes: NodeSizes): string | null {
  const part = parseNodeName(name);
  if (part === null) {
    return `"${name}" is no node. Write a head as L9.H6, an MLP as MLP 3, a neuron as N3.1207, the ends as emb and logits.`;
  }
  if (part.kind === 'emb' || part.kind === 'logits') return null;
  const { nLayers, nHeads, dMlp } = sizes;
  if (part.layer >= nLayers) return `The model has no ${nodeName(part)}: its layers are 0 to ${nLayers - 1}.`;
  if (part.kind === 'head' && part.head >= nHeads) {
    return `The model has no ${nodeName(part)}: each layer has heads 0 to ${nHeads - 1}.`;
  }
  if (part.kind === 'neuron' && part.neuron >= dMlp) {
    return `The model has no ${nodeName(part)}: each MLP has neurons 0 to ${dMlp - 1}.`;
  }
  return null;
}

/** @throws MechanistError `bad-input` when the model has no such node */
export function requireNode(name: string, sizes: NodeSizes): NodePart {
  const problem = missingNode(name, sizes);
  const part = parseNodeName(name);
  if (problem !== null || part === null) {
    throw new MechanistError('bad-input', problem ?? `"${name}" is no node.`, { node: name });
  }
  return part;
}
