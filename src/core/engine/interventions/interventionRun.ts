import { MechanistError } from '../../../shared/errors.ts';
import type { Intervention } from '../../../shared/intervention.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import { type GlobalHook, hookName } from '../hookPoints.ts';
import { firstPositions, takeRows } from '../keysValues.ts';
import type { ModelRunner, RunContext, RunResult } from '../modelRunner.ts';
import { allFinite, nonFiniteError } from '../nonFinite.ts';
import { checkPositions, checkTokens, parseHooks } from '../runChecks.ts';
import type { LayerEdits } from '../stackPass.ts';
import { applyEdits, type Part } from './applyEdits.ts';
import type { CleanRun } from './cleanRun.ts';
import { CompiledEdits, InterventionGraphs } from './compiledEdits.ts';
import { compileEdits } from './editOps.ts';
import { type EditedFinalNorm, finalNormWithEdits } from './finalNormEdits.ts';
import { gatherSources, type NamedRuns, runShapes } from './namedRuns.ts';
import { type InterventionPlan, planInterventions } from './parseInterventions.ts';
import { turnedLayers } from './turnedLayers.ts';

export interface InterventionRunOptions extends RunContext {
  /** Applied in this order. Data from outside is checked, so it may be of any type. */
  readonly interventions: readonly Intervention[];
  /** Runs that interventions take values from, by name. */
  readonly runs?: NamedRuns;
  /** Names of hook points to read, after the interventions. */
  readonly hooks?: readonly string[];
  /** Positions at which hooks are read; default all. */
  readonly positions?: readonly number[];
  /**
   * A run of the same tokens (or of the one prompt that every item repeats) without interventions: layers below and
   * positions before the first change are taken from it.
   */
  readonly clean?: CleanRun;
  /** Rotary models: the position by whose angles each token's queries and keys are turned; absent: its own. Not with `clean`. */
  readonly turnedAs?: readonly number[];
}

export interface LogitOptions {
  /** Default: the last one. */
  readonly positions?: readonly number[] | 'all';
  readonly columns?: readonly number[];
  readonly signal?: AbortSignal;
}

export interface InterventionResult extends RunResult {
  /** Next-token logits `[batch, positions, d_vocab or columns]`, after interventions at the final norm too. */
  logits(options?: LogitOptions): Promise<PackedArray>;
}

type Tokens = readonly ArrayLike<number>[];

function checkClean(clean: CleanRun, tokens: Tokens): void {
  const same = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    a.length === b.length && Array.from(a).every((id, i) => id === b[i]);
  const fits = clean.batch === 1 || clean.batch === tokens.length;
  if (fits && tokens.every((row, i) => same(row, clean.tokens[clean.batch === 1 ? 0 : i]))) return;
  throw new MechanistError('bad-input', 'The clean run is of other tokens than this one.');
}

/** `[1 or batch, pos, width]`, the rows from `first` on, for every item of the batch. */
function rowsFrom(data: Float32Array, own: number, batch: number, width: number, first: number): Float32Array {
  const length = data.length / (own * width);
  const rows = takeRows(data, own, width, first, length - first);
  if (own === batch) return rows;
  const result = new Float32Array(batch * rows.length);
  for (let item = 0; item < batch; item += 1) result.set(rows, item * rows.length);
  return result;
}

/** One run with interventions, from checked input to result. */
class InterventionRun {
  private readonly batch: number;
  private readonly length: number;
  private readonly fromLayer: number;
  private readonly start: number;
  private readonly embedded = new Map<GlobalHook, Float32Array>();
  private final: EditedFinalNorm | null = null;

  constructor(
    private readonly runner: ModelRunner,
    private readonly tokens: Tokens,
    private readonly options: InterventionRunOptions,
    private readonly plan: InterventionPlan,
    private readonly edits: CompiledEdits,
  ) {
    const { clean, positions } = options;
    this.batch = tokens.length;
    this.length = plan.shape.length;
    const hooks = parseHooks(runner.config, { hooks: options.hooks });
    const hooked = [...hooks.blocks.keys()];
    const rows = [...checkPositions(hooked.length + hooks.globals.length > 0 ? positions : [], this.length)];
    const whole = clean === undefined || hooks.globals.some((hook) => !hook.startsWith('ln_final'));
    this.fromLayer = whole ? 0 : Math.min(plan.firstLayer, ...hooked);
    this.start = clean === undefined ? 0 : Math.min(plan.firstPosition, this.length - 1, ...rows);
  }

  private part(first: number): Part {
    return { firstItem: 0, items: this.batch, firstPosition: first, positions: this.length - first };
  }

  /** resid_pre of the first layer that runs, for the positions that run. */
  private async input(): Promise<Float32Array> {
    const { start, fromLayer, runner, batch } = this;
    const { clean } = this.options;
    if (fromLayer > 0 && clean !== undefined) {
      const x = rowsFrom(clean.residuals[fromLayer], clean.batch, batch, runner.config.dModel, start);
      // What is done behind the layer below belongs to this run.
      const tile = { firstItem: 0, items: batch, firstRow: start, rows: this.length - start };
      const changed = this.edits.layer(fromLayer - 1)?.residPost(x, tile) ?? x;
      if (!allFinite(changed)) throw nonFiniteError(`blocks.${fromLayer - 1}.hook_resid_post`, changed, true);
      return changed;
    }
    const rows = this.tokens.map((row) => Array.from(row).slice(start));
    const { tokens, positions } = await runner.embed(rows, start);
    const change = (hook: GlobalHook, x: Float32Array) => {
      const own = this.edits.global(hook);
      const changed = own === undefined ? x : applyEdits(own, this.part(start), x);
      if (!allFinite(changed)) throw nonFiniteError(hook, changed, true);
      this.embedded.set(hook, changed);
      return changed;
    };
    const x = change('hook_embed', tokens);
    if (positions === null) return x;
    const offset = change('hook_pos_embed', positions);
    return x.map((value, i) => value + offset[i]);
  }

  private layers(): (layer: number) => LayerEdits | undefined {
    const { turnedAs } = this.options;
    if (turnedAs === undefined) return this.edits.layer;
    return turnedLayers(this.runner.config, turnedAs, this.length, this.edits.layer);
  }

  async execute(): Promise<InterventionResult> {
    const { runner, batch, length, start, fromLayer } = this;
    const { clean, signal, onProgress } = this.options;
    const { config } = runner;
    const hooks = parseHooks(config, { hooks: this.options.hooks });
    const rows = checkPositions(this.options.positions, length);
    const { x, reads } = await runner.blocks.forward({
      x: await this.input(),
      ...{ batch, count: length - start, start, fromLayer, toLayer: config.nLayers, signal, onProgress },
      past: clean === undefined ? undefined : (layer) => firstPositions(clean.keysValues[layer], start, config),
      reads: { hooks: hooks.blocks, rows: rows.map((row) => row - start) },
      edits: this.layers(),
      editedFrom: this.options.turnedAs === undefined ? this.plan.firstLayer : 0,
    });
    const residual = this.wholeResidual(x);
    const activations = new Map<string, PackedArray>();
    for (const hook of hooks.globals) activations.set(hook, this.globalActivation(hook, residual, rows));
    for (const [layer, names] of hooks.blocks) {
      for (const hook of names) activations.set(hookName({ kind: 'block', layer, hook }), reads.get(layer, hook));
    }
    return {
      activations,
      residual: { dims: [batch, length, config.dModel], data: residual },
      logits: (options = {}) => this.logits(residual, options),
    };
  }

  /** The positions before the first that ran are those of the clean run. */
  private wholeResidual(x: Float32Array): Float32Array {
    const { start, batch, length } = this;
    const { clean } = this.options;
    if (start === 0 || clean === undefined) return x;
    const { dModel, nLayers } = this.runner.config;
    const whole = rowsFrom(clean.residuals[nLayers], clean.batch, batch, dModel, 0).slice();
    const size = (length - start) * dModel;
    for (let item = 0; item < batch; item += 1) {
      whole.set(x.subarray(item * size, (item + 1) * size), (item * length + start) * dModel);
    }
    return whole;
  }

  private finalNorm(residual: Float32Array): EditedFinalNorm {
    const { config, finalNorm } = this.runner;
    this.final ??= finalNormWithEdits(finalNorm, config, this.edits, this.part(0), residual);
    return this.final;
  }

  /** Chosen positions of `[batch, count, width]`, whose first position is `first`. */
  private pick(data: Float32Array, width: number, rows: Int32Array, first: number): PackedArray {
    const count = this.length - first;
    const picked = new Float32Array(this.batch * rows.length * width);
    for (let item = 0; item < this.batch; item += 1) {
      rows.forEach((row, i) => {
        const from = (item * count + row - first) * width;
        picked.set(data.subarray(from, from + width), (item * rows.length + i) * width);
      });
    }
    return { dims: [this.batch, rows.length, width], data: picked };
  }

  private globalActivation(hook: GlobalHook, residual: Float32Array, rows: Int32Array): PackedArray {
    const { dModel } = this.runner.config;
    switch (hook) {
      case 'hook_embed':
      case 'hook_pos_embed':
        return this.pick(this.embedded.get(hook) ?? residual, dModel, rows, this.start);
      case 'ln_final.hook_scale':
        return this.pick(this.finalNorm(residual).scale, 1, rows, 0);
      case 'ln_final.hook_normalized':
        return this.pick(this.finalNorm(residual).normalized, dModel, rows, 0);
    }
  }

  private async logits(residual: Float32Array, options: LogitOptions): Promise<PackedArray> {
    const { config, finalNorm, unembedding } = this.runner;
    const positions = options.positions === 'all' ? undefined : (options.positions ?? [-1]);
    const rows = checkPositions(positions, this.length);
    const edited = [this.edits.global('ln_final.hook_scale'), this.edits.global('ln_final.hook_normalized')];
    const normed = edited.every((own) => own === undefined)
      ? finalNorm.apply(this.pick(residual, config.dModel, rows, 0).data)
      : this.pick(this.finalNorm(residual).output, config.dModel, rows, 0).data;
    const { dims, data } = await unembedding.logits(normed, options.columns, options.signal ?? this.options.signal);
    return { dims: [this.batch, rows.length, dims[1]], data };
  }
}

/** Runs with interventions on one model: plans, sources, graphs. */
export class InterventionRunner {
  private readonly graphs: InterventionGraphs;
  private active = 0;

  constructor(private readonly runner: ModelRunner) {
    this.graphs = new InterventionGraphs(runner.config, runner.weights, runner.pool);
  }

  /** @throws MechanistError as `ModelRunner.runWith` */
  async run(tokens: Tokens, options: InterventionRunOptions): Promise<InterventionResult> {
    const { runner } = this;
    const { interventions, runs = {}, clean, signal } = options;
    const length = checkTokens(runner.config, tokens);
    if (clean !== undefined) checkClean(clean, tokens);
    if (clean !== undefined && options.turnedAs !== undefined) {
      throw new MechanistError('internal', 'A run with other rotary angles shares nothing with a clean run.');
    }
    const shape = { batch: tokens.length, length, runs: runShapes(runs, runner) };
    const plan = planInterventions(interventions, runner.config, shape);
    this.active += 1;
    try {
      const sources = await gatherSources(runner, plan, tokens, runs, clean, { signal });
      const edits = new CompiledEdits(runner.config, compileEdits(plan, sources), this.graphs);
      edits.prepare();
      if (this.active === 1) await this.graphs.trim();
      return await new InterventionRun(runner, tokens, options, plan, edits).execute();
    } finally {
      this.active -= 1;
    }
  }
}
