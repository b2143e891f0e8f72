/** Where a cursor stands in an experiment file, also while what is around it is not valid YAML. */
export interface CursorPlace {
  /** Keys from the outside in; `-` for an item of a list. `['steps', '-', 'with']` is inside a step's parameters. */
  readonly path: readonly string[];
  /** Whether a key or a value is being written; the path of a value ends with its key. */
  readonly kind: 'key' | 'value';
  /** The word so far: UTF-16 offsets of the document. */
  readonly start: number;
  readonly word: string;
  /** Text of the step around the cursor; empty outside of the steps. */
  readonly step: string;
}

interface Line {
  readonly text: string;
  readonly start: number;
}

/** `  - - key: value` in parts: columns of dashes and of the key. */
function partsOf(text: string): { dashes: number[]; column: number; key: string | null; after: string } {
  const dashes: number[] = [];
  let column = /^ */.exec(text)?.[0].length ?? 0;
  while (/^-(?: |$)/.test(text.slice(column))) {
    dashes.push(column);
    column += 1 + (/^ */.exec(text.slice(column + 1))?.[0].length ?? 0);
  }
  const match = /^([^\s:{}[\],"'#][^:{}[\],"'#]*?):(?=\s|$)/.exec(text.slice(column));
  const key = match?.[1] ?? null;
  return { dashes, column, key, after: match ? text.slice(column + match[0].length) : text.slice(column) };
}

function isBlank(text: string): boolean {
  return /^\s*(?:#.*)?$/.test(text);
}

/**
 * Keys around a block position at `column`, from the lines above it.
 * @param isItem it begins with a dash: the key of its list may stand in the same column
 */
function pathAbove(lines: readonly Line[], column: number, isItem: boolean): string[] {
  const path: string[] = [];
  let limit = column;
  let inclusive = isItem;
  for (let i = lines.length - 1; i >= 0; i--) {
    const { text } = lines[i];
    if (isBlank(text)) continue;
    const { dashes, column: at, key } = partsOf(text);
    if (key !== null && (at < limit || (inclusive && at === limit))) {
      path.unshift(key);
      limit = at;
      inclusive = false;
    }
    for (const dash of [...dashes].reverse()) {
      if (dash >= limit) continue;
      path.unshift('-');
      limit = dash;
      inclusive = true;
    }
  }
  return path;
}

/** What is open inside `text`: keys of flow maps, `-` for lists, and whether a value is being written. */
function flowPath(text: string): { path: string[]; value: boolean; from: number } {
  const open: { key: string | null; isMap: boolean }[] = [];
  let word = 0;
  let value = true;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quote !== '') {
      if (c === quote) quote = '';
      continue;
    }
    if (c === '"' || c === "'") quote = c;
    else if (c === '{' || c === '[') {
      open.push({ key: null, isMap: c === '{' });
      value = c === '[';
      word = i + 1;
    } else if (c === '}' || c === ']') {
      open.pop();
      value = true;
      word = i + 1;
    } else if (c === ',' && open.length > 0) {
      const last = open[open.length - 1];
      last.key = null;
      value = !last.isMap;
      word = i + 1;
    } else if (c === ':' && /^(?:\s|$)/.test(text.slice(i + 1)) && open.length > 0) {
      open[open.length - 1].key = text.slice(word, i).trim();
      value = true;
      word = i + 1;
    }
  }
  const path = open.flatMap(({ key, isMap }) => (isMap ? (key === null ? [] : [key]) : ['-']));
  return { path, value, from: word };
}

/** The lines of the step around line `index`; empty outside of the steps. */
function stepAround(lines: readonly Line[], index: number): string {
  const head = lines.findIndex(({ text }) => /^steps:/.test(text));
  const firstItem = lines.findIndex(({ text }, i) => i > head && /^ *-(?: |$)/.test(text));
  if (head < 0 || firstItem < 0 || index < firstItem) return '';
  const column = lines[firstItem].text.indexOf('-');
  const begins = ({ text }: Line) => text.startsWith('-', column) && text.slice(0, column).trim() === '';
  const ends = ({ text }: Line) =>
    !isBlank(text) && /^ */.exec(text)?.[0].length === 0 && !(column === 0 && begins({ text, start: 0 }));
  let from = index;
  while (from > firstItem && !begins(lines[from])) from--;
  if (lines.slice(firstItem, index + 1).some(ends)) return '';
  let to = from + 1;
  while (to < lines.length && !begins(lines[to]) && !ends(lines[to])) to++;
  return lines
    .slice(from, to)
    .map(({ text }) => text)
    .join('\n');
}

/** The place of the cursor; null in a comment. */
export function placeAt(text: string, offset: number): CursorPlace | null {
  let start = 0;
  const lines = text.split('\n').map((line): Line => {
    const own = { text: line.replace(/\r$/, ''), start };
    start += line.length + 1;
    return own;
  });
  let index = 0;
  while (index + 1 < lines.length && lines[index + 1].start <= offset) index++;
  const line = lines[index];
  const before = line.text.slice(0, offset - line.start);
  if (/(?:^|\s)#/.test(before.replaceAll(/"[^"]*"|'[^']*'/g, ''))) return null;
  const { dashes, column, key, after } = partsOf(before);
  const outer = pathAbove(lines.slice(0, index), dashes[0] ?? column, dashes.length > 0);
  const own = [...outer, ...dashes.map(() => '-'), ...(key === null ? [] : [key])];
  const flow = flowPath(after);
  const inFlow = /[{[]/.test(after);
  const from = before.length - after.length + flow.from;
  const written = before.slice(from);
  const word = written.trimStart();
  return {
    path: [...own, ...flow.path],
    kind: inFlow ? (flow.value ? 'value' : 'key') : key === null ? 'key' : 'value',
    start: line.start + from + (written.length - word.length),
    word,
    step: stepAround(lines, index),
  };
}
