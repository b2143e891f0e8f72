import { isScalar, type Node } from 'yaml';
import { normModes } from '../../shared/features.ts';
import type { PropagationView } from '../../shared/traceDocument.ts';
import type { LocatedPath } from './frontMatter.ts';
import { type FrontMatterReader, scalarText } from './frontMatterReader.ts';
import { nearestWord } from './nearestWord.ts';
import { type PathKnown, parsePath } from './pathText.ts';
import type { PromptProblem } from './promptProblem.ts';

/** What is said of a token by observable propagation, as written after `view:`. */
const propagationViews: readonly PropagationView[] = ['score', 'contribution'];

/** One of several words; what is something else is reported, with the nearest one. */
function readWordOf<T extends string>(
  reader: FrontMatterReader,
  value: Node | null,
  key: Node,
  words: readonly T[],
): { value: T; start: number; end: number } | undefined {
  const range = reader.rangeOf(value, key);
  const text = isScalar(value) ? scalarText(value) : '';
  const word = words.find((own) => own === text);
  if (word !== undefined) return { value: word, ...range };
  const near = nearestWord(text, words);
  const fix = near ? { title: `Use ${near}`, newText: near } : undefined;
  const name = isScalar(key) ? scalarText(key) : 'This';
  reader.report(range, 'unknown-word', `${name} is one of ${words.join(', ')}.`, fix);
  return undefined;
}

export function readNorm(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const norm = readWordOf(reader, value, key, normModes);
  if (norm) reader.result.norm = norm;
}

export function readView(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const view = readWordOf(reader, value, key, propagationViews);
  if (view) reader.result.view = view;
}

/**
 * What is wrong with a path, at its words.
 * @param known the model's sizes, where they are known: without them its form alone is checked
 */
export function pathProblems({ value, textStart }: LocatedPath, known: PathKnown = {}): PromptProblem[] {
  return parsePath(value, known).problems.map(({ start, end, message, suggestion }): PromptProblem => {
    const range = { start: textStart + start, end: textStart + end };
    const fix = suggestion === undefined ? undefined : { title: `Use ${suggestion}`, ...range, newText: suggestion };
    return { ...range, severity: 'error', code: 'bad-path', message, ...(fix && { fix }) };
  });
}

export function readNode(reader: FrontMatterReader, value: Node | null, key: Node): void {
  const range = reader.rangeOf(value, key);
  if (!isScalar(value) || scalarText(value).trim() === '') {
    const message = 'node is a path, nearest the logits first: L9.H6, or L9.H6@4 <= MLP 3. Tokens count from 1.';
    reader.report(range, 'wrong-type', message);
    return;
  }
  const quoted = value.type === 'QUOTE_DOUBLE' || value.type === 'QUOTE_SINGLE';
  const path: LocatedPath = { value: scalarText(value), textStart: range.start + (quoted ? 1 : 0), ...range };
  const problems = pathProblems(path);
  reader.problems.push(...problems);
  if (problems.length === 0) reader.result.node = path;
}
