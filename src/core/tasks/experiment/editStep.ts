import { isCollection, isMap, isNode, isScalar, isSeq, type Node, parseDocument, type YAMLMap } from 'yaml';
import type { TextEdit } from '../editFrontMatter.ts';

const endOfLine = (source: string): string => (source.includes('\r\n') ? '\r\n' : '\n');

/** The list of steps; null where the file is no YAML, or has none. */
function stepsOf(source: string) {
  const document = parseDocument(source, { logLevel: 'silent', prettyErrors: false });
  const root = document.contents;
  if (document.errors.length > 0 || !isMap(root)) return null;
  const steps = root.get('steps', true);
  return isSeq(steps) && steps.range ? steps : null;
}

const textOf = (map: YAMLMap, key: string): string | undefined => {
  const value = map.get(key, true);
  return isScalar(value) ? String(value.value) : undefined;
};

/** Name of a step: its own, else its analysis. */
function nameOf(item: unknown): string | undefined {
  if (isScalar(item)) return String(item.value);
  return isMap(item) ? (textOf(item, 'name') ?? textOf(item, 'run')) : undefined;
}

const columnOf = (source: string, at: number): number => at - (source.lastIndexOf('\n', at - 1) + 1);

/** Where the text of a node ends: a block collection's range takes in the white space up to what follows. */
function endOf(source: string, { range }: Node): number {
  const [start, end] = range ?? [0, 0];
  return start + source.slice(start, end).trimEnd().length;
}

const startOf = ({ range }: Node): number => range?.[0] ?? 0;

/** Puts a pair into a map before its first key: in flow style on the same line, else on a line of its own. */
function addPair(source: string, map: YAMLMap, text: string): TextEdit | null {
  const [first] = map.items;
  if (map.flow || first === undefined) {
    if (!map.flow || !map.range) return null;
    const at = source.indexOf('{', map.range[0]) + 1;
    return { start: at, end: at, newText: first === undefined ? ` ${text} ` : ` ${text},` };
  }
  if (!isNode(first.key)) return null;
  const at = startOf(first.key);
  return { start: at, end: at, newText: `${text}${endOfLine(source)}${' '.repeat(columnOf(source, at))}` };
}

/** Sets a key of a map to a value in YAML. */
function setPair(source: string, map: YAMLMap, key: string, value: string): TextEdit | null {
  const pair = map.items.find((item) => isScalar(item.key) && item.key.value === key);
  if (pair === undefined) return addPair(source, map, `${key}: ${value}`);
  const { key: own, value: before } = pair;
  if (!isNode(own) || !own.range) return null;
  if (isNode(before) && before.range && before.range[1] > before.range[0])
    return { start: before.range[0], end: endOf(source, before), newText: value };
  const colon = source.indexOf(':', own.range[1]) + 1;
  return { start: colon, end: colon, newText: ` ${value}` };
}

/**
 * The edit that gives a parameter of a step another value (YAML in flow style); comments, order and everything else stay. Null where
 * the step is not there, or the file is no YAML.
 */
export function setStepParameter(source: string, step: string, key: string, value: string): TextEdit | null {
  const item = stepsOf(source)?.items.find((one) => nameOf(one) === step);
  const inside = `with: { ${key}: ${value} }`;
  if (isScalar(item) && item.range)
    return { start: item.range[0], end: item.range[1], newText: `{ run: ${step}, ${inside} }` };
  if (!isMap(item)) return null;
  const given = item.get('with', true);
  if (isMap(given)) return setPair(source, given, key, value);
  if (item.has('with')) return setPair(source, item, 'with', `{ ${key}: ${value} }`);
  if (item.flow) return addPair(source, item, inside);
  const [first] = item.items;
  const run = item.get('run', true);
  if (!isNode(first.key) || !isNode(run) || isCollection(run)) return null;
  const at = endOf(source, run);
  const indent = ' '.repeat(columnOf(source, startOf(first.key)));
  return { start: at, end: at, newText: `${endOfLine(source)}${indent}${inside}` };
}

/**
 * The edit that adds a step at the end of the list.
 * @param lines the step in YAML, without its dash and indentation
 */
export function appendStep(source: string, lines: readonly string[]): TextEdit | null {
  const steps = stepsOf(source);
  const last = steps?.items.at(-1);
  if (steps === null || steps.flow || !isNode(last)) return null;
  const end = endOf(source, last);
  const rest = /^[^\n]*?(?=\r?\n|$)/.exec(source.slice(end))?.[0] ?? '';
  const at = end + rest.length;
  const indent = ' '.repeat(columnOf(source, startOf(steps)));
  const text = lines.map((line, i) => `${endOfLine(source)}${indent}${i === 0 ? '- ' : '  '}${line}`).join('');
  return { start: at, end: at, newText: text };
}
