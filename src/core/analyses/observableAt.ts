import type { TraceRequest } from '../../shared/engineProtocol.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { PromptActivations } from '../engine/activationCache.ts';
import { observableLabel, resolveObservable } from '../tasks/observable.ts';
import type { AnalysisContext } from './analysisContext.ts';

export interface ObservableInUse {
  readonly terms: readonly ObservableTerm[];
  readonly label: string;
  readonly isDefault: boolean;
}

/**
 * The observable that was asked for; if none was, the first minus the second most likely token after `position`.
 * @throws MechanistError `token-splits`, `bad-input`
 */
export async function observableAt(
  { model, runner, signal }: AnalysisContext,
  spec: TraceRequest['observable'],
  prompt: PromptActivations,
  position: number,
): Promise<ObservableInUse> {
  if (spec !== undefined) return { ...resolveObservable(spec, model.tokenizer), isDefault: false };
  const { dModel } = model.config;
  const row = prompt.final.subarray(position * dModel, (position + 1) * dModel);
  const best = await runner.unembedding.top(runner.finalNorm.apply(row), 2, [], signal);
  const terms = best.ids[0].map((id, rank) => ({
    id,
    text: model.tokenizer.tokenText(id),
    weight: rank === 0 ? 1 : -1,
  }));
  return { terms, label: observableLabel(terms), isDefault: true };
}
