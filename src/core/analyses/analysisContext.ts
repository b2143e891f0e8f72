import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { ActivationCache } from '../engine/activationCache.ts';
import type { ModelRunner, RunContext } from '../engine/modelRunner.ts';
import type { OpenModel } from '../models/openModel.ts';

/** What every analysis is given. */
export interface AnalysisContext extends RunContext {
  readonly model: OpenModel;
  readonly runner: ModelRunner;
  readonly cache: ActivationCache;
  /** Version of Mechanist, for provenance. */
  readonly version: string;
}

/** An observable as a direction after the final norm: `direction · normed + bias` is its value in logits. */
export interface ObservableDirection {
  readonly terms: readonly ObservableTerm[];
  /** `[d_model]` */
  readonly direction: Float64Array;
  /** Weighted sum of the unembedding's bias. */
  readonly bias: number;
}

/** Dot product of `count` numbers of `a` from `offset` on with `b`, in float64. */
export function dotAt(a: ArrayLike<number>, offset: number, b: ArrayLike<number>, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i += 1) sum += a[offset + i] * b[i];
  return sum;
}
