import type { CircuitFile, CircuitScope, NodeName } from '../../shared/circuit.ts';
import type { Random } from '../../shared/statistics.ts';
import { keepNeuron, type MutableChoice, neuronsLike, oppositeNeurons, settleNeurons } from './neuronChoice.ts';
import { type NodeSizes, nodeName, requireNode } from './nodeNames.ts';
import type { NeuronChoice, Selection, SelectionSpace } from './selection.ts';

/** Heads and MLPs of a model in the order in which they run: heads of a layer, then its MLP; and the MLPs' neurons. */
export class NodeSpace implements SelectionSpace {
  readonly size: number;
  private readonly stride: number;

  constructor(
    private readonly sizes: NodeSizes,
    private readonly scope: Exclude<CircuitScope, 'edges'>,
  ) {
    this.stride = sizes.nHeads + 1;
    this.size = sizes.nLayers * this.stride;
  }

  private isMlp(index: number): boolean {
    return index % this.stride === this.sizes.nHeads;
  }

  /** Whether the node may be left out; MLPs stay in scope `heads`. */
  private free(index: number): boolean {
    return this.scope === 'heads+mlps' || !this.isMlp(index);
  }

  place(index: number): { readonly layer: number; readonly mlp: boolean } {
    return { layer: Math.floor(index / this.stride), mlp: this.isMlp(index) };
  }

  name(index: number): NodeName {
    const { layer, mlp } = this.place(index);
    return nodeName(mlp ? { kind: 'mlp', layer } : { kind: 'head', layer, head: index % this.stride });
  }

  /** Index of a head or MLP; null for the ends, which are always there, and for neurons. @throws MechanistError `bad-input` */
  index(name: NodeName): number | null {
    const part = requireNode(name, this.sizes);
    if (part.kind === 'head') return part.layer * this.stride + part.head;
    return part.kind === 'mlp' ? this.mlp(part.layer) : null;
  }

  private mlp(layer: number): number {
    return layer * this.stride + this.sizes.nHeads;
  }

  /** Layer and number of a neuron that may be left out. */
  private neuron(name: NodeName): { readonly layer: number; readonly neuron: number } | null {
    const part = requireNode(name, this.sizes);
    return part.kind === 'neuron' && this.scope === 'heads+mlps' ? part : null;
  }

  /** All nodes that may be in or out, in order. */
  nodes(): NodeName[] {
    return Array.from({ length: this.size }, (_, i) => i)
      .filter((i) => this.free(i))
      .map((i) => this.name(i));
  }

  private filled(value: 0 | 1): Uint8Array {
    return Uint8Array.from({ length: this.size }, (_, i) => (this.free(i) ? value : 1));
  }

  get full(): Selection {
    return { keep: this.filled(1) };
  }

  get empty(): Selection {
    return { keep: this.filled(0) };
  }

  of(circuit: CircuitFile, only?: ReadonlySet<NodeName>): Selection {
    const keep = this.filled(0);
    const at = new Map<number, readonly string[]>();
    const nodes = circuit.nodes.filter(({ node }) => only === undefined || only.has(node));
    for (const { node, at: places } of nodes) {
      const index = this.index(node);
      if (index === null || !this.free(index)) continue;
      keep[index] = places === undefined ? 1 : 2;
      if (places !== undefined) at.set(index, places);
    }
    return this.withNeurons(keep, at, nodes);
  }

  /** Keeps neurons of MLPs that are not kept themselves; one that is kept at some places keeps its neurons there. */
  private withNeurons(keep: Uint8Array, at: Map<number, readonly string[]>, nodes: CircuitFile['nodes']): Selection {
    const layers = new Map<number, MutableChoice>();
    for (const { node, at: places } of nodes) {
      const part = this.neuron(node);
      if (part === null) continue;
      const mlp = this.mlp(part.layer);
      if (keep[mlp] === 1 && !layers.has(part.layer)) continue;
      const choice = layers.get(part.layer) ?? neuronsLike(this.sizes.dMlp, keep[mlp], at.get(mlp));
      layers.set(part.layer, choice);
      keepNeuron(choice, part.neuron, places);
      at.delete(mlp);
    }
    const neurons = this.settle(layers, keep);
    return { keep, ...(at.size > 0 && { at }), ...(neurons && { neurons }) };
  }

  private settle(layers: ReadonlyMap<number, NeuronChoice>, keep: Uint8Array): Selection['neurons'] {
    return settleNeurons(layers, (layer, value) => {
      keep[this.mlp(layer)] = value;
    });
  }

  complement({ keep, at, neurons }: Selection): Selection {
    const opposite = [1, 0, 3, 2];
    const other = keep.map((value, i) => (this.free(i) ? opposite[value] : 1));
    const layers = new Map([...(neurons ?? [])].map(([layer, choice]) => [layer, oppositeNeurons(choice)]));
    const others = this.settle(layers, other);
    return { keep: other, ...(at && { at }), ...(others && { neurons: others }) };
  }

  without(nodes: Iterable<NodeName>): Selection {
    const keep = this.filled(1);
    const names = [...nodes];
    for (const name of names) {
      const index = this.index(name);
      if (index !== null && this.free(index)) keep[index] = 0;
    }
    const layers = new Map<number, MutableChoice>();
    for (const name of names) {
      const part = this.neuron(name);
      if (part === null || keep[this.mlp(part.layer)] === 0) continue;
      const choice = layers.get(part.layer) ?? neuronsLike(this.sizes.dMlp, 1);
      layers.set(part.layer, choice);
      choice.keep[part.neuron] = 0;
    }
    const neurons = this.settle(layers, keep);
    return { keep, ...(neurons && { neurons }) };
  }

  random(circuit: CircuitFile, random: Random): Selection {
    const keep = this.filled(0);
    const at = new Map<number, readonly string[]>();
    for (const mlps of [false, true]) {
      const own = circuit.nodes.filter(({ node }) => {
        const index = this.index(node);
        return index !== null && this.isMlp(index) === mlps && this.free(index);
      });
      const all = Array.from({ length: this.size }, (_, i) => i).filter((i) => this.free(i) && this.isMlp(i) === mlps);
      const order = random.permutation(all.length);
      own.forEach(({ at: places }, i) => {
        const index = all[order[i]];
        keep[index] = places === undefined ? 1 : 2;
        if (places !== undefined) at.set(index, places);
      });
    }
    return this.withNeurons(keep, at, this.randomNeurons(circuit, keep, random));
  }

  /** As many neurons as the circuit has, of MLPs that are not kept. */
  private randomNeurons(circuit: CircuitFile, keep: Uint8Array, random: Random): CircuitFile['nodes'] {
    const own = circuit.nodes.filter(({ node }) => this.neuron(node) !== null);
    if (own.length === 0) return [];
    const { nLayers, dMlp } = this.sizes;
    const layers = Array.from({ length: nLayers }, (_, layer) => layer).filter((layer) => keep[this.mlp(layer)] === 0);
    const order = random.permutation(layers.length * dMlp);
    return own.slice(0, order.length).map((node, i) => {
      const [layer, neuron] = [layers[Math.floor(order[i] / dMlp)], order[i] % dMlp];
      return { ...node, node: nodeName({ kind: 'neuron', layer, neuron }) };
    });
  }
}
