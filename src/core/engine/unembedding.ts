import type { PackedArray } from '../../shared/packedArray.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { ModelWeights } from '../models/modelWeights.ts';
import { floatTensor, integerTensor, type SessionKind, type SessionPool } from './sessionPool.ts';
import { buildRankGraph, buildUnembedGraph } from './unembedGraph.ts';
import type { WeightFiles } from './weightFiles.ts';

/** The most likely entries of each row. */
export interface TopLogits {
  /** `[rows][k]`, largest first. */
  readonly ids: readonly (readonly number[])[];
  readonly logits: readonly (readonly number[])[];
  /** `[rows]`: log of the softmax denominator; logprob = logit − logSumExp. */
  readonly logSumExp: readonly number[];
}

/** Logits of one piece that is ranked, in numbers: bounds the memory of lenses over many rows. */
const RANKED_LOGITS = 2 << 20;
/** Logits of one run, in numbers: the grain of cancelling. */
const RUN_LOGITS = 16 << 20;

/** From the output of the final norm `[rows, d_model]` to logits: all of them, chosen columns, or the best k. */
export class Unembedding {
  private readonly kind: SessionKind;
  private readonly rankKind: SessionKind;
  /** Memory for logits and log-probabilities of one ranked piece; grows to `RANKED_LOGITS` each at most. */
  private tables = [new Float32Array(0), new Float32Array(0)];

  constructor(
    private readonly config: ModelConfig,
    private readonly weights: ModelWeights,
    private readonly pool: SessionPool,
    private readonly files: WeightFiles,
  ) {
    this.kind = { name: 'unembed', packed: true, build: () => buildUnembedGraph(config, weights.unembed) };
    this.rankKind = { name: 'rank', packed: false, build: () => buildRankGraph(config) };
  }

  prepare(): Promise<void> {
    return this.pool.prepare(this.kind, 0);
  }

  /** Logits of `count` rows from `first` on, written into `table` `[count, d_vocab]`. */
  private async run(
    normed: Float32Array,
    first: number,
    count: number,
    table: Float32Array,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { dModel, dVocab } = this.config;
    const x = floatTensor(normed.subarray(first * dModel, (first + count) * dModel), [count, dModel]);
    const into = { logits: floatTensor(table, [count, dVocab]) };
    await this.pool.run(this.kind, 0, { normed: x }, ['logits'], { signal, into });
  }

  /** All logits `[rows, d_vocab]`, or those of `columns` only, `[rows, columns]`. */
  async logits(normed: Float32Array, columns?: readonly number[], signal?: AbortSignal): Promise<PackedArray> {
    const { dModel, dVocab } = this.config;
    const rows = normed.length / dModel;
    const width = columns?.length ?? dVocab;
    const data = new Float32Array(rows * width);
    const step = Math.max(1, Math.floor((columns === undefined ? RUN_LOGITS : RANKED_LOGITS) / dVocab));
    const table = columns === undefined ? null : this.tableOf(0, Math.min(step, rows) * dVocab);
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const logits = (table ?? data.subarray(first * dVocab)).subarray(0, count * dVocab);
      await this.run(normed, first, count, logits, signal);
      columns?.forEach((column, c) => {
        for (let row = 0; row < count; row += 1) data[(first + row) * width + c] = logits[row * dVocab + column];
      });
    }
    return { dims: [rows, width], data };
  }

  /**
   * Memory that is kept. Left to the allocator, tables of this size tear holes that small arrays settle in, and the process
   * grows with every run.
   */
  private tableOf(index: 0 | 1, length: number): Float32Array {
    if (this.tables[index].length < length) this.tables[index] = new Float32Array(length);
    return this.tables[index].subarray(0, length);
  }

  /** The k largest logits of each row, the softmax denominator, and the logits of chosen columns `[rows][columns]`. */
  async top(
    normed: Float32Array,
    k: number,
    columns: readonly number[] = [],
    signal?: AbortSignal,
  ): Promise<TopLogits & { readonly columns: readonly (readonly number[])[] }> {
    const { dModel, dVocab } = this.config;
    const size = Math.min(k, dVocab);
    const rows = normed.length / dModel;
    const result = {
      ids: [] as number[][],
      logits: [] as number[][],
      logSumExp: [] as number[],
      columns: [] as number[][],
    };
    const step = Math.max(1, Math.floor(RANKED_LOGITS / dVocab));
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const [logits, logprobs] = ([0, 1] as const).map((index) => this.tableOf(index, count * dVocab));
      await this.run(normed, first, count, logits, signal);
      const shape = [count, dVocab];
      const feeds = { logits: floatTensor(logits, shape), k: integerTensor([size]) };
      const into = { logprobs: floatTensor(logprobs, shape) };
      const names = ['topLogits', 'topIds', 'logSumExp', 'logprobs'];
      const ranked = await this.pool.run(this.rankKind, 0, feeds, names, { signal, into });
      for (let row = 0; row < count; row += 1) {
        const best = [row * size, (row + 1) * size] as const;
        result.ids.push(Array.from(ranked.topIds.data.slice(...best), Number));
        result.logits.push(Array.from(ranked.topLogits.data.slice(...best), Number));
        result.logSumExp.push(Number(ranked.logSumExp.data[row]));
        result.columns.push(columns.map((column) => logits[row * dVocab + column]));
      }
    }
    return result;
  }

  /** Mean of W_U over the vocabulary, `[d_model]`: what all logits have in common. Reads the whole matrix. */
  async meanDirection(): Promise<Float64Array> {
    const { weight, layout } = this.weights.unembed;
    const { dModel, dVocab } = this.config;
    const sums = new Float64Array(dModel);
    await this.files.stream(weight, (chunk, firstRow, rows) => {
      const width = chunk.length / rows;
      for (let i = 0; i < chunk.length; i += 1) {
        sums[layout === 'out_in' ? i % width : firstRow + Math.floor(i / width)] += chunk[i];
      }
    });
    return sums.map((sum) => sum / dVocab);
  }

  /** Σ weight × W_U[:, id], `[d_model]`, and the same sum of the unembedding's bias. */
  async direction(
    terms: readonly { readonly id: number; readonly weight: number }[],
  ): Promise<{ direction: Float64Array; bias: number }> {
    const { weight, layout, bias } = this.weights.unembed;
    const { dModel } = this.config;
    const direction = new Float64Array(dModel);
    const ids = terms.map((term) => term.id);
    if (layout === 'out_in') {
      const rows = await this.files.rows(weight, ids);
      terms.forEach((term, t) => {
        for (let i = 0; i < dModel; i += 1) direction[i] += term.weight * rows[t * dModel + i];
      });
    } else {
      await this.files.stream(weight, (chunk, firstRow, rows) => {
        for (let row = 0; row < rows; row += 1) {
          for (const term of terms)
            direction[firstRow + row] += term.weight * chunk[row * this.config.dVocab + term.id];
        }
      });
    }
    const biases = bias === null ? null : await this.files.rows({ ...bias, shape: [bias.shape[0], 1] }, ids);
    return { direction, bias: terms.reduce((sum, term, t) => sum + term.weight * (biases?.[t] ?? 0), 0) };
  }
}
