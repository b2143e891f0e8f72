import type { ModelConfig } from '../../models/modelConfig.ts';
import type { ModelWeights } from '../../models/modelWeights.ts';
import type { FinalNorm } from '../finalNorm.ts';
import { GraphBuilder, type GraphBytes, MICROSOFT } from '../graphBuilder.ts';
import { floatTensor, type SessionKind, type SessionPool } from '../sessionPool.ts';
import type { Unembedding } from '../unembedding.ts';
import type { WeightFiles } from '../weightFiles.ts';
import type { ObjectivePart } from './objective.ts';
import type { WeightSums } from './weightSums.ts';

/** Logits in one piece, in numbers: bounds the memory of metrics that read whole rows. */
const MAX_LOGITS = 4 << 20;

/** One row of the final residual stream that the objective reads, and what flows back to it. */
interface FinalRow {
  readonly item: number;
  readonly position: number;
  readonly parts: readonly ObjectivePart[];
  /** resid_post of the last layer `[d_model]`. */
  readonly residual: Float32Array;
  /** After the final norm `[d_model]`. */
  readonly normed: Float32Array;
  /** Gradient at the output of the final norm `[d_model]`. */
  readonly dNormed: Float64Array;
}

/** What flows back at one row of the last residual stream. */
export interface RowGradient {
  readonly item: number;
  readonly position: number;
  /** Gradient at resid_post of the last layer. `[d_model]` */
  readonly residual: Float64Array;
  /** Gradient at `ln_final.hook_normalized`. `[d_model]` */
  readonly normalized: Float64Array;
  /** Gradient at `ln_final.hook_scale`. */
  readonly scale: number;
}

/** Inputs `dLogits` `[rows, d_vocab]`, `normed` `[rows, d_model]`; output `dNormed`, or `dWeight` as stored. */
function buildUnembedBackward(
  config: ModelConfig,
  { unembed }: ModelWeights,
  wanted: 'dNormed' | 'dWeight',
): GraphBytes {
  const graph = new GraphBuilder(`unembed ${wanted}`);
  const dLogits = graph.input('dLogits', 'float32', ['rows', config.dVocab]);
  const rows = unembed.layout === 'in_out';
  if (wanted === 'dNormed') {
    const matrix = graph.weight(unembed.weight);
    const product = graph.op('FusedMatMul', [dLogits, matrix], { transB: rows ? 1 : 0 }, MICROSOFT);
    graph.output(product, 'dNormed', 'float32', ['rows', config.dModel]);
    return graph.finish();
  }
  const normed = graph.input('normed', 'float32', ['rows', config.dModel]);
  const operands = rows ? [normed, dLogits] : [dLogits, normed];
  const product = graph.op('FusedMatMul', operands, { transA: 1 }, MICROSOFT);
  graph.output(product, 'dWeight', 'float32', unembed.weight.shape);
  return graph.finish();
}

/** The way back from the objective through unembedding and final norm; few rows, so the norm is done in float64 here. */
export class FinalBackward {
  private readonly backKind: SessionKind;
  private readonly weightKind: SessionKind;

  constructor(
    private readonly config: ModelConfig,
    private readonly weights: ModelWeights,
    private readonly model: {
      readonly pool: SessionPool;
      readonly files: WeightFiles;
      readonly finalNorm: FinalNorm;
      readonly unembedding: Unembedding;
    },
  ) {
    const kind = (wanted: 'dNormed' | 'dWeight'): SessionKind => ({
      name: `unembed ${wanted}`,
      packed: false,
      build: () => buildUnembedBackward(config, weights, wanted),
    });
    this.backKind = kind('dNormed');
    this.weightKind = kind('dWeight');
  }

  /**
   * Values per item and the gradient at each row that some part reads. `residual` `[items, length, d_model]` holds items
   * `firstItem …`; `parts` are theirs. Gradients of final norm and unembedding go to `sums`.
   */
  async run(
    parts: readonly ObjectivePart[],
    residual: Float32Array,
    tile: { readonly firstItem: number; readonly items: number; readonly length: number },
    freezeScale: boolean,
    sums: WeightSums,
    signal?: AbortSignal,
  ): Promise<{ values: Float64Array; rows: RowGradient[] }> {
    const values = new Float64Array(tile.items);
    const rows = this.rows(parts, residual, tile);
    const add = (part: ObjectivePart, value: number) => {
      values[part.item - tile.firstItem] += value;
    };
    // The parts of one objective all read columns or all read whole rows.
    if (parts.some((part) => part.columns === null)) await this.wholeRows(rows, add, sums, signal);
    else await this.columns(rows, add, sums);
    return { values, rows: rows.map((row) => this.throughNorm(row, freezeScale, sums)) };
  }

  private rows(
    parts: readonly ObjectivePart[],
    residual: Float32Array,
    { firstItem, length }: { readonly firstItem: number; readonly length: number },
  ): FinalRow[] {
    const { dModel } = this.config;
    const byRow = new Map<number, ObjectivePart[]>();
    for (const part of parts) {
      const key = (part.item - firstItem) * length + part.position;
      byRow.set(key, [...(byRow.get(key) ?? []), part]);
    }
    return [...byRow].map(([key, own]) => {
      const row = residual.slice(key * dModel, (key + 1) * dModel);
      const { item, position } = own[0];
      const normed = this.model.finalNorm.apply(row);
      return { item, position, parts: own, residual: row, normed, dNormed: new Float64Array(dModel) };
    });
  }

  /** Columns of the unembedding and entries of its bias, by vocabulary entry. */
  private async readColumns(ids: readonly number[]) {
    const { weight, layout, bias } = this.weights.unembed;
    const { files, unembedding } = this.model;
    const { dModel } = this.config;
    const biases = bias === null ? null : await files.rows({ ...bias, shape: [bias.shape[0], 1] }, ids);
    const rows = layout === 'out_in' ? await files.rows(weight, ids) : null;
    const columns = new Map<number, { column: ArrayLike<number>; bias: number }>();
    for (const [i, id] of ids.entries()) {
      const column =
        rows?.subarray(i * dModel, (i + 1) * dModel) ?? (await unembedding.direction([{ id, weight: 1 }])).direction;
      columns.set(id, { column, bias: biases?.[i] ?? 0 });
    }
    return columns;
  }

  private async columns(rows: readonly FinalRow[], add: AddValue, sums: WeightSums): Promise<void> {
    const ids = [...new Set(rows.flatMap((row) => row.parts.flatMap((part) => part.columns ?? [])))];
    const columns = await this.readColumns(ids);
    const of = (id: number) => columns.get(id) ?? { column: [], bias: 0 };
    const { dVocab, dModel } = this.config;
    const rowsStored = this.weights.unembed.layout === 'out_in';
    for (const row of rows) {
      for (const part of row.parts) {
        const logits = (part.columns ?? []).map((id) => dot(row.normed, of(id).column) + of(id).bias);
        const { value, terms } = part.ofColumns(logits);
        add(part, value);
        for (const { id, weight } of terms) {
          const { column } = of(id);
          for (let i = 0; i < dModel; i += 1) row.dNormed[i] += weight * column[i];
          if (rowsStored) sums.add('unembed.weight', row.normed, id * dModel, weight);
          else sums.addColumn('unembed.weight', row.normed, id, dVocab, weight);
          sums.add('unembed.bias', [weight], id);
        }
      }
    }
  }

  private async wholeRows(
    rows: readonly FinalRow[],
    add: AddValue,
    sums: WeightSums,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { dVocab, dModel } = this.config;
    const step = Math.max(1, Math.floor(MAX_LOGITS / dVocab));
    for (let first = 0; first < rows.length; first += step) {
      const piece = rows.slice(first, first + step);
      const normed = new Float32Array(piece.length * dModel);
      piece.forEach((row, i) => {
        normed.set(row.normed, i * dModel);
      });
      const logits = await this.model.unembedding.logits(normed, undefined, signal);
      const dLogits = new Float32Array(logits.data.length);
      for (const [i, row] of piece.entries()) {
        const own = logits.data.subarray(i * dVocab, (i + 1) * dVocab);
        for (const part of row.parts) {
          const { value, gradient } = part.ofRow(own);
          add(part, value);
          for (let id = 0; id < dVocab; id += 1) dLogits[i * dVocab + id] += gradient[id];
        }
        sums.add('unembed.bias', dLogits.subarray(i * dVocab, (i + 1) * dVocab));
      }
      const feeds = { dLogits: floatTensor(dLogits, [piece.length, dVocab]) };
      const { dNormed } = await this.model.pool.run(this.backKind, 0, feeds, ['dNormed'], { signal });
      for (const [i, row] of piece.entries()) {
        for (let j = 0; j < dModel; j += 1) row.dNormed[j] += Number(dNormed.data[i * dModel + j]);
      }
      if (!sums.has('unembed.weight')) continue;
      const withRows = { ...feeds, normed: floatTensor(normed, [piece.length, dModel]) };
      const { dWeight } = await this.model.pool.run(this.weightKind, 0, withRows, ['dWeight'], { signal });
      sums.add('unembed.weight', dWeight.data as Float32Array);
    }
  }

  /** y = g x̂ + b with x̂ = (x − mean) / s: dx = (n − mean n − x̂ mean(n x̂)) / s with n = g dy; no last term when s is frozen. */
  private throughNorm(row: FinalRow, freezeScale: boolean, sums: WeightSums): RowGradient {
    const { dModel, norm } = this.config;
    const { finalNorm } = this.model;
    const { residual, dNormed } = row;
    const scale = finalNorm.scale(residual);
    const mean = norm.kind === 'layernorm' ? residual.reduce((sum, value) => sum + value, 0) / dModel : 0;
    const unit = Float64Array.from(residual, (value) => (value - mean) / scale);
    const scaled = dNormed.map((value, i) => value * finalNorm.gain[i]);
    const along = dot(scaled, unit);
    const result = finalNorm.pullBack(dNormed, scale);
    if (!freezeScale) {
      for (let i = 0; i < dModel; i += 1) result[i] -= (unit[i] * along) / dModel / scale;
    }
    sums.add(
      'finalNorm.gain',
      dNormed.map((value, i) => value * unit[i]),
    );
    sums.add('finalNorm.bias', dNormed);
    const normalized = norm.kind === 'layernorm' ? dNormed : scaled;
    return { item: row.item, position: row.position, residual: result, normalized, scale: -along / scale };
  }
}

type AddValue = (part: ObjectivePart, value: number) => void;

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
}
