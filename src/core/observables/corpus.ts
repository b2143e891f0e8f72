import { closeSync, createReadStream, openSync, readSync, statSync } from 'node:fs';
import { extname } from 'node:path';
import { TextDecoder } from 'node:util';
import { MechanistError } from '../../shared/errors.ts';
import type { StepFile } from '../experiments/stepKind.ts';

/** Texts that a model reads, in one file. */
export interface Corpus {
  /** As the person wrote it. */
  readonly name: string;
  readonly path: string;
  /** `lines`: every line is a document. `blank-lines`: they are parted by lines without a letter. `jsonl`: the text is under `text`. */
  readonly format: 'blank-lines' | 'lines' | 'jsonl';
  readonly bytes: number;
}

/** Bytes of a file whose documents belong together: an independent piece of work. */
export interface CorpusShare {
  readonly index: number;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  /** Tokens that are taken from it at most. */
  readonly tokens: number;
}

export interface CorpusDocument {
  readonly text: string;
  /** Offset in the file, in bytes. */
  readonly at: number;
}

/** Tokens of a share: about what a small model reads in a second. */
const SHARE_TOKENS = 4096;
/** Tokens are seldom shorter than this, in bytes. */
const TOKEN_BYTES = 3;
/** Longest line, in bytes. */
const LONGEST_LINE = 16 << 20;
/** Longer documents are read in pieces of about this many characters. */
const PIECE = 1 << 20;
const NEWLINE = 0x0a;

function problem(name: string, what: string): MechanistError {
  return new MechanistError('bad-input', `The corpus ${name} ${what}`);
}

const binary = (name: string) => problem(name, 'holds NUL bytes: it is no text, or UTF-16. Save it as UTF-8 text.');

/** Refuses at once what the first bytes give away. */
function checkBeginning(name: string, path: string): void {
  const bytes = Buffer.alloc(8192);
  const file = openSync(path, 'r');
  try {
    const read = readSync(file, bytes, 0, bytes.length, 0);
    if (bytes.subarray(0, read).includes(0)) throw binary(name);
  } finally {
    closeSync(file);
  }
}

function unreadable(name: string, error: unknown): unknown {
  if (error instanceof MechanistError || !(error instanceof Error)) return error;
  return problem(name, `cannot be read: ${error.message}. Check that it is a file beside the experiment.`);
}

/**
 * A corpus by its name and place: `.txt`, documents parted by blank lines or one a line, or `.jsonl` with `text`.
 * @throws MechanistError `bad-input`: another kind of file, missing, empty or binary
 */
export function openCorpus(name: string, { path }: Pick<StepFile, 'path'>, separator: 'blank-line' | 'line'): Corpus {
  const kind = extname(path).toLowerCase();
  if (kind !== '.txt' && kind !== '.jsonl') {
    throw problem(
      name,
      'is neither .txt nor .jsonl. Text goes into a .txt file; a .jsonl file has {"text": "…"} a line.',
    );
  }
  try {
    const { size } = statSync(path);
    if (size === 0) throw problem(name, 'is empty. Write texts into it, parted by blank lines.');
    checkBeginning(name, path);
    const format = kind === '.jsonl' ? 'jsonl' : separator === 'line' ? 'lines' : 'blank-lines';
    return { name, path, format, bytes: size };
  } catch (error) {
    throw unreadable(name, error);
  }
}

/**
 * Cuts a corpus into shares of equal size, together at most `tokens` tokens: a limit takes texts from all over the file rather than
 * its beginning.
 */
export function corpusShares({ bytes }: Corpus, tokens: number): readonly CorpusShare[] {
  const count = Math.max(1, Math.ceil(Math.min(tokens, bytes / TOKEN_BYTES) / SHARE_TOKENS));
  const cut = (total: number, index: number) => Math.floor((total * index) / count);
  return Array.from({ length: count }, (_, index) => ({
    index,
    start: cut(bytes, index),
    end: cut(bytes, index + 1),
    tokens: cut(tokens, index + 1) - cut(tokens, index),
  }));
}

interface Line {
  readonly text: string;
  readonly at: number;
}

function decode({ name }: Corpus, bytes: Buffer, decoder: TextDecoder): string {
  if (bytes.includes(0)) throw binary(name);
  try {
    return decoder.decode(bytes[bytes.length - 1] === 0x0d ? bytes.subarray(0, -1) : bytes);
  } catch {
    throw problem(name, 'is not UTF-8 text. Save it as UTF-8.');
  }
}

/** Lines that start at `from` or later. */
async function* linesFrom(corpus: Corpus, from: number): AsyncGenerator<Line> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  // The byte before tells whether a line starts at `from`: what comes up to its end belongs to an earlier share.
  let skipping = from > 0;
  let at = from > 0 ? from - 1 : 0;
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of createReadStream(corpus.path, { start: at }) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const bytes = Buffer.concat([...parts, chunk.subarray(start, end)]);
      if (!skipping) yield { text: decode(corpus, bytes, decoder), at };
      skipping = false;
      at += bytes.length + 1;
      [parts, length, start] = [[], 0, end + 1];
    }
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > LONGEST_LINE)
      throw problem(corpus.name, 'has a line of more than 16 MiB. Is it text? Break its lines.');
  }
  if (length > 0 && !skipping) yield { text: decode(corpus, Buffer.concat(parts), decoder), at };
}

function textOf({ name }: Corpus, { text, at }: Line): string {
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string')
      return value.text;
  } catch {
    // Told below, as for JSON of another form.
  }
  const start = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  throw problem(name, `has a line without a text, at byte ${at}: ${start} Each line is {"text": "…"}.`);
}

async function* lineDocuments(corpus: Corpus, { start, end }: CorpusShare): AsyncGenerator<CorpusDocument> {
  for await (const line of linesFrom(corpus, start)) {
    if (line.at >= end) return;
    if (line.text.trim() === '') continue;
    yield corpus.format === 'jsonl' ? { text: textOf(corpus, line), at: line.at } : line;
  }
}

/** A document belongs to the share in which the blank line before it starts: every document to one, wherever shares are cut. */
async function* blocks(corpus: Corpus, { start, end }: CorpusShare): AsyncGenerator<CorpusDocument> {
  let own = start === 0;
  let lines: Line[] = [];
  let length = 0;
  const document = () => ({ text: lines.map(({ text }) => text).join('\n'), at: lines[0].at });
  for await (const line of linesFrom(corpus, start)) {
    const blank = line.text.trim() === '';
    if (lines.length > 0 && (blank || length > PIECE)) {
      yield document();
      [lines, length] = [[], 0];
    }
    if (line.at >= end && (blank || !own)) return;
    if (blank) own = true;
    else if (own) {
      lines.push(line);
      length += line.text.length;
    }
  }
  if (lines.length > 0) yield document();
}

/**
 * The documents of a share, read as they are asked for.
 * @throws MechanistError `bad-input`: not UTF-8, a line without a text, a line beyond measure, no longer there
 */
export async function* documentsOf(corpus: Corpus, share: CorpusShare): AsyncGenerator<CorpusDocument> {
  try {
    yield* corpus.format === 'blank-lines' ? blocks(corpus, share) : lineDocuments(corpus, share);
  } catch (error) {
    throw unreadable(corpus.name, error);
  }
}
