import { type Document, isAlias, isCollection, isMap, isScalar, isSeq, type Node, type Pair, type Scalar } from 'yaml';
import { nearestWord } from '../nearestWord.ts';
import type { ExperimentProblem, ExperimentProblemCode } from './experimentTypes.ts';

export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** The text of a key or a plain value as it was meant, whatever YAML made of it (`no`, `1`, `null`). */
export function scalarText(scalar: Scalar): string {
  if (typeof scalar.value === 'string') return scalar.value;
  return scalar.source ?? String(scalar.value);
}

/** More problems than this are counted, not listed. */
const mostProblems = 100;

/** A YAML document that is being read: nodes to ranges and values, and the problems found so far. */
export class YamlReader {
  readonly #problems: ExperimentProblem[] = [];

  constructor(
    readonly text: string,
    readonly document: Document,
  ) {}

  /** The first hundred, in the order of the text, and how many more there are. */
  problems(): readonly ExperimentProblem[] {
    const sorted = [...this.#problems].sort((a, b) => a.start - b.start);
    const last = sorted[mostProblems - 1];
    if (sorted.length <= mostProblems || last === undefined) return sorted;
    const message = `${sorted.length - mostProblems} more problems are not listed.`;
    const { start, end } = last;
    return [...sorted.slice(0, mostProblems), { start, end, severity: 'warning', code: 'more-problems', message }];
  }

  /** What an alias stands for; other nodes are themselves. */
  resolve(node: unknown): Node | null {
    if (isAlias(node)) return (node.resolve(this.document) as Node | undefined) ?? null;
    return (node as Node | null | undefined) ?? null;
  }

  /** Range of a node, never empty: a value that is missing is underlined at `otherwise`, its key. */
  rangeOf(node: Node | null, otherwise: Node | null = null): TextRange {
    const own = node?.range;
    const range = (own && own[1] > own[0] ? own : (otherwise?.range ?? own)) ?? [0, 0, 0];
    // The range of a block collection takes in the white space up to what follows.
    const end =
      isCollection(node) && !node.flow ? range[0] + this.text.slice(range[0], range[1]).trimEnd().length : range[1];
    return this.clamp(range[0], end);
  }

  clamp(from: number, to: number): TextRange {
    const start = Math.max(0, Math.min(from, this.text.length));
    const end = Math.max(start, Math.min(to, this.text.length));
    return end > start ? { start, end } : { start: Math.max(0, start - 1), end: Math.max(1, end) };
  }

  /** `clamp`, up to the end of a word that the range begins. */
  wordAt(from: number, to: number): TextRange {
    const word = /^\w+/.exec(this.text.slice(from, from + 100))?.[0] ?? '';
    return this.clamp(from, Math.max(to, from + word.length));
  }

  report(
    range: TextRange,
    code: ExperimentProblemCode,
    message: string,
    fix?: { readonly title: string; readonly newText: string },
    severity: ExperimentProblem['severity'] = 'error',
  ): void {
    const { start, end } = range;
    this.#problems.push({ start, end, severity, code, message, ...(fix && { fix: { start, end, ...fix } }) });
  }

  /** A key that nobody reads, with the one that may have been meant. */
  reportUnknownKey(key: Node | null, name: string, known: readonly string[], of: string): void {
    const near = nearestWord(name, known);
    const message = `${name === '' ? 'This key' : `"${name}"`} is not a key of ${of}. Keys: ${known.join(', ')}.`;
    this.report(
      this.rangeOf(key),
      'unknown-key',
      message,
      near ? { title: `Change to ${near}`, newText: near } : undefined,
    );
  }

  /** The pairs of a map with their keys as text. */
  pairsOf(
    node: Node | null,
  ): readonly { readonly name: string; readonly key: Node | null; readonly value: Node | null }[] {
    if (!isMap(node)) return [];
    return node.items.map((pair: Pair) => {
      const key = this.resolve(pair.key);
      return { name: isScalar(key) ? scalarText(key) : '', key, value: this.resolve(pair.value) };
    });
  }

  itemsOf(node: Node | null): readonly (Node | null)[] {
    return isSeq(node) ? node.items.map((item) => this.resolve(item)) : [];
  }

  /** Text of a scalar that is not empty; undefined otherwise. */
  textOf(node: Node | null): string | undefined {
    if (!isScalar(node) || node.value === null) return undefined;
    const text = scalarText(node).trim();
    return text === '' ? undefined : text;
  }

  /** The value as plain data. */
  valueOf(node: Node | null): unknown {
    return node === null ? null : node.toJS(this.document, { maxAliasCount: 20 });
  }

  /** The node at a path of keys and indices below `root`, and the key that leads to it. */
  nodeAt(root: Node | null, path: readonly string[]): { readonly node: Node | null; readonly key: Node | null } {
    let node = root;
    let key: Node | null = null;
    for (const step of path) {
      const pair = this.pairsOf(node).find(({ name }) => name === step);
      const next = pair ? pair.value : this.itemsOf(node)[Number(step)];
      if (next === undefined) break;
      key = pair ? pair.key : key;
      node = next;
    }
    return { node, key };
  }
}
