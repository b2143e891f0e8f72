import { Graph, layout } from '@dagrejs/dagre';
import type { CircuitEdge, CircuitNode, NodeName } from '../../shared/circuit.ts';
import type { Grouping } from './circuitView.ts';
import { layerOf, nodeLabel } from './nodeText.ts';

/** Nodes that are drawn as one box. */
export interface NodeGroup {
  readonly id: string;
  readonly members: readonly NodeName[];
  readonly label: string;
  readonly role: string | null;
  readonly column: number;
  readonly layer: number;
}

/** From this many nodes on they are put together by layer unless somebody says otherwise. */
export const mostNodes = 60;

function keyOf(node: CircuitNode, column: number, layer: number, group: Grouping): string {
  if (group === 'layer') return `${column} ${layer}`;
  if (group === 'role' && node.role !== undefined) return `${column} ${node.role}`;
  return node.node;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
}

/** Puts nodes together as asked; a group stands at the middle one of its layers. */
export function groupNodes(
  nodes: readonly CircuitNode[],
  group: Grouping,
  columnOf: (node: CircuitNode) => number,
  nLayers: number,
): NodeGroup[] {
  const byKey = new Map<string, CircuitNode[]>();
  for (const node of nodes) {
    if (node.node === 'emb' || node.node === 'logits') continue;
    const key = keyOf(node, columnOf(node), layerOf(node.node, nLayers), group);
    byKey.set(key, [...(byKey.get(key) ?? []), node]);
  }
  return [...byKey.values()].map((members): NodeGroup => {
    const [first] = members;
    const layer = median(members.map(({ node }) => layerOf(node, nLayers)));
    const several = group === 'role' ? `${first.role ?? ''} ×${members.length}` : `L${layer} ×${members.length}`;
    return {
      id: members.length === 1 ? first.node : `${columnOf(first)} ${several}`,
      members: members.map(({ node }) => node),
      label: members.length === 1 ? nodeLabel(first) : several,
      role: members.every(({ role }) => role === first.role) ? (first.role ?? null) : null,
      column: columnOf(first),
      layer,
    };
  });
}

const cellOf = ({ column, layer }: NodeGroup): string => `${column} ${layer}`;

/** Edges that the order is made from: dagre's time grows with their square, and the weak ones cross unseen. */
const mostOrdered = 40;

/** Connections between groups with the sum of their |effect|s, strongest first. */
function linksOf(groups: readonly NodeGroup[], edges: readonly CircuitEdge[]): (readonly [from: string, to: string])[] {
  const idOf = new Map(groups.flatMap(({ id, members }) => members.map((member) => [member, id] as const)));
  const sums = new Map<string, { readonly ends: readonly [string, string]; size: number }>();
  for (const { from, to, effect = 0 } of edges) {
    const [a, b] = [idOf.get(from), idOf.get(to)];
    if (a === undefined || b === undefined || a === b) continue;
    const known = sums.get(`${a} ${b}`) ?? { ends: [a, b] as const, size: 0 };
    known.size += Math.abs(effect);
    sums.set(`${a} ${b}`, known);
  }
  const strongest = [...sums.values()].sort((a, b) => b.size - a.size).slice(0, mostOrdered);
  return strongest.map(({ ends }) => ends);
}

/**
 * Order of boxes that share a layer and a column, so that the strongest edges cross as little as possible: dagre orders the
 * graph (Sugiyama's layered method); only the order is taken, the two axes are ours.
 */
export function orderLanes(groups: readonly NodeGroup[], edges: readonly CircuitEdge[]): readonly NodeGroup[] {
  const cells = groups.map(cellOf);
  const links = linksOf(groups, edges);
  if (new Set(cells).size === cells.length || links.length === 0) return groups;
  const graph = new Graph<object, { width: number; height: number; x?: number }, object>();
  graph.setGraph({ rankdir: 'BT' });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id } of groups) graph.setNode(id, { width: 62, height: 21 });
  for (const [from, to] of links) graph.setEdge(from, to);
  layout(graph);
  const x = (id: string): number => graph.node(id)?.x ?? 0;
  return [...groups].sort((a, b) => x(a.id) - x(b.id));
}
