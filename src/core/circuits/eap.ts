import { MechanistError } from '../../shared/errors.ts';
import type { AnswerTarget, MetricSpec } from '../../shared/metric.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import { backwardOf, checkFirstOrder } from '../analyses/attributionPatch.ts';
import type { Objective } from '../engine/backward/objective.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { EdgeStack } from '../engine/sweeps/edgeStack.ts';
import { type Chunk, chunksOf, embedRows, tokensOf } from './ablationValues.ts';
import { EdgeGraph } from './edgeGraph.ts';

export interface EapOptions {
  readonly corruption: string;
  /** Not normalised; mean over a row's answers. */
  readonly metric: MetricSpec;
  /** Scores one answer of the data only. */
  readonly answer?: string;
  /** Steps of integrated gradients; absent: plain EAP, the gradient of the clean run. */
  readonly steps?: number;
  readonly memoryBytes: number;
}

export interface EdgeScores {
  readonly graph: EdgeGraph;
  /**
   * By edge, in units of the metric, mean over rows: what the edge does by the estimate, i.e. the metric of the clean run less
   * that with the edge corrupted.
   */
  readonly scores: Float64Array;
  readonly rows: number;
  /**
   * Forward passes of all rows, the backward pass counted as 2 and the products of gradients and differences by their
   * multiplications.
   */
  readonly passes: number;
}

/** Bytes of a row and position that EAP holds: differences of all writers, gradients and activations. */
function bytesPerPosition({ config }: ModelRunner, graph: EdgeGraph): number {
  const { nLayers, nHeads, nKeyValueHeads, dHead, dModel } = config;
  const heads = (2 * nHeads + 2 * nKeyValueHeads) * dHead;
  const perLayer = 2 * heads + 5 * dModel;
  return 4 * ((graph.writers + 4 * graph.attentionReaders) * dModel + nLayers * perLayer);
}

/** Multiplications of the score products of one position, over those of one forward pass. */
function productShare({ config }: ModelRunner, graph: EdgeGraph): number {
  const { nLayers, nHeads, nKeyValueHeads, dHead, dModel, dMlp, mlp } = config;
  const block = dModel * dHead * (2 * nHeads + 2 * nKeyValueHeads) + (mlp.gated ? 3 : 2) * dModel * dMlp;
  const scores = graph.readers.reduce((sum, { upstream }) => sum + upstream * dModel, 0);
  // Heads' outputs, and each of q, k and v forth and back.
  const maps = nLayers * dModel * dHead * (nHeads + 2 * (nHeads + 2 * nKeyValueHeads));
  return (scores + maps) / (nLayers * block);
}

/** Where the stream that an MLP reads stands. */
function beforeMlp({ config }: ModelRunner): 'hook_resid_pre' | 'hook_resid_mid' {
  return config.parallelResidual ? 'hook_resid_pre' : 'hook_resid_mid';
}

/** Gradients and activations of one run, by hook. */
interface GradientRun {
  readonly gradient: (name: string) => Float32Array;
  readonly activation: (name: string) => Float32Array;
}

/** One group of rows: what its writers add in the clean run less in the corrupted run, and the gradients' hooks. */
class ChunkScores {
  private readonly size: number;

  constructor(
    private readonly runner: ModelRunner,
    private readonly stack: EdgeStack,
    private readonly graph: EdgeGraph,
    private readonly chunk: Chunk,
    private readonly scores: Float64Array,
    /** Room for the differences: `[writers, items · pos · d_model]` of this or a larger group. */
    private readonly deltas: Float32Array,
    private readonly context: ClimbContext,
  ) {
    this.size = chunk.items.length * chunk.count * runner.config.dModel;
  }

  private get shape() {
    return { items: this.chunk.items.length, count: this.chunk.count };
  }

  private row(writer: number, writers = 1): Float32Array {
    return this.deltas.subarray(writer * this.size, (writer + writers) * this.size);
  }

  /** Clean − corrupted outputs of every writer, from z, mlp_out and the embedded prompts of both runs. */
  async difference(
    embedded: readonly [clean: Float32Array, corrupted: Float32Array],
    clean: (layer: number, hook: 'attn.hook_z' | 'hook_mlp_out') => Float32Array,
    corrupted: BaseRun,
  ): Promise<void> {
    const { nLayers, nHeads } = this.runner.config;
    const subtract = (into: Float32Array, a: Float32Array, b: Float32Array) => {
      for (let i = 0; i < into.length; i += 1) into[i] = a[i] - b[i];
    };
    subtract(this.row(0), ...embedded);
    for (let layer = 0; layer < nLayers; layer += 1) {
      const first = this.graph.firstWriter(layer);
      const standIn = { count: this.chunk.items.length, data: corrupted.at(layer, 'attn.hook_z') };
      const z = clean(layer, 'attn.hook_z');
      await this.stack.headDeltas(layer, { ...this.shape, z, standIn }, this.row(first, nHeads), this.context);
      subtract(this.row(first + nHeads), clean(layer, 'hook_mlp_out'), corrupted.at(layer, 'hook_mlp_out'));
    }
  }

  /** Adds gradient · difference of every edge, times `weight`. */
  async add({ gradient, activation }: GradientRun, weight: number): Promise<void> {
    const { nLayers } = this.runner.config;
    const { graph, stack, context, shape } = this;
    for (let layer = 0; layer < nLayers; layer += 1) {
      const at = (hook: string) => gradient(`blocks.${layer}.${hook}`);
      const readers = graph.readers.slice(graph.firstReader(layer), graph.firstReader(layer + 1));
      const writers = readers[readers.length - 1].upstream;
      const own = {
        ...{ ...shape, x: activation(`blocks.${layer}.hook_resid_pre`), deltas: this.row(0, writers) },
        ...{ q: at('attn.hook_q'), k: at('attn.hook_k'), v: at('attn.hook_v') },
        ...{ before: at(beforeMlp(this.runner)), after: at('hook_resid_post') },
      };
      const scores = await stack.scores(layer, own, context);
      // Heads do not read their own layer: those columns are for the MLP alone.
      readers.forEach(({ firstEdge, upstream }, r) => {
        for (let w = 0; w < upstream; w += 1) this.scores[firstEdge + w] += weight * scores[w * readers.length + r];
      });
      await context.giveWay?.();
    }
    this.addLogits(gradient(`blocks.${nLayers - 1}.hook_resid_post`), weight);
  }

  /** The logits read at the answers only: their gradient is 0 everywhere else. */
  private addLogits(gradient: Float32Array, weight: number): void {
    const { dModel } = this.runner.config;
    const { firstEdge, upstream } = this.graph.readers[this.graph.readers.length - 1];
    const { items, count } = this.shape;
    for (let item = 0; item < items; item += 1) {
      for (const position of this.chunk.positions) {
        const at = (item * count + position) * dModel;
        for (let writer = 0; writer < upstream; writer += 1) {
          let sum = 0;
          const from = writer * this.size + at;
          for (let i = 0; i < dModel; i += 1) sum += gradient[at + i] * this.deltas[from + i];
          this.scores[firstEdge + writer] += weight * sum;
        }
      }
    }
  }
}

/** What is differentiated: the metric at the answers of a chunk's rows. */
export function objectiveOf(
  task: TaskSet,
  chunk: Chunk,
  { metric, answer }: Pick<EapOptions, 'metric' | 'answer'>,
  reference: Extract<Objective, { kind: 'metric' }>['reference'],
): Objective {
  const targets = chunk.items.map((item): AnswerTarget[] => {
    const own = task.items[item].answers.filter(({ name }) => answer === undefined || name === answer);
    if (own.length > 0) return own;
    throw new MechanistError('bad-input', `Row ${task.items[item].id} has no answer "${answer}".`, { answer });
  });
  return { kind: 'metric', metric, targets, reference };
}

/** Clean logits at the answers, for the divergence from the clean run. */
async function referenceOf(runner: ModelRunner, chunk: Chunk, tokens: readonly Int32Array[], { metric }: EapOptions) {
  if (metric.kind !== 'kl') return undefined;
  const { data } = await runner.logits(tokens, { positions: chunk.positions });
  const { dVocab } = runner.config;
  return (item: number, position: number) => {
    const at = (item * chunk.positions.length + chunk.positions.indexOf(position)) * dVocab;
    return data.subarray(at, at + dVocab);
  };
}

async function scoreChunk(
  runner: ModelRunner,
  task: TaskSet,
  chunk: Chunk,
  options: EapOptions,
  into: ChunkScores,
  context: ClimbContext,
): Promise<void> {
  const { config } = runner;
  const { signal } = context;
  const tokens = chunk.items.map((item) => tokensOf(task.items[item], undefined));
  const others = chunk.items.map((item) => tokensOf(task.items[item], options.corruption));
  const kept = { hooks: ['attn.hook_z', 'hook_mlp_out'] as const, keysValues: false, residuals: false };
  const corrupted = await BaseRun.run(runner, others, kept, context);
  const objective = objectiveOf(task, chunk, options, await referenceOf(runner, chunk, tokens, options));
  const layers = Array.from({ length: config.nLayers }, (_, layer) => layer);
  const named = (hooks: readonly string[]) => layers.flatMap((layer) => hooks.map((hook) => `blocks.${layer}.${hook}`));
  const hooks = named(['attn.hook_q', 'attn.hook_k', 'attn.hook_v', beforeMlp(runner), 'hook_resid_post']);
  const gradientsAt = async (residual: Float32Array | null, outputs: readonly string[]): Promise<GradientRun> => {
    const activations = named(['hook_resid_pre', ...outputs]);
    const dims = [chunk.items.length, chunk.count, config.dModel];
    const start = residual === null ? {} : { residual: { dims, data: residual } };
    const found = await backwardOf(runner).gradients(tokens, objective, { hooks, activations, signal, ...start });
    const reader = (from: ReadonlyMap<string, PackedArray>) => (name: string) => {
      const array = from.get(name);
      if (array === undefined) throw new Error(`${name} was not kept.`);
      return array.data;
    };
    return { gradient: reader(found.gradients), activation: reader(found.activations) };
  };
  const outputs = ['attn.hook_z', 'hook_mlp_out'];
  const embedded = [await embedRows(runner, tokens), await embedRows(runner, others)] as const;
  const { steps } = options;
  if (steps === undefined) {
    const run = await gradientsAt(null, outputs);
    await into.difference(embedded, (layer, hook) => run.activation(`blocks.${layer}.${hook}`), corrupted);
    await into.add(run, 1);
    return;
  }
  const clean = await BaseRun.run(runner, tokens, kept, context);
  await into.difference(embedded, (layer, hook) => clean.at(layer, hook), corrupted);
  for (let step = 1; step <= steps; step += 1) {
    const share = step / steps;
    const between = embedded[1].map((value, i) => value + share * (embedded[0][i] - value));
    await into.add(await gradientsAt(between, []), 1 / steps);
  }
}

/**
 * Edge attribution patching (Syed et al. 2310.10348): what corrupting each edge would do to the metric, to first order: the
 * difference of the writer's clean and corrupted outputs times the gradient at the reader's own input. Two forward passes and
 * one backward pass of the clean run, and the products: by their multiplications 0.8 of a forward pass for SmolLM2-135M, by CPU
 * time on one thread (100 prompts of 14 tokens) with all reading and copying 2.0.
 * With `steps` EAP-IG (Hanna et al. 2403.17806, eq. 3): the gradient is the mean over runs whose embedded prompts lie k/steps,
 * k = 1 … steps, of the way from corrupted to clean (the authors' program takes k = 0 … steps − 1). Each step costs a forward
 * and a backward pass.
 * @throws MechanistError `bad-input` for a metric without a gradient there, a missing corruption or answer; `cancelled`
 */
export async function edgeAttribution(
  runner: ModelRunner,
  task: TaskSet,
  options: EapOptions,
  context: ClimbContext = {},
): Promise<EdgeScores> {
  const { steps, metric, memoryBytes } = options;
  checkFirstOrder(metric, steps === undefined ? 'clean' : 'corrupted');
  const graph = new EdgeGraph(runner.config);
  const stack = new EdgeStack(runner);
  const scores = new Float64Array(graph.edges);
  const perPosition = bytesPerPosition(runner, graph);
  const chunks = chunksOf(task, (count) => Math.floor(memoryBytes / (perPosition * count)));
  const total = task.items.length;
  const positions = Math.max(...chunks.map(({ items, count }) => items.length * count));
  const deltas = new Float32Array(graph.writers * positions * runner.config.dModel);
  let done = 0;
  try {
    for (const chunk of chunks) {
      const into = new ChunkScores(runner, stack, graph, chunk, scores, deltas, context);
      await scoreChunk(runner, task, chunk, options, into, context);
      done += chunk.items.length;
      context.onProgress?.({ done, total, label: 'Edges' });
    }
  } finally {
    await stack.release();
  }
  const runs = steps ?? 1;
  const forwards = steps === undefined ? 2 : 2 + steps + (metric.kind === 'kl' ? 1 : 0);
  return {
    graph,
    scores: scores.map((value) => value / total),
    rows: total,
    passes: forwards + runs * (2 + productShare(runner, graph)),
  };
}
