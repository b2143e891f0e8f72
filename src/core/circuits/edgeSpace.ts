import type { CircuitFile, NodeName } from '../../shared/circuit.ts';
import type { Random } from '../../shared/statistics.ts';
import type { EdgeGraph } from './edgeGraph.ts';
import { nodeName } from './nodeNames.ts';
import type { Selection, SelectionSpace } from './selection.ts';

/** Edges of a model. A node is out when all its edges are. */
export class EdgeSpace implements SelectionSpace {
  constructor(readonly graph: EdgeGraph) {}

  get full(): Selection {
    return { keep: new Uint8Array(this.graph.edges).fill(1) };
  }

  get empty(): Selection {
    return { keep: new Uint8Array(this.graph.edges) };
  }

  /** With `only`, edges from or to another node of the circuit's list are left out. */
  of(circuit: CircuitFile, only?: ReadonlySet<NodeName>): Selection {
    const left = new Set(only === undefined ? [] : circuit.nodes.map(({ node }) => node).filter((n) => !only.has(n)));
    const edges = circuit.edges?.filter(({ from, to }) => !left.has(from) && !left.has(to));
    return { keep: this.graph.keep({ name: circuit.name, edges }) };
  }

  complement({ keep }: Selection): Selection {
    return { keep: keep.map((value) => 1 - value) };
  }

  /** An edge into a key-value head goes when its whole group is out. */
  without(nodes: Iterable<NodeName>): Selection {
    const { graph } = this;
    const out = new Set(nodes);
    const { keep } = this.full;
    const gone = (writer: number) => out.has(nodeName(graph.writerPart(writer)));
    graph.each((edge, reader, writer) => {
      const fed = graph.writersOf(reader);
      if (gone(writer) || (fed.length > 0 && fed.every(gone))) keep[edge] = 0;
    });
    return { keep };
  }

  random(circuit: CircuitFile, random: Random): Selection {
    const count = this.of(circuit).keep.reduce((sum, value) => sum + value, 0);
    const { keep } = this.empty;
    for (const edge of random.permutation(this.graph.edges).slice(0, count)) keep[edge] = 1;
    return { keep };
  }
}
