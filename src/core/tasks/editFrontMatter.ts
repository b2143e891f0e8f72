import { isCollection, isMap, isNode, isScalar, parseDocument } from 'yaml';
import type { ObservableSpec } from '../../shared/engineProtocol.ts';
import type { FrontMatterKey } from './frontMatter.ts';
import { parsePromptFile } from './promptFile.ts';

/** A replacement of `[start, end)` of a document. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly newText: string;
}

/** An observable as it is written in front matter: `{ " she": 1, " he": -1 }`. */
export function observableText(spec: ObservableSpec): string {
  const terms = Object.entries(spec).map(([text, weight]) => `${JSON.stringify(text)}: ${weight}`);
  return `{ ${terms.join(', ')} }`;
}

/** A name as a YAML scalar; quoted only where it has to be. */
export function plainText(name: string): string {
  return /^[A-Za-z/~.][\w./~-]*$/.test(name) && !/^(?:true|false|null|yes|no|on|off|~)$/i.test(name)
    ? name
    : JSON.stringify(name);
}

/**
 * The edit that sets one key of the front matter of a prompt file to `value` (YAML text). Comments, order and all other
 * settings stay. Null when the front matter is not valid YAML: it has to be put right first.
 */
export function setFrontMatter(source: string, key: FrontMatterKey, value: string): TextEdit | null {
  const eol = source.includes('\r\n') ? '\r\n' : '\n';
  const { frontMatter, problems } = parsePromptFile(source);
  if (!frontMatter) {
    if (problems.some((p) => p.code === 'front-matter-unclosed')) return null;
    const start = source.startsWith('\uFEFF') ? 1 : 0;
    return { start, end: start, newText: `---${eol}${key}: ${value}${eol}---${eol}` };
  }
  const { yamlStart, yamlEnd } = frontMatter;
  if (problems.some((p) => p.code === 'yaml' || p.code === 'front-matter-too-long')) return null;
  const document = parseDocument(source.slice(yamlStart, yamlEnd), { logLevel: 'silent', prettyErrors: false });
  const root = document.contents;
  if (root !== null && !isMap(root)) return null;
  const pair = root?.items.find((item) => isScalar(item.key) && item.key.value === key);
  if (pair && isNode(pair.key) && pair.key.range) {
    const range = isNode(pair.value) && pair.value.range ? pair.value.range : null;
    if (range && range[1] > range[0]) {
      const old = source.slice(yamlStart + range[0], yamlStart + range[1]);
      const kept = isCollection(pair.value) ? old.trimEnd().length : old.length;
      return { start: yamlStart + range[0], end: yamlStart + range[0] + kept, newText: value };
    }
    const colon = source.indexOf(':', yamlStart + pair.key.range[1]) + 1;
    return { start: colon, end: colon, newText: ` ${value}` };
  }
  if (root?.flow && root.range) {
    const close = yamlStart + root.range[1] - 1;
    return { start: close, end: close, newText: `${root.items.length > 0 ? ', ' : ''}${key}: ${value}` };
  }
  return { start: yamlEnd, end: yamlEnd, newText: `${key}: ${value}${eol}` };
}

/** One edit that sets several keys, from the first change to the last. Null as `setFrontMatter`. */
export function setFrontMatterKeys(
  source: string,
  pairs: readonly (readonly [key: FrontMatterKey, value: string])[],
): TextEdit | null {
  let text = source;
  for (const [key, value] of pairs) {
    const change = setFrontMatter(text, key, value);
    if (!change) return null;
    text = text.slice(0, change.start) + change.newText + text.slice(change.end);
  }
  const most = Math.min(source.length, text.length);
  let start = 0;
  while (start < most && source[start] === text[start]) start++;
  let kept = 0;
  while (kept < most - start && source[source.length - 1 - kept] === text[text.length - 1 - kept]) kept++;
  return { start, end: source.length - kept, newText: text.slice(start, text.length - kept) };
}
