import { type Document, isMap, isScalar, isSeq, type Node, type Pair, parseDocument, type Scalar } from 'yaml';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import type { NormMode } from '../../shared/features.ts';
import type { AttributionMethod, PropagationView } from '../../shared/traceDocument.ts';
import { readNode, readNorm, readView } from './frontMatterPropagation.ts';
import { FrontMatterReader, scalarText } from './frontMatterReader.ts';
import { nearestWord } from './nearestWord.ts';
import type { PromptProblem } from './promptProblem.ts';
import { describeYamlError } from './yamlErrors.ts';

/** A value and where it stands in the document (UTF-16 offsets, end exclusive). */
export interface Located<T> {
  readonly value: T;
  readonly start: number;
  readonly end: number;
}

/** One token of the observable, at the word that names it. */
export interface ObservableWord extends Located<string> {
  readonly weight: number;
}

/** The path of observable propagation. */
export interface LocatedPath extends Located<string> {
  /** Document offset of its first character, behind a quote. */
  readonly textStart: number;
}

/** The settings at the head of a prompt file. A key that is absent or wrong is undefined. */
export interface FrontMatter {
  /** Range of the whole block, both `---` lines included. */
  readonly start: number;
  readonly end: number;
  /** Range of the YAML between the `---` lines. */
  readonly yamlStart: number;
  readonly yamlEnd: number;
  readonly model?: Located<string>;
  readonly observable?: Located<ObservableSpec> & {
    readonly words: readonly ObservableWord[];
    /** Set where one plain word stands there: a token, or the name of an observable. */
    readonly word?: string;
    /** The word names an observable of the settings, whose tokens `words` are. */
    readonly named?: boolean;
  };
  /** 0-based, negative from the end; undefined for `last`. In the file it is 1-based. */
  readonly position?: Located<number>;
  readonly method?: Located<AttributionMethod>;
  /** Of observable propagation: the path along which the observable is taken back, as it is written. */
  readonly node?: LocatedPath;
  readonly norm?: Located<NormMode>;
  readonly view?: Located<PropagationView>;
  /** Kept for analyses that compare runs. */
  readonly corrupted?: Located<string | readonly string[]>;
  /** Kept for analyses that score answers. */
  readonly answers?: Located<readonly unknown[]>;
}

/** Keys that the front matter of a prompt file may have, in the order in which they are offered. */
export const frontMatterKeys = [
  'model',
  'observable',
  'position',
  'method',
  'node',
  'norm',
  'view',
  'corrupted',
  'answers',
] as const;
export type FrontMatterKey = (typeof frontMatterKeys)[number];

/** Ways to compute token attributions, as written after `method:`. */
export const attributionMethods: readonly AttributionMethod[] = [
  'direct',
  'occlusion',
  'gradient-times-input',
  'integrated-gradients',
  'observable-propagation',
];

/** YAML of a prompt file is a few lines; anything longer is a file of another kind and would only stall the editor. */
const longestFrontMatter = 64 * 1024;

function readModel(reader: FrontMatterReader, value: Node | null, key: Node): void {
  if (isScalar(value) && value.value !== null && scalarText(value).trim() !== '') {
    reader.result.model = { value: scalarText(value).trim(), ...reader.rangeOf(value) };
  } else {
    reader.report(
      reader.rangeOf(value, key),
      'wrong-type',
      'model is the name of a model: a catalogue id such as smollm2-135m, a folder, or a .gguf file.',
    );
  }
}

function readMethod(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const range = reader.rangeOf(value, key);
  const text = isScalar(value) ? scalarText(value) : '';
  const method = attributionMethods.find((m) => m === text);
  if (method) {
    reader.result.method = { value: method, ...range };
    return;
  }
  const near = nearestWord(text, attributionMethods);
  const fix = near ? { title: `Use ${near}`, newText: near } : undefined;
  reader.report(range, 'unknown-method', `method is one of ${attributionMethods.join(', ')}.`, fix);
}

function readPosition(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const range = reader.rangeOf(value, key);
  const position = isScalar(value) ? value.value : undefined;
  if (position === 'last') return;
  if (typeof position !== 'number' || !Number.isSafeInteger(position)) {
    reader.report(range, 'wrong-type', 'position is last, or a whole number: 1 is the first token, −1 the last.');
  } else if (position === 0) {
    reader.report(range, 'position-zero', 'Positions count from 1: write 1 for the first token, or last.', {
      title: 'Use 1',
      newText: '1',
    });
  } else {
    reader.result.position = { value: position > 0 ? position - 1 : position, ...range };
  }
}

function readWord(reader: FrontMatterReader, pair: Pair, words: ObservableWord[]): boolean {
  const key = pair.key as Node;
  const value = pair.value as Node | null;
  const text = isScalar(key) ? scalarText(key) : null;
  if (text === null || text === '') {
    reader.report(reader.rangeOf(key), 'wrong-type', 'Each key of the observable is the text of one token, as " she".');
    return false;
  }
  const weight = isScalar(value) ? value.value : undefined;
  if (typeof weight !== 'number') {
    const message = `The weight of ${JSON.stringify(text)} is a number, as 1 or -1.`;
    reader.report(reader.rangeOf(value, key), 'wrong-type', message);
    return false;
  }
  if (!Number.isFinite(weight)) {
    const message = `The weight of ${JSON.stringify(text)} has to be finite.`;
    reader.report(reader.rangeOf(value, key), 'not-finite', message);
    return false;
  }
  words.push({ value: text, weight, ...reader.rangeOf(key) });
  return true;
}

function readObservable(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const range = reader.rangeOf(value, key);
  if (isScalar(value) && value.value !== null && scalarText(value) !== '') {
    const text = scalarText(value);
    const words = [{ value: text, weight: 1, ...range }];
    reader.result.observable = { value: { [text]: 1 }, words, word: text, ...range };
    return;
  }
  if (!isMap(value)) {
    reader.report(range, 'wrong-type', 'observable maps tokens to weights: { " she": 1, " he": -1 }.');
    return;
  }
  const words: ObservableWord[] = [];
  const allGood = value.items.map((pair) => readWord(reader, pair, words)).every(Boolean);
  if (!allGood) return;
  if (words.every((w) => w.weight === 0)) {
    reader.report(range, 'observable-empty', 'The observable needs a token with a weight other than 0.');
    return;
  }
  const zeros = value.items.filter((_, i) => words[i]?.weight === 0);
  for (const { key: token, value: weight } of zeros) {
    const message = `With the weight 0, ${JSON.stringify(scalarText(token as Scalar))} says nothing: give it another weight, or remove it.`;
    reader.report(reader.rangeOf(weight as Node, token as Node), 'zero-weight', message);
  }
  if (zeros.length > 0) return;
  reader.result.observable = { value: Object.fromEntries(words.map((w) => [w.value, w.weight])), words, ...range };
}

function readCorrupted(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const range = reader.rangeOf(value, key);
  if (isScalar(value) && typeof value.value === 'string') {
    reader.result.corrupted = { value: value.value, ...range };
  } else if (isSeq(value) && value.items.every((item) => isScalar(item) && typeof item.value === 'string')) {
    reader.result.corrupted = { value: value.items.map((item) => String((item as Scalar).value)), ...range };
  } else {
    reader.report(
      range,
      'wrong-type',
      'corrupted is the text of the corrupted prompt, or a list with one for each prompt.',
    );
  }
}

function readAnswers(reader: FrontMatterReader, value: Node | null, key: Node, document: Document): void {
  const range = reader.rangeOf(value, key);
  if (isSeq(value) && value.items.every((item) => isMap(item) || (isScalar(item) && typeof item.value === 'string'))) {
    reader.result.answers = { value: value.toJS(document, { maxAliasCount: 20 }) as unknown[], ...range };
  } else {
    reader.report(range, 'wrong-type', 'answers is a list of tokens: [" she", " he"].');
  }
}

function readPair(reader: FrontMatterReader, pair: Pair, document: Document): void {
  const key = pair.key as Node;
  const value = (pair.value ?? null) as Node | null;
  const name = isScalar(key) ? scalarText(key) : '';
  const known = frontMatterKeys.find((k) => k === name);
  if (known === undefined) {
    const near = nearestWord(name, frontMatterKeys);
    const keys = frontMatterKeys.join(', ');
    const message = `${name === '' ? 'This key' : `"${name}"`} is not a key of a prompt file and is ignored. Keys: ${keys}.`;
    const fix = near ? { title: `Change to ${near}`, newText: near } : undefined;
    reader.report(reader.rangeOf(key), 'unknown-key', message, fix, 'warning');
    return;
  }
  if (known === 'model') readModel(reader, value, key);
  else if (known === 'observable') readObservable(reader, value, key);
  else if (known === 'position') readPosition(reader, value, key);
  else if (known === 'method') readMethod(reader, value, key);
  else if (known === 'node') readNode(reader, value, key);
  else if (known === 'norm') readNorm(reader, value, key);
  else if (known === 'view') readView(reader, value, key);
  else if (known === 'corrupted') readCorrupted(reader, value, key);
  else readAnswers(reader, value, key, document);
}

function readDocument(reader: FrontMatterReader): void {
  const document = parseDocument(reader.yaml, { prettyErrors: false, logLevel: 'silent' });
  for (const error of document.errors) {
    const { from, to, message } = describeYamlError(reader.yaml, error);
    reader.report(reader.clamp(from, to), 'yaml', message);
  }
  const root = document.contents;
  if (root === null || document.errors.length > 0) return;
  if (!isMap(root)) {
    reader.report(
      reader.rangeOf(root),
      'yaml',
      'Front matter is a list of settings, one in a line, as model: smollm2-135m.',
    );
    return;
  }
  for (const pair of root.items) readPair(reader, pair, document);
}

/**
 * Reads the YAML between the `---` lines of a prompt file. `base` is the offset of `yaml` in the document, `block` the
 * range with both lines. Wrong text gives problems at the word; never throws.
 */
export function parseFrontMatter(
  yaml: string,
  base: number,
  block: { start: number; end: number },
): { frontMatter: FrontMatter; problems: PromptProblem[] } {
  const reader = new FrontMatterReader(base, yaml, block);
  if (yaml.length > longestFrontMatter) {
    const message = `Front matter is at most 64 kB; this has ${Math.round(yaml.length / 1024)} kB. Is a line --- missing?`;
    reader.report({ start: block.start, end: block.start + 3 }, 'front-matter-too-long', message);
    return { frontMatter: reader.result, problems: reader.problems };
  }
  try {
    readDocument(reader);
  } catch (error) {
    // The YAML package throws on a few inputs (nesting too deep for the stack, alias bombs).
    const message = error instanceof Error ? error.message : String(error);
    reader.report(reader.clamp(0, yaml.trimEnd().length), 'yaml', `Not valid YAML: ${message.split('\n')[0]}`);
  }
  return { frontMatter: reader.result, problems: reader.problems };
}
