import { throwIfCancelled } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { backwardOf } from './attributionPatch.ts';

/** Said in every result of integrated gradients. */
export const INTEGRATED_BASELINE = 'path from the mean embedding of the vocabulary at every position';

/** Points on the line unless somebody says. */
export const DEFAULT_STEPS = 32;
/** Positions of one batch of points. */
const BATCH_POSITIONS = 1024;

/** Embeddings of a prompt up to the observable's position, `[pos, d_model]`. */
async function embeddingsOf(runner: ModelRunner, ids: Int32Array) {
  const { tokens, positions } = await runner.embed([ids]);
  return { tokens, positions };
}

const HOOK = 'blocks.0.hook_resid_pre';

/**
 * Gradient of the observable at the embeddings of several points: token embeddings `[points, pos, d_model]`, to which position
 * embeddings are added. Values by point, gradients `[points, pos, d_model]`.
 */
async function gradientsAt(
  { runner, signal }: AnalysisContext,
  ids: Int32Array,
  points: Float32Array,
  positions: Float32Array | null,
  terms: readonly ObservableTerm[],
): Promise<{ values: Float64Array; gradients: Float32Array }> {
  const { dModel } = runner.config;
  const size = ids.length * dModel;
  const count = points.length / size;
  const data = positions === null ? points : points.map((value, i) => value + positions[i % size]);
  const position = ids.length - 1;
  const items = Array.from({ length: count }, () => [{ position, terms }]);
  const result = await backwardOf(runner).gradients(
    Array.from({ length: count }, () => ids),
    { kind: 'linear', items },
    { hooks: [HOOK], residual: { dims: [count, ids.length, dModel], data }, signal },
  );
  const gradient = result.gradients.get(HOOK);
  if (gradient === undefined) throw new Error('There is no gradient at the embeddings.');
  return { values: result.values, gradients: gradient.data };
}

/** Σ over d_model of a · b at each position, `[pos]` in the prompt's length; 0 after the observable's position. */
function byToken(a: ArrayLike<number>, b: ArrayLike<number>, dModel: number, length: number): number[] {
  const result = new Array<number>(length).fill(0);
  for (let i = 0; i < a.length; i += 1) result[Math.floor(i / dModel)] += a[i] * b[i];
  return result;
}

/**
 * Token embedding · gradient of the observable at it, in logits. `[pos]`; 0 after `position`. About 3 forward passes.
 * Source: Denil et al. 2014; Shrikumar et al. 2016. Does not add up to the observable.
 */
export async function gradientTimesInput(
  context: AnalysisContext,
  ids: Int32Array,
  position: number,
  terms: readonly ObservableTerm[],
): Promise<number[]> {
  const { runner } = context;
  const own = ids.subarray(0, position + 1);
  const { tokens, positions } = await embeddingsOf(runner, own);
  const { gradients } = await gradientsAt(context, own, tokens, positions, terms);
  return byToken(tokens, gradients, runner.config.dModel, ids.length);
}

export interface IntegratedGradients {
  /** `[pos]`, logits. */
  readonly attributions: number[];
  /** The observable at the baseline and at the prompt: the attributions add up to the difference as steps grow. */
  readonly baselineValue: number;
  readonly value: number;
}

/**
 * Integrated gradients (Sundararajan et al. 2017): the token embeddings of all positions move together on the straight line
 * from the vocabulary's mean embedding; position embeddings stay. Midpoint rule. About 3 forward passes a step.
 */
export async function integratedGradients(
  context: AnalysisContext,
  ids: Int32Array,
  position: number,
  terms: readonly ObservableTerm[],
  steps: number = DEFAULT_STEPS,
  onProgress?: OnProgress,
): Promise<IntegratedGradients> {
  const { runner, signal } = context;
  const { dModel } = runner.config;
  const own = ids.subarray(0, position + 1);
  const { tokens, positions } = await embeddingsOf(runner, own);
  const mean = await runner.meanEmbedding();
  const line = tokens.map((value, i) => value - mean[i % dModel]);
  const at = (alpha: number) => line.map((value, i) => mean[i % dModel] + alpha * value);
  const sums = new Float64Array(tokens.length);
  const most = Math.max(1, Math.floor(BATCH_POSITIONS / own.length));
  for (let first = 0; first < steps; first += most) {
    throwIfCancelled(signal);
    const count = Math.min(most, steps - first);
    const points = new Float32Array(count * tokens.length);
    for (let i = 0; i < count; i += 1) points.set(at((first + i + 0.5) / steps), i * tokens.length);
    const { gradients } = await gradientsAt(context, own, points, positions, terms);
    for (let i = 0; i < gradients.length; i += 1) sums[i % tokens.length] += gradients[i];
    onProgress?.({ done: first + count, total: steps, label: `${first + count} of ${steps} steps` });
  }
  const ends = new Float32Array(2 * tokens.length);
  ends.set(at(0));
  ends.set(tokens, tokens.length);
  const { values } = await gradientsAt(context, own, ends, positions, terms);
  const attributions = byToken(
    sums.map((sum) => sum / steps),
    line,
    dModel,
    ids.length,
  );
  return { attributions, baselineValue: values[0], value: values[1] };
}
