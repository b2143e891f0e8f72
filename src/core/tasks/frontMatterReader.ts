import type { Node, Scalar } from 'yaml';
import type { FrontMatter } from './frontMatter.ts';
import type { PromptProblem, PromptProblemCode } from './promptProblem.ts';

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Front matter that is being read: nodes to document ranges, and what was found so far. */
export class FrontMatterReader {
  readonly problems: PromptProblem[] = [];
  readonly result: Writable<FrontMatter>;

  constructor(
    readonly base: number,
    readonly yaml: string,
    block: { start: number; end: number },
  ) {
    this.result = { ...block, yamlStart: base, yamlEnd: base + yaml.length };
  }

  /** Document range of a node, never empty: a value that is missing is underlined at `otherwise`, its key. */
  rangeOf(node: Node | null | undefined, otherwise: Node | null = null): { start: number; end: number } {
    const own = node?.range;
    const range = (own && own[1] > own[0] ? own : (otherwise?.range ?? own)) ?? [0, 0, 0];
    return this.clamp(range[0], range[1]);
  }

  clamp(from: number, to: number): { start: number; end: number } {
    const start = Math.max(0, Math.min(from, this.yaml.length));
    const end = Math.max(start, Math.min(to, this.yaml.length));
    return end > start
      ? { start: this.base + start, end: this.base + end }
      : { start: this.base + Math.max(0, start - 1), end: this.base + Math.max(1, end) };
  }

  report(
    range: { start: number; end: number },
    code: PromptProblemCode,
    message: string,
    fix?: { title: string; newText: string },
    severity: 'error' | 'warning' = 'error',
  ): void {
    this.problems.push({ ...range, severity, code, message, ...(fix && { fix: { ...range, ...fix } }) });
  }
}

/** The text of a key or a plain value as it was meant, whatever YAML made of it (`no`, `1`, `null`). */
export function scalarText(scalar: Scalar): string {
  if (typeof scalar.value === 'string') return scalar.value;
  return scalar.source ?? String(scalar.value);
}
