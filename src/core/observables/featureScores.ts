import type { PackedArray } from '../../shared/packedArray.ts';
import { dotAt } from '../analyses/analysisContext.ts';
import { hookName, parseHookPoint } from '../engine/hookPoints.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';

/** What is scored: a direction and the hook whose activations it is read against. */
export interface ScoredFeature {
  readonly hook: string;
  readonly vector: ArrayLike<number>;
}

/** Scores of all features on all positions of a batch. */
export interface BatchScores {
  /** Each feature at its own hook, `[batch, pos, features]`. */
  readonly own: Float64Array;
  /** All features at each hook in use, `[batch, pos, features]`; only where `everywhere` was asked for. */
  readonly at: ReadonlyMap<string, Float64Array>;
}

/** Features that are read at each hook, by its name. @throws MechanistError `bad-input` for a hook that the model has not */
export function featuresByHook(
  { config }: Pick<ModelRunner, 'config'>,
  features: readonly Pick<ScoredFeature, 'hook'>[],
): ReadonlyMap<string, readonly number[]> {
  const hooks = new Map<string, number[]>();
  for (const [index, { hook }] of features.entries()) {
    const name = hookName(parseHookPoint(hook, config));
    const known = hooks.get(name);
    if (known === undefined) hooks.set(name, [index]);
    else known.push(index);
  }
  return hooks;
}

/** `[rows, d]` times the vectors, written to their columns of `into` `[rows, features]`. */
function multiply(x: Float32Array, features: readonly ScoredFeature[], columns: readonly number[], into: Float64Array) {
  const width = features[0].vector.length;
  const vectors = columns.map((column) => Float64Array.from(features[column].vector));
  const rows = x.length / width;
  for (let row = 0; row < rows; row += 1) {
    const start = row * width;
    for (let c = 0; c < columns.length; c += 1) {
      into[row * features.length + columns[c]] = dotAt(x, start, vectors[c], width);
    }
  }
}

/**
 * Scores x · y of features on prompts. One forward pass of a batch however many features there are, up to the last hook; then one
 * product a hook, in float64.
 */
export class FeatureScorer {
  /** Features that are read at each hook. */
  readonly byHook: ReadonlyMap<string, readonly number[]>;
  private readonly toLayer: number;

  constructor(
    private readonly runner: ModelRunner,
    private readonly features: readonly ScoredFeature[],
  ) {
    this.byHook = featuresByHook(runner, features);
    let last = 0;
    for (const hook of this.byHook.keys()) {
      const point = parseHookPoint(hook, runner.config);
      // What enters a layer is there before the layer is run.
      const entry = point.kind === 'block' && point.hook === 'hook_resid_pre';
      last = Math.max(last, point.kind === 'block' ? point.layer + (entry ? 0 : 1) : runner.config.nLayers);
    }
    this.toLayer = last;
  }

  /** Features. */
  get count(): number {
    return this.features.length;
  }

  /**
   * @param tokens `[batch][pos]`, of one length
   * @throws MechanistError as `ModelRunner.run`
   */
  async score(
    tokens: readonly ArrayLike<number>[],
    { everywhere = false, signal }: { readonly everywhere?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<BatchScores> {
    const { runner, features, toLayer, byHook } = this;
    const last = `blocks.${toLayer}.hook_resid_pre`;
    const hooks = [...byHook.keys()].filter((hook) => hook !== last);
    const { activations, residual } = await runner.run(tokens, { hooks, toLayer, signal });
    const size = tokens.length * tokens[0].length * features.length;
    const own = new Float64Array(size);
    const at = new Map<string, Float64Array>();
    const all = features.map((_, index) => index);
    for (const [hook, columns] of byHook) {
      const { data } = hook === last ? residual : (activations.get(hook) as PackedArray);
      if (!everywhere) {
        multiply(data, features, columns, own);
        continue;
      }
      const here = new Float64Array(size);
      multiply(data, features, all, here);
      at.set(hook, here);
      for (let row = 0; row < size; row += features.length)
        for (const column of columns) own[row + column] = here[row + column];
    }
    return { own, at };
  }
}
