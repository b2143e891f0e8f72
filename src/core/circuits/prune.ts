import type { CircuitFile, CircuitNode, NodeName } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import type { Scores } from './circuitMetric.ts';
import { EdgeSpace } from './edgeSpace.ts';
import { means } from './estimates.ts';
import { NodeSpace } from './nodeSpace.ts';
import { edgeCircuit, type FoundCircuitInfo, pruneDeadEnds } from './selectEdges.ts';

export interface PruneOptions {
  /**
   * A part goes when the loss rises by less than this without it. The loss is the divergence from the clean run (`kl`), or
   * the metric turned so that less is better.
   */
  readonly threshold: number;
  /** Forward passes of the data after which the search stops; what was not tried stays. */
  readonly maxPasses: number;
}

/** Whether a larger value of the metric is worse. */
function isLoss({ kind }: MetricSpec): boolean {
  return kind === 'kl' || kind === 'cross-entropy' || kind === 'rank';
}

/** The search from the whole model down, one part after another. */
class Search {
  private readonly before: number;
  private current = 0;

  constructor(
    private readonly evaluator: CircuitEvaluator,
    private readonly keep: Uint8Array,
    private readonly options: PruneOptions,
    private readonly context: ClimbContext,
  ) {
    this.before = evaluator.passes;
  }

  private loss({ values }: Scores): number {
    const all = means(this.evaluator.columns(values));
    return (isLoss(this.evaluator.options.metric) ? 1 : -1) * all[all.length - 1];
  }

  private async lossOf(keep: Uint8Array): Promise<number> {
    const [scores] = await this.evaluator.scores([{ keep }], { ...this.context, onProgress: undefined });
    return this.loss(scores);
  }

  async start(): Promise<void> {
    this.current = await this.lossOf(this.keep);
  }

  get passes(): number {
    return this.evaluator.passes - this.before;
  }

  get spent(): boolean {
    return this.passes >= this.options.maxPasses;
  }

  /** Takes the part out if the loss rises by less than the threshold. Returns by how much it rises. */
  async try(index: number): Promise<number> {
    this.keep[index] = 0;
    const loss = await this.lossOf(this.keep);
    const rise = loss - this.current;
    if (rise < this.options.threshold) this.current = loss;
    else this.keep[index] = 1;
    return rise;
  }
}

export interface Pruned {
  readonly circuit: CircuitFile;
  /** By node or edge of the space: rise of the loss when it was tried; NaN where it was not. */
  readonly effects: Float64Array;
  readonly complete: boolean;
  /** Forward passes of the data. */
  readonly passes: number;
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
  context: ClimbContext = {},
): Promise<Pruned> {
  const { space } = evaluator;
  if (!(space instanceof NodeSpace)) throw new MechanistError('bad-input', 'Pruning of nodes needs heads or MLPs.');
  const names = space.nodes();
  const { keep } = space.full;
  const effects = new Float64Array(space.size).fill(Number.NaN);
  const search = new Search(evaluator, keep, options, context);
  await search.start();
  const order = inReverse(names, space);
  for (const [done, { index, name }] of order.entries()) {
    if (search.spent) break;
    effects[index] = await search.try(index);
    context.onProgress?.({ done: done + 1, total: order.length, label: name });
  }
  const complete = order.every(({ index }) => !Number.isNaN(effects[index]));
  const nodes = order
    .filter(({ index }) => keep[index] === 1)
    .map(
      ({ name, index }): CircuitNode =>
        Number.isNaN(effects[index]) ? { node: name } : { node: name, effect: effects[index] },
    )
    .sort((a, b) => (b.effect ?? 0) - (a.effect ?? 0));
  const { scope } = evaluator.options;
  const circuit: CircuitFile = { schemaVersion: 1, kind: 'circuit', scope, ...info, nodes };
  return { circuit, effects, complete, passes: search.passes };
}

/** Nodes from the last layer to the first; in a layer the MLP, then the heads by number. */
function inReverse(names: readonly NodeName[], space: NodeSpace): { name: NodeName; index: number }[] {
  const all = names.map((name) => ({ name, index: space.index(name) ?? 0 }));
  const rank = (index: number) => {
    const { layer, mlp } = space.place(index);
    return 2 * layer + (mlp ? 1 : 0);
  };
  return all.sort((a, b) => rank(b.index) - rank(a.index) || a.index - b.index);
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
  context: ClimbContext = {},
): Promise<Pruned> {
  const { space } = evaluator;
  if (!(space instanceof EdgeSpace)) throw new MechanistError('bad-input', 'ACDC needs a circuit of edges.');
  const { graph } = space;
  const { keep } = space.full;
  const effects = new Float64Array(graph.edges).fill(Number.NaN);
  const search = new Search(evaluator, keep, options, context);
  await search.start();
  const isRead = new Set<number>();
  let [done, complete] = [0, true];
  for (const reader of [...graph.readers].reverse()) {
    const { firstEdge, upstream, channel } = reader;
    const alive = channel === 'logits' || graph.writersOf(reader).some((writer) => isRead.has(writer));
    for (let writer = upstream - 1; writer >= 0; writer -= 1) {
      const edge = firstEdge + writer;
      if (!alive) {
        keep[edge] = 0;
        effects[edge] = 0;
      } else if (search.spent) complete = false;
      else effects[edge] = await search.try(edge);
      if (keep[edge] === 1) isRead.add(writer);
    }
    done += upstream;
    context.onProgress?.({ done, total: graph.edges, label: 'Edges' });
  }
  const kept = complete ? pruneDeadEnds(graph, keep) : keep;
  const known = effects.map((effect) => (Number.isNaN(effect) ? 0 : effect));
  return { circuit: edgeCircuit(graph, kept, known, info), effects, complete, passes: search.passes };
}
