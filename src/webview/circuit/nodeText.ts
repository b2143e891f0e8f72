import type { CircuitEdge, CircuitNode, CircuitScope, NodeName } from '../../shared/circuit.ts';

const head = /^L(\d+)\.H(\d+)$/;
const mlp = /^MLP (\d+)$/;
const neuron = /^N(\d+)\.(\d+)$/;

/** Layer in which a node acts: −1 for `emb`, `nLayers` for `logits`. */
export function layerOf(node: NodeName, nLayers: number): number {
  if (node === 'emb') return -1;
  const found = head.exec(node) ?? mlp.exec(node) ?? neuron.exec(node);
  return found ? Number(found[1]) : nLayers;
}

/** For a screen reader: `layer 8 head 11`. */
export function spokenNode(node: NodeName): string {
  const [, layer, index] = head.exec(node) ?? [];
  if (layer !== undefined) return `layer ${layer} head ${index}`;
  const [, inLayer, which] = neuron.exec(node) ?? [];
  return inLayer === undefined ? node : `layer ${inLayer} neuron ${which}`;
}

/** What is written in a node's box: a person's name for it, else its own. */
export function nodeLabel({ node, label }: Pick<CircuitNode, 'node' | 'label'>): string {
  return label ?? node;
}

/** `L8.H11 → L11.H4, value` */
export function edgeName({ from, to, channel }: CircuitEdge): string {
  const channels: Readonly<Record<CircuitEdge['channel'], string>> = {
    q: ', query',
    k: ', key',
    v: ', value',
    mlp: '',
    logits: '',
  };
  return `${from} → ${to}${channels[channel]}`;
}

/** Every head of a model, and its MLPs where the circuit may have them, in order of layers. */
export function allNodes(scope: CircuitScope, nLayers: number, nHeads: number): NodeName[] {
  return Array.from({ length: nLayers }, (_, layer) => [
    ...Array.from({ length: nHeads }, (__, h) => `L${layer}.H${h}`),
    ...(scope === 'heads' ? [] : [`MLP ${layer}`]),
  ]).flat();
}
