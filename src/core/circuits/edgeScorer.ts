import type { AblationValue } from '../../shared/circuit.ts';
import { throwIfCancelled } from '../../shared/errors.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { EdgeStack } from '../engine/sweeps/edgeStack.ts';
import {
  type Chunk,
  chunksOf,
  embedRows,
  resampleValues,
  type StandIns,
  sharedValues,
  tokensOf,
} from './ablationValues.ts';
import { ChunkCache } from './chunkCache.ts';
import { type CircuitMetric, emptyScores, type Scores } from './circuitMetric.ts';
import type { EdgeGraph, Reader } from './edgeGraph.ts';
import type { Scorer, Selection } from './selection.ts';

interface ScorerOptions {
  readonly ablation: AblationValue;
  readonly memoryBytes: number;
}

/** The clean run of some rows, and what stands in. */
interface Base {
  readonly clean: BaseRun;
  readonly embedded: Float32Array;
  readonly standIns: StandIns;
}

/** What writers add less what would stand in for them, `[writers, items · pos · d_model]`. */
interface Deltas {
  readonly chunk: Chunk;
  readonly data: Float32Array;
  /** Writers of layers before this one are as in the clean run; −1: not even the embedding. */
  cleanUpTo: number;
}

/**
 * Scores circuits of edges (as auto-circuit and EAP-IG evaluate them): in the run of a circuit each reader reads the sum of all
 * writers of that run, in which a removed writer is replaced by what stands in for it. Layers below the first reader with a
 * removed edge are taken from the clean run.
 */
export class EdgeScorer implements Scorer {
  private readonly stack: EdgeStack;
  private readonly chunks: readonly Chunk[];
  private readonly bases: ChunkCache<Base>;
  private shared: ((count: number) => StandIns) | null = null;
  private deltas: Deltas | null = null;
  private blockPositions = 0;
  private readonly positions: number;

  private constructor(
    private readonly runner: ModelRunner,
    private readonly task: TaskSet,
    private readonly metric: CircuitMetric,
    private readonly graph: EdgeGraph,
    private readonly options: ScorerOptions,
  ) {
    this.stack = new EdgeStack(runner);
    const { memoryBytes } = options;
    // The deltas, and in a run as much again for the readers' inputs of a layer.
    const perPosition = 4 * (graph.writers + 3 * graph.attentionReaders) * runner.config.dModel;
    this.chunks = chunksOf(task, (count) => Math.floor(memoryBytes / 2 / (perPosition * count)));
    const bytesOf = (count: number) => this.bytesOf(count);
    this.bases = new ChunkCache((chunk, signal) => this.run(chunk, signal), bytesOf, memoryBytes / 2);
    this.positions = task.items.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  static async create(
    runner: ModelRunner,
    task: TaskSet,
    metric: CircuitMetric,
    graph: EdgeGraph,
    options: ScorerOptions,
    context: ClimbContext,
  ): Promise<EdgeScorer> {
    const scorer = new EdgeScorer(runner, task, metric, graph, options);
    const { ablation } = options;
    if (ablation.kind !== 'resample') {
      scorer.shared = await sharedValues(runner, task, scorer.chunks, ablation, context);
      if (ablation.kind === 'mean') scorer.blockPositions += scorer.positions * runner.config.nLayers;
    }
    for (const chunk of scorer.chunks) await scorer.bases.get(chunk, context.signal);
    return scorer;
  }

  get blocks(): number {
    return this.blockPositions;
  }

  /** Bytes that one row's clean run and replacements hold. */
  private bytesOf(count: number): number {
    const { nLayers, dModel, nHeads, dHead } = this.runner.config;
    const outputs = (dModel + nHeads * dHead) * (this.options.ablation.kind === 'resample' ? 2 : 1);
    return 4 * count * ((nLayers + 2) * dModel + nLayers * outputs);
  }

  private async run(chunk: Chunk, signal: AbortSignal | undefined): Promise<Base> {
    const { runner, task } = this;
    const { ablation } = this.options;
    const kept = { hooks: ['attn.hook_z', 'hook_mlp_out'] as const, keysValues: false, residuals: true };
    const tokens = chunk.items.map((item) => tokensOf(task.items[item], undefined));
    const clean = await BaseRun.run(runner, tokens, kept, { signal });
    const all = chunk.items.length * chunk.count * runner.config.nLayers;
    this.blockPositions += all;
    let standIns = this.shared?.(chunk.count) ?? null;
    if (ablation.kind === 'resample') {
      standIns = await resampleValues(runner, task, chunk, ablation.corruption, { signal });
      this.blockPositions += all;
    }
    if (standIns === null) throw new Error('What stands in was not made.');
    const final = this.answerRows(chunk, clean.residual(runner.config.nLayers));
    await this.metric.remember(chunk.items, final, chunk.positions);
    return { clean, embedded: await embedRows(runner, tokens), standIns };
  }

  private size({ items, count }: Chunk): number {
    return items.length * count * this.runner.config.dModel;
  }

  private answerRows(chunk: Chunk, x: Float32Array): Float32Array {
    const { dModel } = this.runner.config;
    const result = new Float32Array(chunk.items.length * chunk.positions.length * dModel);
    chunk.items.forEach((_, item) => {
      chunk.positions.forEach((position, i) => {
        const at = (item * chunk.count + position) * dModel;
        result.set(x.subarray(at, at + dModel), (item * chunk.positions.length + i) * dModel);
      });
    });
    return result;
  }

  /** Fills in the clean deltas of all writers before `layer`. */
  private async cleanDeltas(chunk: Chunk, base: Base, layer: number, context: ClimbContext): Promise<Deltas> {
    const { graph } = this;
    const { nHeads } = this.runner.config;
    const size = this.size(chunk);
    if (this.deltas?.chunk !== chunk) {
      const data = new Float32Array(graph.writers * size);
      this.deltas = { chunk, data, cleanUpTo: -1 };
    }
    const { deltas } = this;
    const rows = (first: number, count = 1) => deltas.data.subarray(first * size, (first + count) * size);
    if (deltas.cleanUpTo < 0) {
      subtract(rows(0), base.embedded, base.standIns.embedding.data);
      deltas.cleanUpTo = 0;
    }
    for (; deltas.cleanUpTo < layer; deltas.cleanUpTo += 1) {
      const at = deltas.cleanUpTo;
      const { count, z, mlp } = base.standIns.layer(at);
      const first = graph.firstWriter(at);
      const own = { items: chunk.items.length, count: chunk.count, z: base.clean.at(at, 'attn.hook_z') };
      await this.stack.headDeltas(at, { ...own, standIn: { count, data: z } }, rows(first, nHeads), context);
      subtract(rows(first + nHeads), base.clean.at(at, 'hook_mlp_out'), mlp);
    }
    return deltas;
  }

  /** `[readers, writers]`: 1 where the edge is not kept. */
  private removed(keep: Uint8Array, readers: readonly Reader[]): Float32Array {
    const [{ upstream }] = readers;
    const result = new Float32Array(readers.length * upstream);
    readers.forEach(({ firstEdge }, r) => {
      for (let writer = 0; writer < upstream; writer += 1) {
        result[r * upstream + writer] = keep[firstEdge + writer] === 0 ? 1 : 0;
      }
    });
    return result;
  }

  /** Final stream as the logits read it, at the answers: `[items, answers, d_model]`. */
  private async circuit(chunk: Chunk, base: Base, keep: Uint8Array, context: ClimbContext): Promise<Float32Array> {
    const { graph } = this;
    const { nLayers, nHeads, parallelResidual } = this.runner.config;
    const from = graph.readers.find(
      ({ firstEdge, upstream }) => !keep.subarray(firstEdge, firstEdge + upstream).every(Boolean),
    );
    if (from === undefined) return this.answerRows(chunk, base.clean.residual(nLayers));
    const deltas = await this.cleanDeltas(chunk, base, from.layer, context);
    const [size, shape] = [this.size(chunk), { items: chunk.items.length, count: chunk.count }];
    const rows = (first: number, count: number) => deltas.data.subarray(first * size, (first + count) * size);
    let x = base.clean.residual(from.layer);
    deltas.cleanUpTo = Math.min(deltas.cleanUpTo, from.layer);
    for (let layer = from.layer; layer < nLayers; layer += 1) {
      throwIfCancelled(context.signal);
      await context.giveWay?.();
      const readers = graph.readers.slice(graph.firstReader(layer), graph.firstReader(layer + 1));
      const [attention, mlp] = [readers.slice(0, -1), readers.slice(-1)];
      const standIn = base.standIns.layer(layer);
      const before = rows(0, attention[0].upstream);
      const reads = { ...shape, x, deltas: before, removed: this.removed(keep, attention) };
      const first = graph.firstWriter(layer);
      const own = { count: standIn.count, data: standIn.z };
      const mid = await this.stack.attention(layer, { ...reads, standIn: own }, rows(first, nHeads), context);
      const mlpReads = {
        ...{ ...shape, x: parallelResidual ? x : mid, sum: mid, deltas: rows(0, mlp[0].upstream) },
        ...{ removed: this.removed(keep, mlp), standIn: { count: standIn.count, data: standIn.mlp } },
      };
      x = await this.stack.mlp(layer, mlpReads, rows(first + nHeads, 1), context);
      this.blockPositions += shape.items * shape.count;
    }
    return this.logitsInput(chunk, x, deltas.data, keep);
  }

  private logitsInput(chunk: Chunk, x: Float32Array, deltas: Float32Array, keep: Uint8Array): Float32Array {
    const { firstEdge, upstream } = this.graph.readers[this.graph.readers.length - 1];
    const result = this.answerRows(chunk, x);
    const size = this.size(chunk);
    for (let writer = 0; writer < upstream; writer += 1) {
      if (keep[firstEdge + writer] !== 0) continue;
      const own = this.answerRows(chunk, deltas.subarray(writer * size, (writer + 1) * size));
      for (let i = 0; i < result.length; i += 1) result[i] -= own[i];
    }
    return result;
  }

  async scores(selections: readonly Selection[], context: ClimbContext): Promise<Scores[]> {
    const { task, chunks } = this;
    const result = selections.map(() => emptyScores(task.items.length, task.answerNames.length));
    let done = 0;
    const total = selections.length * chunks.length;
    for (const chunk of chunks) {
      const base = await this.bases.get(chunk, context.signal);
      for (const [i, { keep }] of selections.entries()) {
        throwIfCancelled(context.signal);
        const rows = await this.circuit(chunk, base, keep, context);
        await this.metric.score(chunk.items, rows, chunk.positions, result[i], context.signal);
        done += 1;
        context.onProgress?.({ done, total, label: 'Circuits' });
      }
    }
    return result;
  }

  async release(): Promise<void> {
    this.bases.clear();
    this.deltas = null;
    await this.stack.release();
  }
}

/** into = own − other, where `other` may be one for all items. */
function subtract(into: Float32Array, own: Float32Array, other: Float32Array): void {
  for (let i = 0; i < into.length; i += 1) into[i] = own[i] - other[i % other.length];
}
