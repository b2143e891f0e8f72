import type { CircuitFile } from '../../../shared/circuit.ts';
import type { GraphPicture, MatrixPicture, TablePicture } from '../../../shared/figures.ts';

/** Most edges of a table. */
const TOP = 40;

/** Numbers of heads and MLPs as layers × columns. `value` is null for what was not run. */
export function nodeMatrix(
  { nLayers, nHeads }: { readonly nLayers: number; readonly nHeads: number },
  value: (layer: number, head: number | 'mlp') => number | null,
  about: Pick<MatrixPicture, 'id' | 'title' | 'subtitle' | 'unit'> & { readonly mlps: boolean },
): MatrixPicture {
  const { mlps, ...rest } = about;
  const heads = Array.from({ length: nHeads }, (_, head) => head);
  const columns = [...heads, ...(mlps ? (['mlp'] as const) : [])];
  const layers = Array.from({ length: nLayers }, (_, layer) => layer);
  return {
    ...{ type: 'matrix', scale: 'diverging', ...rest },
    rows: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
    columns: { name: 'head', labels: columns.map((column) => (column === 'mlp' ? 'MLP' : `H${column}`)) },
    values: layers.map((layer) => columns.map((column) => value(layer, column))),
  };
}

/** Most edges that a drawing holds. */
const DRAWN = 400;

/** A circuit as it stands; edges that were not tried are left out, and so are the weakest of many. */
export function circuitGraph(
  { edges = [], nodes }: CircuitFile,
  nLayers: number,
  about: Pick<GraphPicture, 'title' | 'unit'> & { readonly lines: string },
): GraphPicture {
  const { lines, ...rest } = about;
  const known = edges.filter(({ effect }) => effect !== undefined);
  const left = edges.length - Math.min(DRAWN, known.length);
  const more = left === 0 ? '' : ` ${left} of ${edges.length} edges, weaker or not tried, are not among them.`;
  return {
    ...{ type: 'graph', id: 'graph', nLayers, ...rest },
    subtitle: `Boxes: heads and MLPs by layer. ${lines}${more}`,
    nodes: nodes.map(({ node, effect }) => ({ node, ...(effect !== undefined && { effect }) })),
    edges: known.slice(0, DRAWN),
  };
}

/** A circuit's strongest edges, or its nodes where it has none. */
export function partsTable({ edges, nodes }: CircuitFile, unit: string, effect: string): TablePicture {
  if (edges === undefined) {
    return {
      ...{ type: 'table', id: 'nodes', title: `${nodes.length} heads and MLPs of the circuit` },
      subtitle: effect,
      columns: [{ name: 'node' }, { name: 'effect', unit }],
      rows: nodes.map((node) => [node.node, node.effect ?? null]),
    };
  }
  const shown = edges.slice(0, TOP);
  const most = edges.length > TOP ? `The ${TOP} strongest of ${edges.length} edges` : `${edges.length} edges`;
  return {
    ...{ type: 'table', id: 'edges', title: `${most} of the circuit`, subtitle: effect },
    columns: [{ name: 'from' }, { name: 'to' }, { name: 'by' }, { name: 'effect', unit }],
    rows: shown.map(({ from, to, channel, effect: own }) => [from, to, channel, own ?? null]),
  };
}

/** Numbers under the names that `expect:` lines refer to: `edges`, `nodes`, `edge.L0.H1->L2.H3.k`, `node.L0.H1`. */
export function circuitValues({ edges = [], nodes }: CircuitFile): Record<string, number> {
  const values: Record<string, number> = { nodes: nodes.length };
  if (edges.length > 0) values.edges = edges.length;
  for (const { from, to, channel, effect } of edges) {
    if (effect !== undefined) values[`edge.${from}->${to}.${channel}`] = effect;
  }
  for (const { node, effect } of nodes) if (effect !== undefined) values[`node.${node}`] = effect;
  return values;
}
