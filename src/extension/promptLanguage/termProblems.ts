import { type NamedSpecs, observablesSetting } from '../../core/tasks/namedObservables.ts';
import { nearestWord } from '../../core/tasks/nearestWord.ts';
import type { TermCheck } from '../../shared/engineProtocol.ts';
import { visibleToken } from '../../shared/format.ts';
import type { FileProblem } from './promptRequests.ts';

/** The text of a token where it is written. */
export interface WrittenTerm {
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

/** An observable where it is written, in a prompt file or in an experiment. */
export interface WrittenObservable {
  readonly words: readonly WrittenTerm[];
  /** Set where one plain word stands there: a token, or a name. */
  readonly word?: string;
  /** The word is the name of an observable; `words` are its tokens, all at the name's place. */
  readonly named?: boolean;
}

/** Text of one term as it is written in front matter: JSON is YAML, too. */
function quoted(text: string): string {
  return JSON.stringify(text);
}

/** `␣she`, or `she` in quotes where it has no space that could be seen. */
function splitText({ pieces }: TermCheck): string {
  return pieces.map((piece) => visibleToken(piece.text)).join(' | ');
}

function fixed(word: WrittenTerm, newText: string, title: string): Pick<FileProblem, 'fix'> {
  return { fix: { title, start: word.start, end: word.end, newText } };
}

/** What keeps a text from being one token; null where it is one. */
function splitProblem(word: WrittenTerm, check: TermCheck, model: string): FileProblem | null {
  const at = { start: word.start, end: word.end, severity: 'error' } as const;
  const name = visibleToken(word.value);
  const [only] = check.pieces;
  if (check.pieces.length === 1 && only?.text === word.value) return null;
  if (only === undefined || check.pieces.length === 1) {
    const read = only === undefined ? '' : ` It reads ${visibleToken(only.text)} instead.`;
    const message = `${name} is not in the vocabulary of ${model}.${read} An observable needs single tokens.`;
    return { ...at, code: 'not-in-vocabulary', message };
  }
  const use = check.suggestion === null ? '' : ` ${visibleToken(check.suggestion)} is a single token.`;
  const message = `${name} is ${check.pieces.length} tokens for ${model}: ${splitText(check)}. An observable needs single tokens.${use}`;
  if (check.suggestion === null) return { ...at, code: 'token-splits', message };
  const fix = fixed(word, quoted(check.suggestion), `Use ${visibleToken(check.suggestion)}`);
  return { ...at, code: 'token-splits', message, ...fix };
}

/** A word that is a token with and without a space before it: inside a sentence the one with the space is meant. */
function spaceProblem(word: WrittenTerm, { spaced }: TermCheck): FileProblem | null {
  if (spaced === null) return null;
  const message = `${visibleToken(word.value)} is the start of a text or the end of a word. Inside a sentence it is ${visibleToken(spaced)}, with the space.`;
  const { start, end } = word;
  const fix = fixed(word, quoted(spaced), `Use ${visibleToken(spaced)}`);
  return { start, end, severity: 'warning', code: 'leading-space', message, ...fix };
}

/** Two texts that are one token for the model. */
function sameTokenProblems(words: readonly WrittenTerm[], checks: ReadonlyMap<string, TermCheck>): FileProblem[] {
  const idOf = ({ value }: WrittenTerm) => {
    const pieces = checks.get(value)?.pieces ?? [];
    return pieces.length === 1 ? pieces[0]?.id : undefined;
  };
  return words.flatMap((word, i) => {
    const id = idOf(word);
    const other = id === undefined ? undefined : words.slice(0, i).find((before) => idOf(before) === id);
    if (other === undefined) return [];
    const message = `${visibleToken(word.value)} is the same token as ${visibleToken(other.value)}: give it one weight.`;
    return [{ start: word.start, end: word.end, severity: 'error', code: 'same-token', message }];
  });
}

/** A word that is neither a token nor the name of an observable, where it may have been meant as a name. */
function nameProblem(word: WrittenTerm, check: TermCheck, names: readonly string[], model: string): FileProblem | null {
  const near = nearestWord(word.value, names);
  if (check.pieces.length === 1 || near === null) return null;
  const message = `There is no observable "${word.value}" in the setting ${observablesSetting}, and it is ${check.pieces.length} tokens for ${model}: ${splitText(check)}. Did you mean ${near}?`;
  const { start, end } = word;
  return { start, end, severity: 'error', code: 'unknown-observable', message, ...fixed(word, near, `Use ${near}`) };
}

/** Problems of an observable of the settings, at its name. */
function namedProblems(
  name: string,
  { words }: WrittenObservable,
  checks: ReadonlyMap<string, TermCheck>,
  model: string,
): FileProblem[] {
  const own = checks.get(name);
  const [first] = words;
  const problems = words.flatMap((word) => {
    const check = checks.get(word.value);
    const problem = check ? (splitProblem(word, check, model) ?? spaceProblem(word, check)) : null;
    if (problem === null) return [];
    const { start, end, severity, code, message } = problem;
    return [{ start, end, severity, code, message: `${name} of the setting ${observablesSetting}: ${message}` }];
  });
  if (own?.pieces.length !== 1 || first === undefined) return problems;
  const message = `${name} is an observable of the setting ${observablesSetting} and a token of ${model}. The observable is taken; for the token write { ${quoted(name)}: 1 }.`;
  const { start, end } = first;
  const fix = { title: 'Use the token', start, end, newText: `{ ${quoted(name)}: 1 }` };
  return [...problems, { start, end, severity: 'warning', code: 'name-and-token', message, fix }];
}

/** Problems of an observable's words, each at its place: what is not one token of `model`, and what is probably not meant. */
export function termProblems(
  observable: WrittenObservable,
  checks: ReadonlyMap<string, TermCheck>,
  model: string,
  named: NamedSpecs = {},
): FileProblem[] {
  const { words, word: plain } = observable;
  if (observable.named && plain !== undefined) return namedProblems(plain, observable, checks, model);
  const problems = words.flatMap((word) => {
    const check = checks.get(word.value);
    if (!check) return [];
    const asName = plain === undefined ? null : nameProblem(word, check, Object.keys(named), model);
    return asName ?? splitProblem(word, check, model) ?? spaceProblem(word, check) ?? [];
  });
  return [...problems, ...sameTokenProblems(words, checks)];
}

/** Texts whose tokens have to be known for `termProblems`. */
export function termsOf({ words, word, named }: WrittenObservable): readonly string[] {
  return [...words.map(({ value }) => value), ...(named && word !== undefined ? [word] : [])];
}
