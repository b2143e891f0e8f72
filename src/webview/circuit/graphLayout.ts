import type { GraphPicture } from '../../shared/figures.ts';
import { groupNodes, mostNodes, type NodeGroup, orderLanes } from './diagramBoxes.ts';
import { boxHeight, boxWidth } from './diagramTypes.ts';

export interface GraphBox extends NodeGroup {
  readonly x: number;
  readonly y: number;
}

/** All that one box writes to another; null: the embedding, or the logits. */
export interface GraphLine {
  readonly from: GraphBox | null;
  readonly to: GraphBox | null;
  /** Sum over its edges; null when none is known. */
  readonly effect: number | null;
  readonly size: number;
  /** `q` `k` `v` of the head that reads. */
  readonly channels: readonly string[];
}

export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly GraphBox[];
  readonly lines: readonly GraphLine[];
  readonly layers: readonly { readonly label: string; readonly y: number }[];
  /** Centres of the ends; the embedding is drawn where something reads it. */
  readonly logits: { readonly x: number; readonly y: number };
  readonly embedding: { readonly x: number; readonly y: number } | null;
}

const left = 40;
const gap = 10;
const mostGap = 36;
const rowHeight = 46;
const top = 14;

/** Heads of a layer, above them its MLP; a group of both stands with the heads. */
function rowOf({ layer, members }: NodeGroup): number {
  return 2 * layer + (members.every((node) => node.startsWith('MLP')) ? 1 : 0);
}

function groupsOf({ nodes, edges, nLayers }: GraphPicture): readonly NodeGroup[] {
  const grouping = nodes.length > mostNodes ? 'layer' : 'none';
  return orderLanes(
    groupNodes(nodes, grouping, () => 0, nLayers),
    edges,
  );
}

function linesOf({ edges, nodes }: GraphPicture, boxes: readonly GraphBox[]): GraphLine[] {
  const boxOf = new Map(boxes.flatMap((box) => box.members.map((member) => [member, box] as const)));
  const all = edges.length > 0 ? edges : nodes.map(({ node, effect }) => ({ from: node, to: 'logits', effect }));
  const merged = new Map<string, GraphLine>();
  for (const edge of all) {
    const [from, to] = [boxOf.get(edge.from) ?? null, boxOf.get(edge.to) ?? null];
    const known = (from !== null || edge.from === 'emb') && (to !== null || edge.to === 'logits');
    if (!known || from === to) continue;
    const key = `${from?.id ?? 'emb'} ${to?.id ?? 'logits'}`;
    const before = merged.get(key);
    const channel = 'channel' in edge && 'qkv'.includes(edge.channel) ? [edge.channel] : [];
    const effect = Number.isFinite(edge.effect) ? edge.effect : undefined;
    merged.set(key, {
      from,
      to,
      effect: effect === undefined ? (before?.effect ?? null) : (before?.effect ?? 0) + effect,
      size: (before?.size ?? 0) + Math.abs(effect ?? 0),
      channels: [...new Set([...(before?.channels ?? []), ...channel])],
    });
  }
  return [...merged.values()].sort((a, b) => a.size - b.size);
}

/** Where the boxes of a graph without positions lie: layers upward, the order within a row by dagre. */
export function layoutGraph(picture: GraphPicture, width: number): GraphLayout {
  const groups = groupsOf(picture);
  const rows = [...new Set(groups.map(rowOf))].sort((a, b) => b - a);
  const inRow = (row: number) => groups.filter((group) => rowOf(group) === row);
  const widest = Math.max(1, ...rows.map((row) => inRow(row).length));
  const space = Math.max(gap, Math.min(mostGap, (width - left - widest * boxWidth) / (widest + 1)));
  const inner = widest * boxWidth + (widest + 1) * space;
  const middle = left + inner / 2;
  const yOf = (i: number) => top + (i + 1) * rowHeight;
  const boxes = rows.flatMap((row, i) => {
    const own = inRow(row);
    const start = middle - (own.length * boxWidth + (own.length - 1) * space) / 2;
    return own.map((group, at): GraphBox => {
      const x = Math.round(start + at * (boxWidth + space));
      return { ...group, x, y: yOf(i) - boxHeight / 2 };
    });
  });
  const lines = linesOf(picture, boxes);
  const reads = lines.some(({ from }) => from === null);
  const end = yOf(reads ? rows.length : rows.length - 1);
  return {
    width: Math.ceil(left + inner),
    height: end + boxHeight,
    boxes,
    lines,
    layers: rows.map((row, i) => ({ label: `L${Math.floor(row / 2)}`, y: yOf(i) })),
    logits: { x: middle, y: top },
    embedding: reads ? { x: middle, y: end } : null,
  };
}
