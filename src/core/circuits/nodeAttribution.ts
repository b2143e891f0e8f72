import type { NodeName } from '../../shared/circuit.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import { backwardOf, checkFirstOrder } from '../analyses/attributionPatch.ts';
import type { BlockHook } from '../engine/hookPoints.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { type Chunk, chunksOf, tokensOf } from './ablationValues.ts';
import { type EapOptions, objectiveOf } from './eap.ts';
import { nodeName } from './nodeNames.ts';

/** Kinds of nodes that can be scored. */
export type NodeKind = 'heads' | 'mlps' | 'neurons';

const HOOKS: Readonly<Record<NodeKind, BlockHook>> = {
  heads: 'attn.hook_z',
  mlps: 'hook_mlp_out',
  neurons: 'mlp.hook_post',
};

/** Nodes of one kind in one layer. */
function nodesIn({ config }: ModelRunner, kind: NodeKind): number {
  if (kind === 'mlps') return 1;
  return kind === 'heads' ? config.nHeads : config.dMlp;
}

export interface NodeScores {
  /** By kind `[layer · nodes]`, mean over rows: the metric of the clean run less that with the node corrupted, to first order. */
  readonly scores: ReadonlyMap<NodeKind, Float64Array>;
  readonly rows: number;
  /** Forward passes of all rows, the backward pass counted as 2. */
  readonly passes: number;
}

/** Adds Σ gradient × (clean − corrupted) of each node; the last dimension is split into the nodes. */
function addProducts(
  into: Float64Array,
  gradient: Float32Array,
  clean: Float32Array,
  corrupted: Float32Array,
  width: number,
): void {
  const size = width / into.length;
  for (let i = 0; i < gradient.length; i += 1) {
    into[Math.floor((i % width) / size)] += gradient[i] * (clean[i] - corrupted[i]);
  }
}

/**
 * Attribution patching of nodes (Nanda 2023; AtP of Kramár et al. 2403.00745, without their corrections): what corrupting the
 * output of each head (z), MLP or neuron (post) at all positions would do to the metric, to first order. A head's or MLP's score
 * is the sum of its outgoing edges' in edge attribution patching; an MLP's is the sum of its neurons'. Two forward passes and
 * one backward pass of the data, whatever is scored.
 * @throws MechanistError `bad-input` for a metric without a gradient, a missing corruption or answer; `cancelled`
 */
export async function nodeAttribution(
  runner: ModelRunner,
  task: TaskSet,
  options: Omit<EapOptions, 'steps'> & { readonly kinds: readonly NodeKind[] },
  context: ClimbContext = {},
): Promise<NodeScores> {
  const { metric, memoryBytes, kinds } = options;
  checkFirstOrder(metric, 'clean');
  const { nLayers, nHeads, dHead, dModel, dMlp } = runner.config;
  const widths: Readonly<Record<NodeKind, number>> = { heads: nHeads * dHead, mlps: dModel, neurons: dMlp };
  const perPosition = 4 * nLayers * (2 * dModel + 3 * kinds.reduce((sum, kind) => sum + widths[kind], 0));
  const chunks = chunksOf(task, (count) => Math.floor(memoryBytes / (perPosition * count)));
  const scores = new Map(kinds.map((kind) => [kind, new Float64Array(nLayers * nodesIn(runner, kind))]));
  const add = async (chunk: Chunk): Promise<void> => {
    const hooks = kinds.map((kind) => HOOKS[kind]);
    const names = Array.from({ length: nLayers }, (_, layer) => hooks.map((hook) => `blocks.${layer}.${hook}`)).flat();
    const tokensFor = (name: string | undefined) => chunk.items.map((item) => tokensOf(task.items[item], name));
    const kept = { hooks, keysValues: false, residuals: false };
    const corrupted = await BaseRun.run(runner, tokensFor(options.corruption), kept, context);
    const objective = objectiveOf(task, chunk, options, undefined);
    const run = await backwardOf(runner).gradients(tokensFor(undefined), objective, {
      ...{ hooks: names, activations: names, signal: context.signal },
    });
    for (const [kind, all] of scores) {
      const nodes = nodesIn(runner, kind);
      for (let layer = 0; layer < nLayers; layer += 1) {
        const name = `blocks.${layer}.${HOOKS[kind]}`;
        const [gradient, clean] = [run.gradients.get(name), run.activations.get(name)];
        if (gradient === undefined || clean === undefined) throw new Error(`${name} was not kept.`);
        const into = all.subarray(layer * nodes, (layer + 1) * nodes);
        addProducts(into, gradient.data, clean.data, corrupted.at(layer, HOOKS[kind]), widths[kind]);
      }
      await context.giveWay?.();
    }
  };
  const rows = task.items.length;
  let done = 0;
  for (const chunk of chunks) {
    await add(chunk);
    done += chunk.items.length;
    context.onProgress?.({ done, total: rows, label: 'Nodes' });
  }
  const means = new Map([...scores].map(([kind, sums]) => [kind, sums.map((sum) => sum / rows)]));
  return { scores: means, rows, passes: 4 };
}

interface Candidate {
  readonly node: NodeName;
  readonly layer: number;
  readonly kind: NodeKind;
  readonly score: number;
}

/** The strongest nodes, the strongest first. An MLP takes the place of its own neurons. */
export function strongestNodes(
  scores: ReadonlyMap<NodeKind, Float64Array>,
  nLayers: number,
  count: number,
): readonly { readonly node: NodeName; readonly effect: number }[] {
  const all = [...scores].flatMap(([kind, values]) => {
    const nodes = values.length / nLayers;
    return Array.from(values, (score, i): Candidate => {
      const [layer, index] = [Math.floor(i / nodes), i % nodes];
      const part =
        kind === 'heads'
          ? ({ kind: 'head', layer, head: index } as const)
          : kind === 'mlps'
            ? ({ kind: 'mlp', layer } as const)
            : ({ kind: 'neuron', layer, neuron: index } as const);
      return { node: nodeName(part), layer, kind, score };
    });
  });
  all.sort((a, b) => Math.abs(b.score) - Math.abs(a.score));
  let chosen: Candidate[] = [];
  for (const one of all) {
    if (one.kind === 'neurons' && chosen.some(({ kind, layer }) => kind === 'mlps' && layer === one.layer)) continue;
    if (one.kind === 'mlps') chosen = chosen.filter(({ kind, layer }) => kind !== 'neurons' || layer !== one.layer);
    chosen.push(one);
    if (chosen.length === count) break;
  }
  return chosen.map(({ node, score }) => ({ node, effect: score }));
}
