import type { AblationValue, CircuitScope } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { BaseRun } from '../engine/sweeps/baseRun.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { type LayerMask, type MaskBase, MaskedStack } from '../engine/sweeps/maskedStack.ts';
import { type Chunk, chunksOf, resampleValues, type StandIns, sharedValues, tokensOf } from './ablationValues.ts';
import { ChunkCache } from './chunkCache.ts';
import { type CircuitMetric, emptyScores, type Scores } from './circuitMetric.ts';
import { NeuronValues } from './neuronValues.ts';
import type { Scorer, Selection } from './selection.ts';

/** Most rows that are run together. */
const MAX_ITEMS = 256;

interface ScorerOptions {
  readonly ablation: AblationValue;
  readonly scope: Exclude<CircuitScope, 'edges'>;
  readonly memoryBytes: number;
}

/** Equal for equal choices of parts. */
function keyOf(values: Uint8Array, places: (i: number) => readonly string[]): string {
  return `${values.join('')} ${Array.from(values, (value, i) => (value > 1 ? places(i).join() : '')).join(';')}`;
}

/** Where in a row something acts: the positions of a role, or a position by its number from 0. */
function placesOf(item: TaskItem, names: readonly string[]): number[] {
  return names.flatMap((name) => {
    const role = item.roles[name];
    if (role !== undefined) return [...role];
    const position = Number(name);
    if (/^\d+$/.test(name) && position < item.ids.length) return [position];
    const known = Object.keys(item.roles);
    throw new MechanistError(
      'bad-input',
      `Row ${item.id} has no role or position "${name}". Its roles: ${known.length === 0 ? 'none' : known.join(', ')}.`,
      { role: name },
    );
  });
}

/**
 * Scores circuits of heads, MLPs and single neurons. Holds the clean runs and what stands in, as far as memory allows, so that a question
 * costs only the layers from the first replaced node on. Making it costs one forward pass of the data, and one for means.
 */
export class NodeScorer implements Scorer {
  private readonly stack: MaskedStack;
  private readonly chunks: readonly Chunk[];
  private readonly bases: ChunkCache<MaskBase>;
  private readonly neurons: NeuronValues;
  private shared: ((count: number) => StandIns) | null = null;
  private basePositions = 0;
  private readonly positions: number;

  private constructor(
    private readonly runner: ModelRunner,
    private readonly task: TaskSet,
    private readonly metric: CircuitMetric,
    private readonly options: ScorerOptions,
  ) {
    this.stack = new MaskedStack(runner, options.scope === 'heads+mlps');
    this.chunks = chunksOf(task, (count) =>
      Math.min(MAX_ITEMS, Math.floor(options.memoryBytes / 4 / this.bytesOf(count))),
    );
    this.neurons = new NeuronValues(runner, task, this.chunks, options.ablation);
    const bytesOf = (count: number) => this.bytesOf(count);
    this.bases = new ChunkCache((chunk, signal) => this.run(chunk, signal), bytesOf, options.memoryBytes / 2);
    this.positions = task.items.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  static async create(
    runner: ModelRunner,
    task: TaskSet,
    metric: CircuitMetric,
    options: ScorerOptions,
    context: ClimbContext,
  ): Promise<NodeScorer> {
    const scorer = new NodeScorer(runner, task, metric, options);
    const { ablation } = options;
    if (ablation.kind !== 'resample') {
      scorer.shared = await sharedValues(runner, task, scorer.chunks, ablation, context);
      if (ablation.kind === 'mean') scorer.basePositions += scorer.positions;
    }
    for (const chunk of scorer.chunks) await scorer.bases.get(chunk, context.signal);
    return scorer;
  }

  get blocks(): number {
    return (this.basePositions + this.neurons.positions) * this.runner.config.nLayers + this.stack.blockPositions;
  }

  /** Bytes that the clean run of one row holds, and its replacements. */
  private bytesOf(count: number): number {
    const { nLayers, dModel, nHeads, dHead } = this.runner.config;
    const own = this.options.ablation.kind === 'resample' ? dModel + nHeads * dHead : 0;
    return 4 * count * ((nLayers + 1) * dModel + nLayers * own);
  }

  private async run(chunk: Chunk, signal: AbortSignal | undefined): Promise<MaskBase> {
    const context = { signal };
    const { runner, task, shared } = this;
    const { ablation } = this.options;
    const tokens = chunk.items.map((item) => tokensOf(task.items[item], undefined));
    const clean = await BaseRun.run(runner, tokens, { hooks: [], keysValues: false, residuals: true }, context);
    this.basePositions += chunk.items.length * chunk.count;
    let standIns = shared?.(chunk.count) ?? null;
    if (ablation.kind === 'resample') {
      standIns = await resampleValues(runner, task, chunk, ablation.corruption, context);
      this.basePositions += chunk.items.length * chunk.count;
    }
    if (standIns === null) throw new Error('What stands in was not made.');
    const { layer: values } = standIns;
    const base = { items: chunk.items.length, count: chunk.count, residual: (l: number) => clean.residual(l), values };
    if (this.metric.needsReference) {
      const masks = [this.masks(chunk, { keep: new Uint8Array(runner.config.nLayers * this.stride).fill(1) })];
      const [rows] = await this.stack.run(base, masks, chunk.positions, context);
      await this.metric.remember(chunk.items, rows, chunk.positions);
    }
    return base;
  }

  private get stride(): number {
    return this.runner.config.nHeads + 1;
  }

  private masks(chunk: Chunk, selection: Selection): LayerMask[] {
    return Array.from({ length: this.runner.config.nLayers }, (_, layer) => this.mask(chunk, selection, layer));
  }

  private mask(chunk: Chunk, { keep, at, neurons }: Selection, layer: number): LayerMask {
    const { stride } = this;
    const first = layer * stride;
    const own = keep.subarray(first, first + stride);
    const places = (i: number) => at?.get(first + i) ?? [];
    const choice = neurons?.get(layer);
    const key = [keyOf(own, places), ...(choice ? [keyOf(choice.keep, (i) => choice.at.get(i) ?? [])] : [])].join(' ');
    const everywhere = (values: Uint8Array) => values.every((value) => value < 2);
    if (everywhere(own) && (choice === undefined || everywhere(choice.keep))) {
      const all = choice === undefined && own.every((value) => value === 1);
      return { key, all, keep: own, items: 1, positions: 1, ...(choice && { neurons: choice.keep }) };
    }
    return {
      ...{ key, all: false, items: chunk.items.length, positions: chunk.count },
      keep: this.byPosition(chunk, own, places),
      ...(choice && { neurons: this.byPosition(chunk, choice.keep, (i) => choice.at.get(i) ?? []) }),
    };
  }

  /** `[items, pos, parts]`: 1 where a part is kept. */
  private byPosition(
    { items, count }: Chunk,
    values: Uint8Array,
    places: (i: number) => readonly string[],
  ): Uint8Array {
    const width = values.length;
    const rows = new Uint8Array(items.length * count * width);
    const usual = values.map((value) => (value === 1 || value === 3 ? 1 : 0));
    for (let row = 0; row < items.length * count; row += 1) rows.set(usual, row * width);
    values.forEach((value, i) => {
      if (value < 2) return;
      items.forEach((item, row) => {
        for (const position of placesOf(this.task.items[item], places(i))) {
          rows[(row * count + position) * width + i] = value === 2 ? 1 : 0;
        }
      });
    });
    return rows;
  }

  /** The clean run and what stands in, for neurons too where a selection names some. */
  private async baseFor(chunk: Chunk, selections: readonly Selection[], { signal }: ClimbContext): Promise<MaskBase> {
    const base = await this.bases.get(chunk, signal);
    const layers = [...new Set(selections.flatMap(({ neurons }) => [...(neurons?.keys() ?? [])]))];
    if (layers.length === 0) return base;
    const post = await this.neurons.of(chunk, layers, { signal });
    return { ...base, values: (layer) => ({ ...base.values(layer), post: post.get(layer) }) };
  }

  async scores(selections: readonly Selection[], context: ClimbContext): Promise<Scores[]> {
    const { task, chunks } = this;
    const result = selections.map(() => emptyScores(task.items.length, task.answerNames.length));
    // Neighbours in this order share the most layers.
    const order = selections
      .map(({ keep }, i) => ({ key: keep.join(''), i }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ i }) => i);
    let done = 0;
    const total = selections.length * chunks.length;
    for (const chunk of chunks) {
      const base = await this.baseFor(chunk, selections, context);
      const perCircuit = 12 * chunk.items.length * chunk.count * this.runner.config.dModel;
      const step = Math.max(1, Math.floor(this.options.memoryBytes / 4 / perCircuit));
      for (let first = 0; first < order.length; first += step) {
        const some = order.slice(first, first + step);
        const masks = some.map((i) => this.masks(chunk, selections[i]));
        const rows = await this.stack.run(base, masks, chunk.positions, context);
        for (const [j, i] of some.entries()) {
          await this.metric.score(chunk.items, rows[j], chunk.positions, result[i], context.signal);
        }
        done += some.length;
        context.onProgress?.({ done, total, label: 'Circuits' });
      }
    }
    return result;
  }

  async release(): Promise<void> {
    this.bases.clear();
    this.neurons.clear();
    await this.stack.release();
  }
}
