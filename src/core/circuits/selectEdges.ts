import type { AblationValue, CircuitFile, CircuitNode } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { EdgeGraph, Reader } from './edgeGraph.ts';
import { nodeName } from './nodeNames.ts';

/**
 * `greedy`: grows from the logits, each time by the strongest edge into what is already there (EAP-IG's `apply_greedy`).
 * `score`: the strongest edges, wherever they are.
 */
export type EdgeSelection = 'greedy' | 'score';

const strengthOf = (scores: ArrayLike<number>) => (edge: number) => Math.abs(scores[edge]);

function strongest(graph: EdgeGraph, scores: ArrayLike<number>, count: number): Uint8Array {
  const strength = strengthOf(scores);
  const order = Array.from({ length: graph.edges }, (_, edge) => edge).sort(
    (a, b) => strength(b) - strength(a) || a - b,
  );
  const keep = new Uint8Array(graph.edges);
  for (const edge of order.slice(0, count)) keep[edge] = 1;
  return keep;
}

function fromLogits(graph: EdgeGraph, scores: ArrayLike<number>, count: number): Uint8Array {
  const strength = strengthOf(scores);
  const keep = new Uint8Array(graph.edges);
  const active = new Map<Reader, number[]>();
  const activate = (reader: Reader) => {
    if (active.has(reader)) return;
    const edges = Array.from({ length: reader.upstream }, (_, writer) => reader.firstEdge + writer);
    // The strongest last: taken from the end.
    active.set(
      reader,
      edges.sort((a, b) => strength(a) - strength(b) || b - a),
    );
  };
  activate(graph.readers[graph.readers.length - 1]);
  for (let taken = 0; taken < count; taken += 1) {
    let best: Reader | null = null;
    let most = -1;
    for (const [reader, edges] of active) {
      const edge = edges.at(-1);
      if (edge === undefined || strength(edge) <= most) continue;
      [best, most] = [reader, strength(edge)];
    }
    if (best === null) break;
    const edge = active.get(best)?.pop() ?? 0;
    keep[edge] = 1;
    for (const reader of graph.readersOf(edge - best.firstEdge)) activate(reader);
  }
  return keep;
}

/** Writers that lie on a path of kept edges from the embedding to the logits. */
function onPaths(graph: EdgeGraph, keep: Uint8Array): Set<number> {
  const [below, above] = [new Set([0]), new Set<number>()];
  const feeds = (reader: Reader) => graph.writersOf(reader);
  graph.each((edge, reader, writer) => {
    // Readers come in the order in which they run, so that what a writer reads has been seen before what reads it.
    if (keep[edge] === 1 && below.has(writer)) for (const fed of feeds(reader)) below.add(fed);
  });
  for (const reader of [...graph.readers].reverse()) {
    if (reader.channel !== 'logits' && !feeds(reader).some((fed) => above.has(fed))) continue;
    for (let writer = 0; writer < reader.upstream; writer += 1)
      if (keep[reader.firstEdge + writer] === 1) above.add(writer);
  }
  return new Set([...below].filter((writer) => above.has(writer)));
}

/** Takes out edges that lie on no path of kept edges from the embedding to the logits. Returns a new mask. */
export function pruneDeadEnds(graph: EdgeGraph, keep: Uint8Array): Uint8Array {
  const alive = onPaths(graph, keep);
  const result = keep.slice();
  graph.each((edge, reader, writer) => {
    const read = reader.channel === 'logits' || graph.writersOf(reader).some((fed) => alive.has(fed));
    if (!alive.has(writer) || !read) result[edge] = 0;
  });
  return result;
}

/** The edges of a circuit by their scores, dead ends taken out: at most `count`. */
export function selectEdges(graph: EdgeGraph, scores: ArrayLike<number>, count: number, by: EdgeSelection): Uint8Array {
  if (count > graph.edges) {
    throw new MechanistError('bad-input', `The model has ${graph.edges} edges: ask for ${count} or fewer of them.`);
  }
  const chosen = by === 'greedy' ? fromLogits(graph, scores, count) : strongest(graph, scores, count);
  return pruneDeadEnds(graph, chosen);
}

/** What every circuit that a method finds says of itself. */
export interface FoundCircuitInfo {
  readonly name: string;
  readonly model: CircuitFile['model'];
  readonly ablation: AblationValue;
  readonly provenance: CircuitFile['provenance'];
}

/** Σ of the effects of a writer's kept edges, by writer. */
export function writerEffects(graph: EdgeGraph, effects: ArrayLike<number>, keep?: Uint8Array): Float64Array {
  const sums = new Float64Array(graph.writers);
  graph.each((edge, _, writer) => {
    if ((keep === undefined || keep[edge] === 1) && Number.isFinite(effects[edge])) sums[writer] += effects[edge];
  });
  return sums;
}

/**
 * A circuit of edges as a file: edges by strength, and the heads and MLPs that they connect, the strongest first. An edge into
 * a key-value head stands once for each query head of the circuit that reads it.
 * @param effects by edge, in units of the metric; NaN where it is not known
 */
export function edgeCircuit(
  graph: EdgeGraph,
  keep: Uint8Array,
  effects: ArrayLike<number>,
  info: FoundCircuitInfo,
): CircuitFile {
  const alive = onPaths(graph, keep);
  const sums = writerEffects(graph, effects, keep);
  const nodes = [...alive]
    .filter((writer) => writer !== 0)
    .sort((a, b) => Math.abs(sums[b]) - Math.abs(sums[a]) || a - b)
    .map((writer): CircuitNode => ({ node: nodeName(graph.writerPart(writer)), effect: sums[writer] }));
  const kept: { edge: number; reader: Reader; writer: number }[] = [];
  graph.each((edge, reader, writer) => {
    if (keep[edge] === 1) kept.push({ edge, reader, writer });
  });
  const strength = (edge: number) => Math.abs(effects[edge]) || 0;
  kept.sort((a, b) => strength(b.edge) - strength(a.edge) || a.edge - b.edge);
  const edges = kept.flatMap(({ edge, reader, writer }) =>
    graph
      .describe(reader, writer, alive)
      .map((named) => (Number.isNaN(effects[edge]) ? named : { ...named, effect: effects[edge] })),
  );
  return { schemaVersion: 1, kind: 'circuit', scope: 'edges', ...info, nodes, edges };
}
