import { type FrontMatter, parseFrontMatter } from './frontMatter.ts';
import type { PromptProblem } from './promptProblem.ts';

/** One prompt of a file. Offsets are UTF-16 code units. */
export interface PromptSection {
  /** What the model reads: line breaks are `\n`, those before and after the prompt are dropped, spaces are kept. */
  readonly text: string;
  /** Range in the document. */
  readonly start: number;
  readonly end: number;
  /** 0-based line of `start`. */
  readonly line: number;
  /** Offset in `text` → offset in the document. */
  toOffset(utf16InPrompt: number): number;
  /** Offset in the document → offset in `text`, clamped to the prompt. */
  fromOffset(documentOffset: number): number;
}

/** A prompt file, read. */
export interface PromptFile {
  /** Null when the file starts with a prompt. */
  readonly frontMatter: FrontMatter | null;
  readonly prompts: readonly PromptSection[];
  readonly problems: readonly PromptProblem[];
}

/** Prompts of a file that are read; a file of 250,000 divider lines must not stall the editor. */
const mostPrompts = 10_000;

/** More problems than this are counted, not listed. */
const mostProblems = 100;

/** A fresh matcher of divider lines: its `lastIndex` is state. */
const dividerLines = () => /^---[ \t]*\r?$/gm;

/** How many carriage returns of CRLF were removed before an offset of `text`; `removed` is sorted. */
function countUpTo(removed: readonly number[], limit: number): number {
  let low = 0;
  let high = removed.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((removed[middle] ?? 0) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function makeSection(source: string, start: number, end: number, line: number): PromptSection {
  const raw = source.slice(start, end);
  // Offsets in `text` of each `\n` that was `\r\n`.
  const shortened: number[] = [];
  for (let at = raw.indexOf('\r\n'); at >= 0; at = raw.indexOf('\r\n', at + 2)) shortened.push(at - shortened.length);
  const text = shortened.length > 0 ? raw.replaceAll('\r\n', '\n') : raw;
  const toOffset = (offset: number) => {
    const within = Math.max(0, Math.min(offset, text.length));
    return start + within + countUpTo(shortened, within);
  };
  const fromOffset = (offset: number) => {
    const target = Math.max(start, Math.min(offset, end));
    let low = 0;
    let high = text.length;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (toOffset(middle) <= target) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  return { text, start, end, line, toOffset, fromOffset };
}

/** Counts line breaks between growing offsets, so that the whole file is walked once. */
function lineCounter(source: string): (offset: number) => number {
  let line = 0;
  let next = source.indexOf('\n');
  return (offset) => {
    while (next >= 0 && next < offset) {
      line++;
      next = source.indexOf('\n', next + 1);
    }
    return line;
  };
}

function nulProblem(source: string, prompt: PromptSection): PromptProblem | null {
  const found = prompt.text.indexOf('\0');
  if (found < 0) return null;
  const at = prompt.toOffset(found);
  return {
    start: at,
    end: at + 1,
    severity: 'warning',
    code: 'nul-bytes',
    message: 'This prompt has NUL bytes, which the model reads as tokens of their own. Is this a text file?',
    fix: {
      title: 'Remove NUL Bytes',
      start: prompt.start,
      end: prompt.end,
      newText: source.slice(prompt.start, prompt.end).replaceAll('\0', ''),
    },
  };
}

function emptyProblem(source: string, from: number, to: number, isFirst: boolean): PromptProblem {
  // At the divider before it, where there is something to underline.
  const start = isFirst && from === 0 ? 0 : Math.max(0, source.lastIndexOf('---', Math.max(0, from - 1)));
  const end = Math.min(source.length, Math.max(start + 3, from === 0 ? Math.min(to, 3) : 0));
  return {
    start,
    end,
    severity: 'warning',
    code: 'prompt-empty',
    message: 'This prompt is empty: write text after this line, or remove the line ---.',
  };
}

function tooManyProblem(source: string, from: number): PromptProblem {
  const start = Math.max(0, source.lastIndexOf('---', from - 1));
  const message = `A prompt file holds ${mostPrompts.toLocaleString('en')} prompts; those from here on are not read.`;
  return { start, end: start + 3, severity: 'warning', code: 'too-many-prompts', message };
}

interface Split {
  readonly frontMatter: FrontMatter | null;
  readonly problems: PromptProblem[];
  /** Where the first prompt begins; null when there is none. */
  readonly bodyStart: number | null;
}

function splitFrontMatter(source: string): Split {
  const opening = /^\uFEFF?---[ \t]*(\r?\n|$)/.exec(source);
  if (!opening) return { frontMatter: null, problems: [], bodyStart: source.startsWith('\uFEFF') ? 1 : 0 };
  const start = source.startsWith('\uFEFF') ? 1 : 0;
  const yamlStart = opening[0].length;
  const dividers = dividerLines();
  dividers.lastIndex = yamlStart;
  const closing = opening[1] === '' ? null : dividers.exec(source);
  if (!closing) {
    const message = 'Front matter is not closed: write a line --- after the settings.';
    const end = Math.min(source.length, start + 3);
    const problem: PromptProblem = { start, end, severity: 'error', code: 'front-matter-unclosed', message };
    return { frontMatter: null, problems: [problem], bodyStart: null };
  }
  const end = closing.index + closing[0].trimEnd().length;
  const yaml = source.slice(yamlStart, closing.index);
  const { frontMatter, problems } = parseFrontMatter(yaml, yamlStart, { start, end });
  return { frontMatter, problems, bodyStart: closing.index + closing[0].length };
}

/** Ranges of the text between divider lines, without leading and trailing line breaks. */
function* sections(
  source: string,
  bodyStart: number,
): Generator<{ from: number; to: number; start: number; end: number }> {
  const dividers = dividerLines();
  dividers.lastIndex = bodyStart;
  const isBreak = (offset: number) => source[offset] === '\n' || source[offset] === '\r';
  let from = bodyStart;
  for (;;) {
    const divider = dividers.exec(source);
    const to = divider ? divider.index : source.length;
    let start = from;
    let end = to;
    while (start < end && isBreak(start)) start++;
    while (end > start && isBreak(end - 1)) end--;
    yield { from, to, start, end };
    if (!divider) return;
    from = divider.index + divider[0].length;
    dividers.lastIndex = from;
  }
}

function capped(problems: PromptProblem[]): PromptProblem[] {
  if (problems.length <= mostProblems) return problems;
  const shown = problems.slice(0, mostProblems);
  const last = shown[mostProblems - 1];
  const more = problems.length - mostProblems;
  const range = { start: last?.start ?? 0, end: last?.end ?? 1 };
  return [
    ...shown,
    { ...range, severity: 'warning', code: 'more-problems', message: `${more} more problems are not listed.` },
  ];
}

/**
 * Reads a prompt file: optional YAML front matter between a first line `---` and the next one, then prompts divided by
 * lines `---`. Anything that is wrong comes back as a problem with its range; never throws. Linear in the length.
 */
export function parsePromptFile(source: string): PromptFile {
  const { frontMatter, problems, bodyStart } = splitFrontMatter(source);
  if (bodyStart === null) return { frontMatter, prompts: [], problems };
  const prompts: PromptSection[] = [];
  const lineAt = lineCounter(source);
  let read = 0;
  for (const { from, to, start, end } of sections(source, bodyStart)) {
    if (read === mostPrompts) {
      problems.unshift(tooManyProblem(source, from));
      break;
    }
    if (end > start) {
      const prompt = makeSection(source, start, end, lineAt(start));
      prompts.push(prompt);
      const nul = nulProblem(source, prompt);
      if (nul) problems.push(nul);
    } else if (source.trim() !== '') {
      problems.push(emptyProblem(source, from, to, read === 0));
    }
    read++;
  }
  return { frontMatter, prompts, problems: capped(problems) };
}

/** Index of the prompt that holds a document offset, line ends included; the nearest one before it otherwise; −1 in front matter. */
export function promptIndexAt(file: PromptFile, offset: number): number {
  let found = -1;
  for (let i = 0; i < file.prompts.length; i++) {
    if ((file.prompts[i]?.start ?? Number.POSITIVE_INFINITY) > offset) break;
    found = i;
  }
  if (found === -1 && file.prompts.length > 0 && offset >= (file.frontMatter?.end ?? 0)) return 0;
  return found;
}
