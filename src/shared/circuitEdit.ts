import type { Channel, CircuitEdge, CircuitFile, CircuitNode, NodeName } from './circuit.ts';
import type { CircuitEdit } from './circuitPanelProtocol.ts';

/** When a node runs: the embedding first, heads of a layer before its MLP (or with it), the logits last. */
function turnOf(node: NodeName, parallel: boolean): number {
  if (node === 'emb') return -1;
  const [, head] = /^L(\d+)\.H\d+$/.exec(node) ?? [];
  if (head !== undefined) return 2 * Number(head);
  const [, mlp] = /^MLP (\d+)$/.exec(node) ?? [];
  return mlp === undefined ? Number.POSITIVE_INFINITY : 2 * Number(mlp) + (parallel ? 0 : 1);
}

function channelsInto(node: NodeName): readonly Channel[] {
  if (node === 'logits') return ['logits'];
  return node.startsWith('MLP') ? ['mlp'] : ['q', 'k', 'v'];
}

/** Every edge that leads from a node to the circuit's others, or from them to it. */
function edgesOf(node: NodeName, { nodes }: CircuitFile, parallel: boolean): CircuitEdge[] {
  const others = [...new Set(['emb', ...nodes.map((one) => one.node), 'logits'])];
  const [own, turn] = [turnOf(node, parallel), (other: NodeName) => turnOf(other, parallel)];
  const into = others
    .filter((other) => turn(other) < own)
    .flatMap((from) => channelsInto(node).map((channel) => ({ from, to: node, channel })));
  const out = others
    .filter((other) => turn(other) > own)
    .flatMap((to) => channelsInto(to).map((channel) => ({ from: node, to, channel })));
  return [...into, ...out];
}

/**
 * The circuit after a change. A change that does not fit (a node that is not there) leaves it as it is. In a circuit of edges
 * a node comes with all its edges to the others, and goes with them.
 * @param parallel heads and the MLP of a layer read the same stream
 */
export function editCircuit(circuit: CircuitFile, edit: CircuitEdit, parallel = false): CircuitFile {
  const change = (node: NodeName, how: (found: CircuitNode) => CircuitNode): CircuitFile => ({
    ...circuit,
    nodes: circuit.nodes.map((found) => (found.node === node ? how(found) : found)),
  });
  switch (edit.kind) {
    case 'add': {
      if (circuit.nodes.some(({ node }) => node === edit.node)) return circuit;
      const at = edit.at && edit.at.length > 0 ? { at: edit.at } : {};
      const nodes = [...circuit.nodes, { node: edit.node, ...at }];
      if (circuit.scope !== 'edges') return { ...circuit, nodes };
      return { ...circuit, nodes, edges: [...(circuit.edges ?? []), ...edgesOf(edit.node, circuit, parallel)] };
    }
    case 'remove': {
      const nodes = circuit.nodes.filter(({ node }) => node !== edit.node);
      const { edges } = circuit;
      return {
        ...circuit,
        nodes,
        ...(edges && { edges: edges.filter(({ from, to }) => from !== edit.node && to !== edit.node) }),
      };
    }
    case 'place':
      return change(edit.node, (found) => ({ ...found, at: edit.at }));
    case 'role':
      return change(edit.node, ({ role: _, ...found }) =>
        edit.role === undefined ? found : { ...found, role: edit.role },
      );
    case 'label':
      return change(edit.node, ({ label: _, ...found }) =>
        edit.label === undefined ? found : { ...found, label: edit.label },
      );
    case 'order': {
      const place = (node: NodeName): number => {
        const at = edit.nodes.indexOf(node);
        return at < 0 ? edit.nodes.length : at;
      };
      return { ...circuit, nodes: [...circuit.nodes].sort((a, b) => place(a.node) - place(b.node)) };
    }
    case 'ablation':
      return { ...circuit, ablation: edit.ablation };
  }
}
