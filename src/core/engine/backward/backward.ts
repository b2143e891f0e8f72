import { MechanistError } from '../../../shared/errors.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import type { ModelRunner, RunContext, RunOptions } from '../modelRunner.ts';
import { checkPositions, checkTokens, type ParsedHooks, parseHooks } from '../runChecks.ts';
import type { FreezablePart } from './backwardGraph.ts';
import { BackwardStack } from './backwardStack.ts';
import { FinalBackward } from './finalBackward.ts';
import { GradientJob, type GradientResult } from './gradientJob.ts';
import { type Objective, objectiveParts } from './objective.ts';
import { parseWeightNames, type WantedWeights } from './weightNames.ts';
import { WeightSums } from './weightSums.ts';

/** A forward run that was made before: gradients start from its residual streams instead of running it again. */
export interface KnownForward {
  /** resid_pre of each layer from 0 on, then resid_post of the last: each `[batch, pos, d_model]`. */
  readonly residuals: readonly Float32Array[];
}

export interface GradientOptions extends Omit<RunOptions, 'toLayer'> {
  /** The forward run of these very tokens, where somebody has it; then no activations are returned. */
  readonly forward?: KnownForward;

  /** Hook points whose activations are returned too, at the same positions: no further pass. */
  readonly activations?: readonly string[];
  /** Parts of the model that are constants for the gradient; the values are those of the whole model. */
  readonly freeze?: readonly FreezablePart[];
}

export interface WeightGradientResult {
  readonly values: Float64Array;
  /** ∂ Σ values / ∂ weight, by name; each of the shape and orientation in which the weight is stored. */
  readonly gradients: ReadonlyMap<string, PackedArray>;
}

/**
 * Attention scores of one run, in numbers: bounds the memory of long prompts. The reverse pass holds about five such tables.
 */
const MAX_SCORES = 4 << 20;

const NO_HOOKS: ParsedHooks = { blocks: new Map(), globals: [] };
const NO_WANTED: WantedWeights = { blocks: new Map(), globals: new Map() };

/**
 * Gradients of a scalar per prompt with respect to activations and weights. One forward pass that keeps the residual
 * streams, then one reverse pass from the last layer down to the lowest that is needed, in which each block recomputes
 * its own forward: about 1 + 2 forward passes in all, in tiles of 1024 positions. Memory: the residual streams of one
 * tile and what is returned.
 */
export class Backward {
  private readonly final: FinalBackward;
  private readonly stacks = new Map<string, BackwardStack>();

  /** @param maxScores attention scores of one run, in numbers; longer prompts are run in chunks of positions */
  constructor(
    private readonly runner: ModelRunner,
    private readonly maxScores = MAX_SCORES,
  ) {
    this.final = new FinalBackward(runner.config, runner.weights, runner);
  }

  /**
   * Values of the objective and its gradients at hook points. Cost: 1 forward pass (none with `forward`), and about 2 more
   * for the layers from the lowest hook on.
   * Gradients at attention patterns are 0 where the mask hides the key, as at the scores.
   * @param tokens `[batch][pos]`, prompts of equal length
   * @throws MechanistError `bad-input`, `prompt-empty`, `prompt-too-long`, `model-corrupt`, `cancelled`
   */
  async gradients(
    tokens: readonly ArrayLike<number>[],
    objective: Objective,
    options: GradientOptions = {},
  ): Promise<GradientResult> {
    const { config } = this.runner;
    const length = checkTokens(config, tokens);
    const activations = parseHooks(config, { ...options, hooks: options.activations ?? [] });
    if (activations.globals.length > 0) {
      throw new MechanistError('bad-input', `${activations.globals[0]} is read by a forward run, not with gradients.`);
    }
    const job = {
      tokens,
      length,
      objective,
      parts: objectiveParts(objective, tokens.length, length),
      hooks: parseHooks(config, options),
      activations,
      rows: checkPositions(options.positions, length),
      fromLayer: options.fromLayer ?? 0,
      weights: NO_WANTED,
      freeze: options.freeze ?? [],
      forward: options.forward ?? null,
      options,
    };
    return new GradientJob(this.runner, this.final, this.stack(job.freeze), job, new WeightSums()).run();
  }

  /**
   * Gradients of the sum of the objective over the batch with respect to weights. Names: `parseWeightNames`. Where the
   * unembedding is tied to the embedding, `embed` and `unembed.weight` are the two parts of the shared matrix's gradient.
   * Cost: 1 forward pass, and about 2 more for the layers from the lowest weight on, 3 where weights are asked for.
   * Memory: one copy of each gradient.
   * @throws MechanistError as `gradients`
   */
  async weightGradients(
    tokens: readonly ArrayLike<number>[],
    objective: Objective,
    options: RunContext & { readonly weights: readonly string[]; readonly freeze?: readonly FreezablePart[] },
  ): Promise<WeightGradientResult> {
    const { config } = this.runner;
    const length = checkTokens(config, tokens);
    const weights = parseWeightNames(options.weights, this.runner.weights);
    const sums = new WeightSums();
    for (const [name, location] of weights.globals) sums.start(name, location);
    for (const [layer, own] of weights.blocks) {
      for (const [name, location] of own) sums.start(`blocks.${layer}.${name}`, location);
    }
    const { signal, onProgress, freeze = [] } = options;
    const parts = objectiveParts(objective, tokens.length, length);
    const nothing = { hooks: NO_HOOKS, activations: NO_HOOKS, rows: new Int32Array(0), fromLayer: 0, forward: null };
    const job = { tokens, length, objective, parts, ...nothing, weights, freeze, options: { signal, onProgress } };
    const stack = this.stack(freeze);
    const { values } = await stack.withWeightGraphs(() =>
      new GradientJob(this.runner, this.final, stack, job, sums).run(),
    );
    return { values, gradients: new Map(options.weights.map((name) => [name, sums.get(name)])) };
  }

  private stack(freeze: readonly FreezablePart[]): BackwardStack {
    const own = [...new Set(freeze)].sort();
    const key = own.join();
    const { config, weights, pool } = this.runner;
    const stack = this.stacks.get(key) ?? new BackwardStack(config, weights, pool, own, this.maxScores);
    this.stacks.set(key, stack);
    return stack;
  }
}
