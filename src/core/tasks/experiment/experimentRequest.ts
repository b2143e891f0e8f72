import type { ObservableSpec } from '../../../shared/engineProtocol.ts';
import { observableText } from '../editFrontMatter.ts';
import { observablesSetting } from '../namedObservables.ts';
import { observablesIn } from './experimentObservables.ts';
import type { ExperimentFile, ExperimentStep } from './experimentTypes.ts';
import { textsIn } from './textsIn.ts';

/** The file's own observables by name. */
export function observablesOf({ observables }: ExperimentFile): Readonly<Record<string, ObservableSpec>> {
  return Object.fromEntries(observables.map(({ name, spec }) => [name, spec]));
}

/** Names of observables that the file uses and does not give. */
function sharedNames({ observables }: ExperimentFile): readonly string[] {
  return observables.filter(({ shared }) => shared).map(({ name }) => name);
}

/** Says of each observable of a step that is not written in the file where it comes from. */
export function sharedWarnings(file: ExperimentFile, step: Pick<ExperimentStep, 'params'>): readonly string[] {
  const named = observablesIn(textsIn(step.params), observablesOf(file));
  return sharedNames(file)
    .filter((name) => Object.hasOwn(named, name))
    .map(
      (name) =>
        `The observable ${name} is not written in this file: it comes from the setting ${observablesSetting} or from --observables, as ${observableText(named[name])}.`,
    );
}

/** What a step asks, in words that the file has: from them an editor tells whether a result still answers it. */
export function requestOf(file: ExperimentFile, step: Pick<ExperimentStep, 'run' | 'params'>, model: string) {
  const observables = observablesIn(textsIn(step.params), observablesOf(file));
  const shared = sharedNames(file).filter((name) => Object.hasOwn(observables, name));
  return {
    ...{ run: step.run, with: step.params, model, data: file.data?.value ?? null, seed: file.seed },
    ...(Object.keys(observables).length > 0 && { observables }),
    ...(shared.length > 0 && { sharedObservables: shared }),
  };
}

type Asked = ReturnType<typeof requestOf>;

/** Every key that `requestOf` may write. */
const askedKeys: Readonly<Record<keyof Asked, true>> = {
  ...{ run: true, with: true, model: true, data: true, seed: true },
  ...{ observables: true, sharedObservables: true },
};

/** What `requestOf` wrote into a result's request, apart from what else stands there. */
export function askedIn(request: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(request).filter(([key]) => Object.hasOwn(askedKeys, key)));
}
