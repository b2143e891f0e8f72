import type { DatasetAnswer, DatasetRow } from '../../shared/dataset.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { type Dataset, ProblemList, parseDataset } from './dataset.ts';
import { importAutoCircuit } from './datasetAutoCircuit.ts';
import { importEapIg } from './datasetEapIg.ts';

export const importFormats = ['jsonl', 'autocircuit', 'csv', 'text'] as const;
/** `csv`: EAP-IG's columns, or `prompt,answer` with `foil` and `corrupted`. `text`: lines of `prompt, answer`. */
export type ImportFormat = (typeof importFormats)[number];

/** What a file probably is, by its name. */
export function formatOfFile(name: string): ImportFormat {
  const ending = /\.(\w+)$/.exec(name.toLowerCase())?.[1];
  if (ending === 'jsonl' || ending === 'csv') return ending;
  return ending === 'json' ? 'autocircuit' : 'text';
}

/** The longest beginning of `answer` that `prompt` ends with: the letters of an acronym that are given. */
function overlap(prompt: string, answer: string): number {
  for (let length = answer.length - 1; length > 0; length--) {
    if (prompt.endsWith(answer.slice(0, length))) return length;
  }
  return 0;
}

/** `prompt, answer` → the text from which all tokens of the answer are predicted, and those tokens. */
function readLine(prompt: string, answer: string, tokenizer: Tokenizer | null): Omit<DatasetRow, 'id'> {
  const given = /[A-Z]$/.test(prompt) ? overlap(prompt, answer) : 0;
  const whole = given > 0 || /[\s([{"'“‘]$/.test(prompt) ? answer : ` ${answer}`;
  const alone = { clean: prompt, roles: {}, answers: [one('answer', -1, whole.slice(given))], tags: [] };
  if (tokenizer === null) return alone;
  const full = prompt + whole.slice(given);
  const tokens = tokenizer.encode(full);
  const start = prompt.length - given;
  const first = tokens.findIndex((token) => token.end > start && token.end > token.start);
  const own = tokens.slice(first);
  // The answer must begin with a token of its own, after at least one of the prompt.
  if (first < 1 || own[0].start !== start || own.length < 2) return alone;
  const clean = full.slice(0, own[own.length - 1].start);
  return { clean, roles: {}, answers: own.map(({ text }, i) => one(`L${i + 1}`, first - 1 + i, text)), tags: [] };
}

function one(name: string, pos: number, token: string): DatasetAnswer {
  return { name, pos, token, foils: [] };
}

/**
 * Reads lines of `prompt, answer`, divided at the last comma (the acronym paper's file has `The Ketchup Lark Wreck (KL, KLW`).
 * A space is put before the answer unless the prompt ends in a space, an opening bracket or quote, or the beginning of the
 * answer. With a tokenizer, an answer of several tokens becomes one answer for each token, `L1`, `L2` …, read where the tokens
 * before it are given. Foils are to be added. Never throws.
 */
function importText(text: string, tokenizer: Tokenizer | null): Dataset {
  const rows: DatasetRow[] = [];
  const problems = new ProblemList();
  text.split(/\r?\n/).forEach((source, line) => {
    const comma = source.lastIndexOf(',');
    const prompt = source.slice(0, Math.max(0, comma));
    const answer = source.slice(comma + 1).trim();
    if (source.trim() === '') return;
    if (prompt.trim() === '' || answer === '') {
      const message = 'A line is "prompt, answer", divided at its last comma.';
      problems.push({ line, column: 0, length: source.length, severity: 'error', code: 'missing-key', message });
      return;
    }
    rows.push({ id: String(line + 1), ...readLine(prompt, answer, tokenizer) });
  });
  return { rows, problems: problems.list() };
}

/**
 * Reads a dataset in another shape. Never throws because of the text.
 * @param tokenizer of the model it is for, where there is one: multi-token answers of `text`, and whether a BOS token counts
 */
export function importDataset(text: string, format: ImportFormat, tokenizer: Tokenizer | null): Dataset {
  switch (format) {
    case 'jsonl':
      return parseDataset(text);
    case 'autocircuit':
      return importAutoCircuit(text, tokenizer?.addsBos ? 1 : 0);
    case 'csv':
      return importEapIg(text);
    case 'text':
      return importText(text, tokenizer);
  }
}
