import type { Channel, CircuitEdge } from '../../shared/circuit.ts';
import { share, signed } from '../../shared/format.ts';
import { columnAt } from './diagramColumns.ts';
import {
  boxHeight,
  boxWidth,
  type DiagramBox,
  type DiagramColumn,
  type DiagramInput,
  type Wire,
} from './diagramTypes.ts';
import { edgeName } from './nodeText.ts';

interface RouteInput extends Pick<DiagramInput, 'reads' | 'effects' | 'threshold'> {
  readonly edges: readonly CircuitEdge[];
  readonly boxes: readonly DiagramBox[];
  readonly columns: readonly DiagramColumn[];
  readonly bottom: number;
  readonly logits: { readonly x: number; readonly y: number };
  readonly answerAt: number;
}

/** A connection before it has a place. */
interface Link {
  readonly from: DiagramBox | null;
  readonly to: DiagramBox | null;
  /** Column whose stream is read. */
  readonly column: number;
  readonly channel: Channel | null;
  readonly effect: number | null;
  readonly name: string;
  readonly said: string;
}

/** Edges that are drawn when nobody sets a threshold. */
const mostWires = 150;

function linksOfEdges({ edges, boxes, columns, reads, answerAt }: RouteInput): Link[] {
  const boxOf = new Map(boxes.flatMap((box) => box.members.map((member) => [member, box] as const)));
  const merged = new Map<string, { link: Link; parts: number }>();
  for (const edge of edges) {
    const from = boxOf.get(edge.from) ?? null;
    const to = boxOf.get(edge.to) ?? null;
    if (to === null && edge.to !== 'logits') continue;
    if (from !== null && from === to) continue;
    const read = reads.find(({ node }) => node === edge.to)?.from;
    const column =
      from?.column ??
      (edge.channel === 'q' || to === null
        ? (to?.column ?? columnAt(columns, answerAt))
        : columnAt(columns, read ?? columns[to.column].position));
    const key = `${from?.id ?? 'emb'} ${to?.id ?? 'logits'} ${edge.channel}`;
    const before = merged.get(key);
    const effect = edge.effect === undefined ? (before?.link.effect ?? null) : (before?.link.effect ?? 0) + edge.effect;
    const parts = (before?.parts ?? 0) + 1;
    const name = parts === 1 ? edgeName(edge) : `${from?.label ?? 'emb'} → ${to?.label ?? 'logits'}, ${parts} edges`;
    const said = effect === null ? 'no effect known' : signed(effect);
    merged.set(key, { link: { from, to, column, channel: edge.channel, effect, name, said }, parts });
  }
  return [...merged.values()].map(({ link }) => link);
}

/** Without edges in the file: each head from where it attends most, and to the logits from where the answer is read. */
function linksOfReads({ boxes, columns, reads, effects, answerAt }: RouteInput): Link[] {
  const answerColumn = columnAt(columns, answerAt);
  return boxes.flatMap((box): Link[] => {
    const effect = box.members.reduce<number | null>((sum, node) => {
      const own = effects.get(node);
      return own === undefined ? sum : (sum ?? 0) + own;
    }, null);
    const read = reads.find(({ node }) => box.members.includes(node));
    const links: Link[] = [];
    if (read) {
      const column = columnAt(columns, read.from);
      const said = `${effect === null ? 'effect not known' : signed(effect)}, attention ${share(read.attention)}`;
      const name = `${columns[column].id} → ${box.label}, value`;
      const below = boxes.filter((other) => other.column === column && other.layer < box.layer);
      const [writer = null] = below.sort((a, b) => b.layer - a.layer);
      if (column !== box.column) links.push({ from: writer, to: box, column, channel: 'v', effect, name, said });
    }
    if (box.column === answerColumn) {
      const said = effect === null ? 'effect not known' : signed(effect);
      links.push({
        from: box,
        to: null,
        column: box.column,
        channel: null,
        effect,
        name: `${box.label} → logits`,
        said,
      });
    }
    return links;
  });
}

/** The |effect| under which edges are hidden. Edges without a number are always drawn. */
function thresholdOf(links: readonly Link[], wanted: number | null, largest: number): number {
  if (wanted !== null) return wanted * largest;
  const sizes = links.flatMap(({ effect }) => (effect === null ? [] : [Math.abs(effect)])).sort((a, b) => b - a);
  return sizes.length > mostWires ? sizes[mostWires - 1] : 0;
}

/** Lines into one box come in one under the other. */
function lanesInto(links: readonly Link[]): Map<Link, number> {
  const lanes = new Map<Link, number>();
  for (const reader of new Set(links.map(({ to }) => to))) {
    if (reader === null) continue;
    const into = links.filter(({ to, column }) => to === reader && column !== reader.column);
    const ordered = [...into].sort((a, b) => b.column - a.column);
    for (const [i, link] of ordered.entries())
      lanes.set(link, ordered.length === 1 ? 0 : -7 + (14 * i) / (ordered.length - 1));
  }
  return lanes;
}

/** The line from a stream to a box; null where the stream passes behind it. */
function branchInto(
  to: DiagramBox,
  { x, y, lane, over }: { x: number; y: number; lane: number; over: boolean },
): Wire['branch'] {
  if (over) return { y, from: x, to: to.x + boxWidth / 2 + lane, down: to.y };
  if (x < to.x) return { y, from: x, to: to.x, down: null };
  return x > to.x + boxWidth ? { y, from: x, to: to.x + boxWidth, down: null } : null;
}

/** How many boxes stand in the same row between a stream and the box that reads it. */
function between(boxes: readonly DiagramBox[], x: number, to: DiagramBox): number {
  const [low, high] = x < to.x ? [x, to.x] : [to.x + boxWidth, x];
  return boxes.filter((box) => box !== to && box.y === to.y && box.x + boxWidth > low && box.x < high).length;
}

/** Gives every connection its lines; those under the threshold are counted. */
export function routeWires(input: RouteInput): {
  readonly wires: readonly Wire[];
  readonly hidden: { readonly count: number; readonly below: number };
  readonly largest: number;
} {
  const links = input.edges.length > 0 ? linksOfEdges(input) : linksOfReads(input);
  const largest = Math.max(0, ...links.map(({ effect }) => Math.abs(effect ?? 0)).filter(Number.isFinite));
  const below = thresholdOf(links, input.threshold, largest);
  const drawn = links.filter(({ effect }) => effect === null || Math.abs(effect) >= below);
  const lanes = lanesInto(drawn);
  const { columns, bottom, logits } = input;
  const wires = drawn.map((link): Wire => {
    const { from, to, column, effect } = link;
    const x = columns[column].x;
    const others = to === null ? 0 : between(input.boxes, x, to);
    const lane = lanes.get(link) ?? 0;
    // Past other boxes a line runs over them, and comes down into its own.
    const y = to === null ? logits.y + boxHeight / 2 : others > 0 ? to.y - 3 - 3 * others : to.y + boxHeight / 2 + lane;
    const start = from === null ? bottom : from.y;
    const straight = to === null || column === to.column;
    const end = straight && to !== null ? to.y + boxHeight : y;
    return {
      id: `${from?.id ?? 'emb'}>${to?.id ?? 'logits'}:${link.channel ?? ''}`,
      from: from?.id ?? null,
      to: to?.id ?? null,
      column: columns[column].id,
      channel: link.channel,
      effect,
      stroke: effect === null || largest === 0 ? 1.25 : 1 + 5 * Math.min(1, Math.abs(effect) / largest),
      trunk: start > end ? { x, from: start, to: end } : null,
      branch: straight ? null : branchInto(to, { x, y, lane, over: others > 0 }),
      name: link.name,
      said: link.said,
    };
  });
  return { wires, hidden: { count: links.length - drawn.length, below }, largest };
}
