import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { observablesIn } from './experimentObservables.ts';
import type { ExperimentFile, ExperimentStep } from './experimentTypes.ts';
import { textsIn } from './textsIn.ts';

/** The file's own observables by name. */
export function observablesOf({ observables }: ExperimentFile): Readonly<Record<string, ObservableSpec>> {
  return Object.fromEntries(observables.map(({ name, spec }) => [name, spec]));
}

/** What a step asks, in words that the file has: from them an editor tells whether a result still answers it. */
export function requestOf(file: ExperimentFile, step: Pick<ExperimentStep, 'run' | 'params'>, model: string) {
  const observables = observablesIn(textsIn(step.params), observablesOf(file));
  return {
    ...{ run: step.run, with: step.params, model, data: file.data?.value ?? null, seed: file.seed },
    ...(Object.keys(observables).length > 0 && { observables }),
  };
}
