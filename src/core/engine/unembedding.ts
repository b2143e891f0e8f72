import type { PackedArray } from '../../shared/packedArray.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { ModelWeights } from '../models/modelWeights.ts';
import {
  type Feeds,
  floatTensor,
  integerTensor,
  type Output,
  type SessionKind,
  type SessionPool,
} from './sessionPool.ts';
import { buildUnembedGraph } from './unembedGraph.ts';
import type { WeightFiles } from './weightFiles.ts';

/** The most likely entries of each row. */
export interface TopLogits {
  /** `[rows][k]`, largest first. */
  readonly ids: readonly (readonly number[])[];
  readonly logits: readonly (readonly number[])[];
  /** `[rows]`: log of the softmax denominator; logprob = logit − logSumExp. */
  readonly logSumExp: readonly number[];
}

/** Logits in one run, in numbers: bounds the memory of lenses over many rows. */
const MAX_LOGITS = 2 << 20;

/** From the output of the final norm `[rows, d_model]` to logits: all of them, chosen columns, or the best k. */
export class Unembedding {
  private readonly kind: SessionKind;
  /** Memory for logits and log-probabilities of one piece; grows to `MAX_LOGITS` each at most. */
  private tables = [new Float32Array(0), new Float32Array(0)];

  constructor(
    private readonly config: ModelConfig,
    private readonly weights: ModelWeights,
    private readonly pool: SessionPool,
    private readonly files: WeightFiles,
  ) {
    this.kind = { name: 'unembed', packed: true, build: () => buildUnembedGraph(config, weights.unembed) };
  }

  prepare(): Promise<void> {
    return this.pool.prepare(this.kind, 0);
  }

  /**
   * Runs the rows in pieces. The two tables of `[rows, d_vocab]` are written into memory that is kept: left to the
   * allocator, they tear holes that small arrays settle in, and the process grows with every run.
   */
  private async inPieces(
    normed: Float32Array,
    feeds: Feeds,
    outputs: readonly string[],
    signal: AbortSignal | undefined,
    take: (piece: Record<string, Output>, firstRow: number, rows: number) => void,
  ): Promise<void> {
    const { dModel, dVocab } = this.config;
    const rows = normed.length / dModel;
    const step = Math.max(1, Math.floor(MAX_LOGITS / dVocab));
    const needed = Math.min(step, rows) * dVocab;
    if (this.tables.some((table) => table.length < needed)) {
      this.tables = this.tables.map(() => new Float32Array(needed));
    }
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const x = floatTensor(normed.subarray(first * dModel, (first + count) * dModel), [count, dModel]);
      const [logits, logprobs] = this.tables.map((table) =>
        floatTensor(table.subarray(0, count * dVocab), [count, dVocab]),
      );
      const options = { signal, into: { logits, logprobs } };
      const piece = await this.pool.run(this.kind, 0, { ...feeds, normed: x }, outputs, options);
      take({ ...piece, logits: { dims: [count, dVocab], data: this.tables[0] } }, first, count);
    }
  }

  /** All logits `[rows, d_vocab]`, or those of `columns` only, `[rows, columns]`. */
  async logits(normed: Float32Array, columns?: readonly number[], signal?: AbortSignal): Promise<PackedArray> {
    const name = columns === undefined ? 'logits' : 'columnLogits';
    const width = columns?.length ?? this.config.dVocab;
    const rows = normed.length / this.config.dModel;
    const data = new Float32Array(rows * width);
    const feeds = { columns: integerTensor(columns ?? [0]), k: integerTensor([1]) };
    await this.inPieces(normed, feeds, [name], signal, (piece, first, count) => {
      data.set((piece[name].data as Float32Array).subarray(0, count * width), first * width);
    });
    return { dims: [rows, width], data };
  }

  /** The k largest logits of each row, the softmax denominator, and the logits of chosen columns `[rows][columns]`. */
  async top(
    normed: Float32Array,
    k: number,
    columns: readonly number[] = [],
    signal?: AbortSignal,
  ): Promise<TopLogits & { readonly columns: readonly (readonly number[])[] }> {
    const size = Math.min(k, this.config.dVocab);
    // The graph wants at least one column; what it returns for it is dropped.
    const feeds = { columns: integerTensor(columns.length === 0 ? [0] : columns), k: integerTensor([size]) };
    const names = ['topLogits', 'topIds', 'logSumExp', 'columnLogits'];
    const result = {
      ids: [] as number[][],
      logits: [] as number[][],
      logSumExp: [] as number[],
      columns: [] as number[][],
    };
    await this.inPieces(normed, feeds, names, signal, (piece, _first, rows) => {
      const width = piece.columnLogits.dims[1];
      for (let row = 0; row < rows; row += 1) {
        const best = [row * size, (row + 1) * size] as const;
        result.ids.push(Array.from(piece.topIds.data.slice(...best), Number));
        result.logits.push(Array.from(piece.topLogits.data.slice(...best), Number));
        result.logSumExp.push(Number(piece.logSumExp.data[row]));
        const own = Array.from(piece.columnLogits.data.slice(row * width, (row + 1) * width), Number);
        result.columns.push(own.slice(0, columns.length));
      }
    });
    return result;
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
