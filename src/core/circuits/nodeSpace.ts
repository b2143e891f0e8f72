import type { CircuitFile, CircuitScope, NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { Random } from '../../shared/statistics.ts';
import { type NodeSizes, nodeName, requireNode } from './nodeNames.ts';
import type { Selection, SelectionSpace } from './selection.ts';

/** Heads and MLPs of a model in the order in which they run: heads of a layer, then its MLP. */
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

  /** Index of a head or MLP; null for the ends, which are always there. @throws MechanistError `bad-input` */
  index(name: NodeName): number | null {
    const part = requireNode(name, this.sizes);
    switch (part.kind) {
      case 'emb':
      case 'logits':
        return null;
      case 'head':
        return part.layer * this.stride + part.head;
      case 'mlp':
        return part.layer * this.stride + this.sizes.nHeads;
      case 'neuron':
        throw new MechanistError(
          'bad-input',
          `${name} is a neuron: circuits are evaluated by heads and MLPs. Put its MLP into the circuit instead.`,
          { node: name },
        );
    }
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
    for (const { node, at: places } of circuit.nodes) {
      const index = this.index(node);
      if (index === null || !this.free(index) || (only !== undefined && !only.has(node))) continue;
      keep[index] = places === undefined ? 1 : 2;
      if (places !== undefined) at.set(index, places);
    }
    return at.size === 0 ? { keep } : { keep, at };
  }

  complement({ keep, at }: Selection): Selection {
    const opposite = [1, 0, 3, 2];
    return { keep: keep.map((value, i) => (this.free(i) ? opposite[value] : 1)), at };
  }

  without(nodes: Iterable<NodeName>): Selection {
    const keep = this.filled(1);
    for (const name of nodes) {
      const index = this.index(name);
      if (index !== null && this.free(index)) keep[index] = 0;
    }
    return { keep };
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
    return at.size === 0 ? { keep } : { keep, at };
  }
}
