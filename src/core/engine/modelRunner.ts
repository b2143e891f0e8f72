import { MechanistError } from '../../shared/errors.ts';
import type { PackedArray } from '../../shared/packedArray.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import type { ModelWeights } from '../models/modelWeights.ts';
import type { OpenModel } from '../models/openModel.ts';
import { BlockStack } from './blockStack.ts';
import { BlockTail } from './blockTail.ts';
import { FinalNorm } from './finalNorm.ts';
import { type GlobalHook, hookName } from './hookPoints.ts';
import {
  type InterventionResult,
  InterventionRunner,
  type InterventionRunOptions,
} from './interventions/interventionRun.ts';
import { NO_KEYS_VALUES, takeRows } from './keysValues.ts';
import { allFinite, nonFiniteError } from './nonFinite.ts';
import { checkPositions, checkResidual, checkTokens, parseHooks } from './runChecks.ts';
import { SessionPool } from './sessionPool.ts';
import { Unembedding } from './unembedding.ts';
import { resolveWeightFiles, WeightFiles } from './weightFiles.ts';

export interface RunContext {
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

export interface RunOptions extends RunContext {
  /** Names of hook points to read; aliases are accepted, results carry the TransformerLens name. */
  readonly hooks?: readonly string[];
  /** Positions at which hooks are read; default all. */
  readonly positions?: readonly number[];
  /** First layer to run; default 0. Later ones need `residual`. */
  readonly fromLayer?: number;
  /** First layer not to run; default all layers. */
  readonly toLayer?: number;
  /** resid_pre of `fromLayer`, `[batch, pos, d_model]`, instead of the embedding of the tokens. */
  readonly residual?: PackedArray;
}

export interface RunResult {
  /** By TransformerLens name: `[batch, positions, …]`, attention maps `[batch, head, positions, key]`. */
  readonly activations: ReadonlyMap<string, PackedArray>;
  /** resid_post of the last layer that ran, `[batch, pos, d_model]`. */
  readonly residual: PackedArray;
}

/** Positions of a run of the last block for a few rows only; longer prompts take the plain way, in chunks. */
const TAIL_POSITIONS = 1024;

/** A model ready to run: forward passes with any hook point read. The one user of the runtime; everything above asks it. */
export class ModelRunner {
  private mean: Promise<Float32Array> | undefined;
  private interventions: InterventionRunner | undefined;

  private constructor(
    readonly config: ModelConfig,
    readonly weights: ModelWeights,
    readonly files: WeightFiles,
    readonly pool: SessionPool,
    readonly blocks: BlockStack,
    readonly tail: BlockTail,
    readonly finalNorm: FinalNorm,
    readonly unembedding: Unembedding,
  ) {}

  /** Opens the files; weights are loaded when first needed, or by `prepare`. */
  static async open(
    model: Pick<OpenModel, 'config' | 'weights'>,
    options: { readonly threads: number },
  ): Promise<ModelRunner> {
    const { config } = model;
    const weights = await resolveWeightFiles(model.weights);
    const files = new WeightFiles();
    const pool = new SessionPool(options.threads);
    const finalNorm = await FinalNorm.read(config, weights.finalNorm, files);
    const blocks = new BlockStack(config, weights, pool);
    return new ModelRunner(
      config,
      weights,
      files,
      pool,
      blocks,
      new BlockTail(config, weights, pool),
      finalNorm,
      new Unembedding(config, weights, pool, files),
    );
  }

  /** Loads all weights, so that the first question is as fast as the later ones. Progress by layer. */
  async prepare({ signal, onProgress }: RunContext = {}): Promise<void> {
    const total = this.config.nLayers + 1;
    // The unembedding is the largest matrix: first, while there is most room for its second copy.
    await this.unembedding.prepare();
    onProgress?.({ done: 1, total, label: 'Unembedding' });
    for (let layer = 0; layer < this.config.nLayers; layer += 1) {
      if (signal?.aborted) throw new MechanistError('cancelled', 'Cancelled.');
      await this.blocks.prepare(layer);
      onProgress?.({ done: layer + 2, total, label: `L${layer + 1} of ${this.config.nLayers}` });
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Work done so far: `blockPositions` = Σ batch × positions over block runs. */
  get counters(): { readonly blockPositions: number; readonly runs: number } {
    return { blockPositions: this.blocks.blockPositions, runs: this.pool.runs };
  }

  /** Runs what belongs to somebody else: whoever counts `blockPositions` around it does not pay for it. */
  async uncounted<T>(work: () => Promise<T>): Promise<T> {
    const { blockPositions } = this.blocks;
    try {
      return await work();
    } finally {
      this.blocks.blockPositions = blockPositions;
    }
  }

  /**
   * Embedding and position embedding of tokens `[batch][pos]` at absolute positions from `start` on, each
   * `[batch, pos, d_model]`; `positions` is null for rotary models.
   */
  async embed(
    tokens: readonly ArrayLike<number>[],
    start = 0,
  ): Promise<{ tokens: Float32Array; positions: Float32Array | null }> {
    const ids = tokens.flatMap((row) => Array.from(row));
    const embedded = await this.files.rows(this.weights.embed, ids);
    if (!allFinite(embedded)) throw nonFiniteError('hook_embed', embedded);
    if (this.weights.positionEmbed === null) return { tokens: embedded, positions: null };
    const length = tokens[0]?.length ?? 0;
    const one = await this.files.rows(
      this.weights.positionEmbed,
      Array.from({ length }, (_, i) => start + i),
    );
    if (!allFinite(one)) throw nonFiniteError('hook_pos_embed', one);
    const positions = new Float32Array(embedded.length);
    for (let item = 0; item < tokens.length; item += 1) positions.set(one, item * one.length);
    return { tokens: embedded, positions };
  }

  /** Mean of the token embeddings over the vocabulary, `[d_model]`; read from the file once. */
  meanEmbedding(): Promise<Float32Array> {
    this.mean ??= this.readMeanEmbedding();
    return this.mean;
  }

  private async readMeanEmbedding(): Promise<Float32Array> {
    const { embed } = this.weights;
    const [count, width] = embed.shape;
    const sums = new Float64Array(width);
    await this.files.stream(embed, (chunk, _firstRow, rows) => {
      for (let row = 0; row < rows; row += 1) {
        for (let i = 0; i < width; i += 1) sums[i] += chunk[row * width + i];
      }
    });
    return Float32Array.from(sums, (sum) => sum / count);
  }

  /**
   * Runs a batch of prompts of equal length through the blocks and reads hook points. One forward pass.
   * @throws MechanistError `bad-input` (unknown hook, unlike lengths, positions or layers out of range),
   * `prompt-empty`, `prompt-too-long`, `model-corrupt` (NaN; names the first hook point), `cancelled`
   */
  async run(tokens: readonly ArrayLike<number>[], options: RunOptions = {}): Promise<RunResult> {
    const { dModel, nLayers } = this.config;
    const length = checkTokens(this.config, tokens);
    const { fromLayer = 0, toLayer = nLayers } = options;
    const hooks = parseHooks(this.config, options);
    const rows = checkPositions(options.positions, length);
    const embedded = options.residual === undefined ? await this.embed(tokens) : null;
    const x =
      embedded === null
        ? checkResidual(this.config, options, tokens.length, length)
        : sum(embedded.tokens, embedded.positions);
    const { signal, onProgress } = options;
    const reads = { hooks: hooks.blocks, rows };
    const pass = { x, batch: tokens.length, count: length, start: 0, fromLayer, toLayer, reads, signal, onProgress };
    const result = await this.blocks.forward(pass);
    const activations = new Map<string, PackedArray>();
    const pick = (data: Float32Array) => pickRows(data, tokens.length, length, dModel, rows);
    for (const hook of hooks.globals) {
      activations.set(hook, this.globalActivation(hook, embedded, result.x, pick, [tokens.length, rows.length]));
    }
    for (const [layer, names] of hooks.blocks) {
      for (const hook of names)
        activations.set(hookName({ kind: 'block', layer, hook }), result.reads.get(layer, hook));
    }
    return { activations, residual: { dims: [tokens.length, length, dModel], data: result.x } };
  }

  /**
   * Next-token logits `[batch, positions, d_vocab or columns]`, by default at the last position. One forward pass.
   * @throws MechanistError as `run`
   */
  async logits(
    tokens: readonly ArrayLike<number>[],
    options: RunContext & { readonly positions?: readonly number[] | 'all'; readonly columns?: readonly number[] } = {},
  ): Promise<PackedArray> {
    const length = checkTokens(this.config, tokens);
    const positions = options.positions === 'all' ? undefined : (options.positions ?? [-1]);
    const rows = checkPositions(positions, length);
    const residual = await this.finalResidual(tokens, rows, options);
    const logits = await this.unembedding.logits(this.finalNorm.apply(residual), options.columns, options.signal);
    return { dims: [tokens.length, rows.length, logits.dims[1]], data: logits.data };
  }

  /** resid_post of the last layer at `rows`, `[batch, rows, d_model]`. For few rows the last block computes only those. */
  private async finalResidual(
    tokens: readonly ArrayLike<number>[],
    rows: Int32Array,
    { signal, onProgress }: RunContext,
  ): Promise<Float32Array> {
    const { nLayers, dModel } = this.config;
    const [batch, length] = [tokens.length, tokens[0].length];
    const few = rows.length * 4 <= length && length <= TAIL_POSITIONS;
    if (!few) {
      const { residual } = await this.run(tokens, { signal, onProgress });
      return pickRows(residual.data, batch, length, dModel, rows);
    }
    const before = (await this.run(tokens, { signal, onProgress, toLayer: nLayers - 1 })).residual.data;
    const result = new Float32Array(batch * rows.length * dModel);
    const step = Math.max(1, Math.floor(TAIL_POSITIONS / length));
    for (let first = 0; first < batch; first += step) {
      const items = Math.min(step, batch - first);
      const x = before.subarray(first * length * dModel, (first + items) * length * dModel);
      const block = { x, items, count: length, start: 0, past: NO_KEYS_VALUES };
      result.set(await this.tail.run(nLayers - 1, block, [...rows], signal), first * rows.length * dModel);
    }
    return result;
  }

  /**
   * Runs a batch with interventions and reads hook points after them. One forward pass, and one for each run that values
   * are taken from (up to the last hook needed); with `clean`, only layers and positions from the first change on.
   * @throws MechanistError as `run`; `bad-input` with the `index` of an intervention that does not fit, or when the
   * activations become NaN or infinite (names the first hook point)
   */
  runWith(tokens: readonly ArrayLike<number>[], options: InterventionRunOptions): Promise<InterventionResult> {
    this.interventions ??= new InterventionRunner(this);
    return this.interventions.run(tokens, options);
  }

  private globalActivation(
    hook: GlobalHook,
    embedded: { tokens: Float32Array; positions: Float32Array | null } | null,
    residual: Float32Array,
    pick: (data: Float32Array) => Float32Array,
    dims: readonly [number, number],
  ): PackedArray {
    const { dModel } = this.config;
    const wide = [...dims, dModel];
    switch (hook) {
      case 'hook_embed':
        return { dims: wide, data: pick(embedded?.tokens ?? residual) };
      case 'hook_pos_embed':
        return { dims: wide, data: pick(embedded?.positions ?? residual) };
      case 'ln_final.hook_normalized':
        return { dims: wide, data: this.finalNorm.hookNormalized(pick(residual)) };
      case 'ln_final.hook_scale': {
        const rows = pick(residual);
        const data = new Float32Array(rows.length / dModel);
        for (let i = 0; i < data.length; i += 1)
          data[i] = this.finalNorm.scale(rows.subarray(i * dModel, (i + 1) * dModel));
        return { dims: [...dims, 1], data };
      }
    }
  }

  /** Frees all weights. The runner cannot be used afterwards. */
  async close(): Promise<void> {
    await this.pool.close();
    await this.files.close();
  }
}

/** a + b; b may be absent. */
function sum(a: Float32Array, b: Float32Array | null): Float32Array {
  return b === null ? a : a.map((value, i) => value + b[i]);
}

/** Rows of each item of `[batch, length, width]`, in the order asked for. */
function pickRows(data: Float32Array, batch: number, length: number, width: number, rows: Int32Array): Float32Array {
  const result = new Float32Array(batch * rows.length * width);
  for (let item = 0; item < batch; item += 1) {
    const own = data.subarray(item * length * width, (item + 1) * length * width);
    rows.forEach((row, i) => {
      result.set(takeRows(own, 1, width, row, 1), (item * rows.length + i) * width);
    });
  }
  return result;
}
