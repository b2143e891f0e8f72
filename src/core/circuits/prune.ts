import type { CircuitFile, CircuitNode, NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import type { EdgeGraph } from './edgeGraph.ts';
import { EdgeSpace } from './edgeSpace.ts';
import { NodeSpace } from './nodeSpace.ts';
import { keptAfter, type PruneOptions, PruneSearch, type SearchContext, type SearchState } from './pruneSearch.ts';
import { edgeCircuit, type FoundCircuitInfo, pruneDeadEnds } from './selectEdges.ts';

export interface Pruned {
  readonly circuit: CircuitFile;
  /** By node or edge of the space: rise of the loss when it was tried; null where it was not. */
  readonly effects: SearchState['effects'];
  readonly complete: boolean;
  /** Forward passes of the data that trying took. */
  readonly passes: number;
}

/** Heads and MLPs that a search of nodes tries: from the last layer to the first; in a layer the MLP, then the heads by number. */
function nodesInReverse(space: NodeSpace): { readonly name: NodeName; readonly index: number }[] {
  const all = space.nodes().map((name) => ({ name, index: space.index(name) ?? 0 }));
  const rank = (index: number) => {
    const { layer, mlp } = space.place(index);
    return 2 * layer + (mlp ? 1 : 0);
  };
  return all.sort((a, b) => rank(b.index) - rank(a.index) || a.index - b.index);
}

/** The nodes that are left, the strongest first. */
export function prunedNodes(
  space: NodeSpace,
  scope: 'heads' | 'heads+mlps',
  effects: SearchState['effects'],
  threshold: number,
  info: FoundCircuitInfo,
): CircuitFile {
  const keep = keptAfter(effects, threshold);
  const nodes = nodesInReverse(space)
    .filter(({ index }) => keep[index] === 1)
    .map(({ name, index }): CircuitNode => {
      const effect = effects[index];
      return effect === null ? { node: name } : { node: name, effect };
    })
    .sort((a, b) => (b.effect ?? 0) - (a.effect ?? 0));
  return { schemaVersion: 1, kind: 'circuit', scope, ...info, nodes };
}

/** The edges that are left. A search that is not over has no dead ends yet: what is not tried may still join them. */
export function prunedEdges(
  graph: EdgeGraph,
  effects: SearchState['effects'],
  threshold: number,
  info: FoundCircuitInfo,
): CircuitFile {
  const keep = keptAfter(effects, threshold);
  const kept = effects.includes(null) ? keep : pruneDeadEnds(graph, keep);
  const known = Float64Array.from(effects, (effect) => effect ?? Number.NaN);
  return edgeCircuit(graph, kept, known, info);
}

/**
 * Backward greedy pruning of heads (and MLPs): from the last layer to the first, MLP before heads, each goes when the loss
 * rises by less than the threshold without it, given all that has gone before (the node-level search of García-Carrasco et al.,
 * circuit-extraction). Layers below the tried one are the clean run's: about half a forward pass a node.
 * @param evaluator of scope `heads` or `heads+mlps`
 * @throws MechanistError `bad-input` for an evaluator of edges, `cancelled`
 */
export async function pruneNodes(
  evaluator: CircuitEvaluator,
  options: PruneOptions,
  info: FoundCircuitInfo,
  context: SearchContext = {},
): Promise<Pruned> {
  const { space } = evaluator;
  const { scope } = evaluator.options;
  if (!(space instanceof NodeSpace) || scope === 'edges') {
    throw new MechanistError('bad-input', 'Pruning of nodes needs heads or MLPs.');
  }
  const search = new PruneSearch(evaluator, space.size, options, context);
  await search.start();
  const order = nodesInReverse(space);
  let complete = true;
  for (const [done, { index, name }] of order.entries()) {
    if (search.recall()) continue;
    if (search.spent) complete = false;
    if (!complete) break;
    await search.try(index);
    context.onProgress?.({ done: done + 1, total: order.length, label: name });
  }
  const { effects, passes } = search;
  return { circuit: prunedNodes(space, scope, effects, options.threshold, info), effects, complete, passes };
}

/**
 * ACDC (Conmy et al. 2304.14997): from the logits down, every edge into a reader is tried, the last writer first, and goes when
 * the loss rises by less than the threshold. Readers of nodes that nothing reads any more lose their edges untried. Layers below
 * the reader are the clean run's: an edge into layer l costs 1 − l/n_layers of a forward pass.
 * @param evaluator of scope `edges`; with `resample` ablation as published
 * @throws MechanistError `bad-input` for an evaluator of nodes, `cancelled`
 */
export async function acdc(
  evaluator: CircuitEvaluator,
  options: PruneOptions,
  info: FoundCircuitInfo,
  context: SearchContext = {},
): Promise<Pruned> {
  const { space } = evaluator;
  if (!(space instanceof EdgeSpace)) throw new MechanistError('bad-input', 'ACDC needs a circuit of edges.');
  const { graph } = space;
  const search = new PruneSearch(evaluator, graph.edges, options, context);
  await search.start();
  const isRead = new Set<number>();
  let [done, complete] = [0, true];
  for (const reader of [...graph.readers].reverse()) {
    const { firstEdge, upstream, channel } = reader;
    const alive = channel === 'logits' || graph.writersOf(reader).some((writer) => isRead.has(writer));
    for (let writer = upstream - 1; writer >= 0; writer -= 1) {
      const edge = firstEdge + writer;
      done += 1;
      if (!search.recall()) {
        if (!alive) search.drop(edge);
        else if (search.spent) complete = false;
        else {
          await search.try(edge);
          context.onProgress?.({ done, total: graph.edges, label: 'Edges' });
        }
      }
      if (search.keep[edge] === 1) isRead.add(writer);
    }
  }
  const { effects, passes } = search;
  return { circuit: prunedEdges(graph, effects, options.threshold, info), effects, complete, passes };
}
