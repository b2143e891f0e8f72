import type { CircuitEdge, CircuitFile, CircuitNode } from '../../shared/circuit.ts';
import type { Grouping } from './circuitView.ts';
import { groupNodes, mostNodes, type NodeGroup, orderLanes } from './diagramBoxes.ts';
import { answerPosition, type ColumnPlace, columnOfNode, columnsOf, labelRoom } from './diagramColumns.ts';
import {
  boxHeight,
  boxWidth,
  type DiagramBox,
  type DiagramColumn,
  type DiagramInput,
  type DiagramLayer,
  type DiagramLayout,
} from './diagramTypes.ts';
import { routeWires } from './diagramWires.ts';

const laneGap = 8;
const left = 40;
const topRoom = 44;
const bottomRoom = 44;

/** Which grouping is in force. */
export function groupingOf(group: Grouping | null, circuit: CircuitFile): Grouping {
  return group ?? (circuit.nodes.length > mostNodes ? 'layer' : 'none');
}

function placeColumns(
  input: DiagramInput,
  columns: readonly ColumnPlace[],
  groups: readonly NodeGroup[],
): DiagramColumn[] {
  const lanes = columns.map((_, c) => {
    const counts = new Map<number, number>();
    for (const { column, layer } of groups) if (column === c) counts.set(layer, (counts.get(layer) ?? 0) + 1);
    return Math.max(0, ...counts.values());
  });
  const needed = columns.map((column, c) =>
    Math.max(34, labelRoom(column), lanes[c] === 0 ? 0 : lanes[c] * (boxWidth + laneGap) + 28),
  );
  const sum = needed.reduce((a, b) => a + b, 0);
  const spare = Math.max(0, Math.min(44, (input.width - left - 12 - sum) / Math.max(1, columns.length)));
  let x = left;
  return columns.map((column, c) => {
    const width = needed[c] + spare;
    const place = { ...column, left: x, width, x: Math.round(x + width / 2) + (lanes[c] > 0 ? 8 : 0) };
    x += width;
    return place;
  });
}

function placeLayers(
  nLayers: number,
  groups: readonly NodeGroup[],
): { readonly layers: DiagramLayer[]; readonly bottom: number } {
  const lanes = new Map<string, number>();
  for (const { layer, column } of groups) {
    const key = `${layer} ${column}`;
    lanes.set(key, (lanes.get(key) ?? 0) + 1);
  }
  const most = (layer: number): number =>
    Math.max(0, ...[...lanes].flatMap(([key, count]) => (key.startsWith(`${layer} `) ? [count] : [])));
  const deep = nLayers > 14;
  let y = topRoom;
  const layers: DiagramLayer[] = [];
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    const boxes = most(layer);
    // Lines to the second box of a place and those after it run over the first.
    const over = boxes > 1 ? 3 * boxes + 2 : 0;
    const height = boxes > 0 ? 31 : deep ? 11 : 27;
    const labelled = height > 16 || layer % 5 === 0;
    layers.push({ layer, y: y + over + height / 2, label: labelled ? `L${layer}` : '' });
    y += height + over;
  }
  return { layers, bottom: y + 6 };
}

function placeBoxes(
  groups: readonly NodeGroup[],
  columns: readonly DiagramColumn[],
  layers: readonly DiagramLayer[],
): DiagramBox[] {
  const lanes = new Map<string, NodeGroup[]>();
  for (const group of groups) {
    const key = `${group.column} ${group.layer}`;
    lanes.set(key, [...(lanes.get(key) ?? []), group]);
  }
  return [...lanes.values()].flatMap((lane) =>
    lane.map((group, i): DiagramBox => {
      const span = lane.length * boxWidth + (lane.length - 1) * laneGap;
      const x = columns[group.column].x - span / 2 + i * (boxWidth + laneGap);
      const y = (layers.find(({ layer }) => layer === group.layer)?.y ?? topRoom) - boxHeight / 2;
      return { ...group, x: Math.round(x), y: Math.round(y) };
    }),
  );
}

/** Edges of the file that both have their ends in the circuit (or at its ends). */
function edgesOf({ edges = [], nodes }: CircuitFile): CircuitEdge[] {
  const known = new Set([...nodes.map(({ node }) => node), 'emb', 'logits']);
  return edges.filter(({ from, to }) => known.has(from) && known.has(to));
}

/** The boxes and their order: what of a layout takes time, and does not depend on numbers or widths. */
export function arrangeNodes({
  circuit,
  setting,
  columns,
  group,
  answer,
}: Omit<DiagramInput, 'reads' | 'effects' | 'threshold' | 'width'>): readonly NodeGroup[] {
  const places = columnsOf(setting, columns);
  const answerAt = answerPosition(setting, answer);
  const columnOf = (node: CircuitNode): number => columnOfNode(node, places, answerAt);
  return orderLanes(groupNodes(circuit.nodes, groupingOf(group, circuit), columnOf, setting.nLayers), edgesOf(circuit));
}

/** Where everything lies: layers upward, positions or roles to the right. `groups`: as `arrangeNodes` has them. */
export function layoutDiagram(input: DiagramInput, groups: readonly NodeGroup[] = arrangeNodes(input)): DiagramLayout {
  const { circuit, setting } = input;
  const places = columnsOf(setting, input.columns);
  const answerAt = answerPosition(setting, input.answer);
  const columns = placeColumns(input, places, groups);
  const { layers, bottom } = placeLayers(setting.nLayers, groups);
  const boxes = placeBoxes(groups, columns, layers);
  const answerColumn = columns[columnOfNode({ node: 'logits' }, places, answerAt)];
  const logits = { x: answerColumn?.x ?? left, y: topRoom - 24 };
  const routed = routeWires({ ...input, edges: edgesOf(circuit), boxes, columns, bottom, logits, answerAt });
  const last = columns.at(-1);
  const right = Math.max(last ? last.left + last.width : left, ...boxes.map(({ x }) => x + boxWidth + 8));
  return {
    width: Math.ceil(Math.max(right + 8, Math.min(input.width, left + 240))),
    height: bottom + bottomRoom,
    columns,
    layers,
    boxes,
    ...routed,
    logits,
    top: logits.y + boxHeight / 2,
    bottom,
  };
}
