import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import type { FrontMatter } from './frontMatter.ts';
import type { PromptFile } from './promptFile.ts';
import type { PromptProblem } from './promptProblem.ts';

/** The setting that a workspace shares its observables in. */
export const observablesSetting = 'mechanist.observables';

/** A name that cannot be taken for a word inside a sentence, a path or a number. */
export const observableName = /^[A-Za-z][\w.+-]{0,79}$/;

/** Observables by name. */
export type NamedSpecs = Readonly<Record<string, ObservableSpec>>;

/** Named observables as somebody wrote them: those that can be used, and what is wrong with the others. */
export interface NamedObservables {
  readonly specs: NamedSpecs;
  /** Name → a sentence. */
  readonly mistakes: Readonly<Record<string, string>>;
}

export const noObservables: NamedObservables = { specs: {}, mistakes: {} };

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Why a value is no observable; null when it is one. */
function mistakeIn(name: string, value: unknown): string | null {
  if (!observableName.test(name)) {
    return 'The name of an observable begins with a letter, then letters, digits and . _ + -, at most 80.';
  }
  if (!isRecord(value) || Object.keys(value).length === 0) {
    return `${name} has to map tokens to weights: { " she": 1, " he": -1 }.`;
  }
  const wrong = Object.entries(value).find(
    ([text, weight]) => text === '' || typeof weight !== 'number' || !Number.isFinite(weight) || weight === 0,
  );
  if (wrong === undefined) return null;
  return `The weight of ${JSON.stringify(wrong[0])} in ${name} has to be a number other than 0, as 1 or -1.`;
}

/** Reads a map of names to tokens and weights, as the setting has it. Never throws: anything may stand there. */
export function readNamedObservables(value: unknown): NamedObservables {
  const entries = isRecord(value) ? Object.entries(value) : [];
  const checked = entries.map(([name, spec]) => ({ name, spec, mistake: mistakeIn(name, spec) }));
  return {
    specs: Object.fromEntries(
      // A plain copy: what an editor hands out may not be sent to another process.
      checked.flatMap(({ name, spec, mistake }) => (mistake === null ? [[name, { ...(spec as ObservableSpec) }]] : [])),
    ),
    mistakes: Object.fromEntries(checked.flatMap(({ name, mistake }) => (mistake === null ? [] : [[name, mistake]]))),
  };
}

function withProblem(file: PromptFile, problem: PromptProblem): PromptFile {
  return { ...file, problems: [...file.problems, problem] };
}

/**
 * The file with the observable that its front matter names in place of the name. A word that is no name of `named` stays
 * what it is: the text of one token.
 */
export function withNamedObservable(file: PromptFile, named: NamedObservables): PromptFile {
  const own = file.frontMatter?.observable;
  if (!file.frontMatter || own?.word === undefined) return file;
  const { word, start, end } = own;
  if (Object.hasOwn(named.mistakes, word)) {
    const message = `${named.mistakes[word]} It is written in the setting ${observablesSetting}.`;
    return withProblem(file, { start, end, severity: 'error', code: 'bad-observable', message });
  }
  if (!Object.hasOwn(named.specs, word)) return file;
  const spec = named.specs[word];
  const words = Object.entries(spec).map(([value, weight]) => ({ value, weight, start, end }));
  const observable: FrontMatter['observable'] = { ...own, value: spec, words, named: true };
  return { ...file, frontMatter: { ...file.frontMatter, observable } };
}
