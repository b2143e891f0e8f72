import type { DatasetAnswer, DatasetEntry, DatasetProblem, DatasetRow, TokenRef } from '../../shared/dataset.ts';
import { visibleToken } from '../../shared/format.ts';
import type { AnswerTarget } from '../../shared/metric.ts';
import type { PromptToken } from '../../shared/traceDocument.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { JsonPath } from './datasetJson.ts';
import { type Report, reporter } from './datasetRow.ts';
import { checkTerms } from './observable.ts';

/** A row in the model's own tokens. Positions are absolute, 0-based, BOS included. */
export interface DatasetItem {
  readonly id: string;
  readonly clean: readonly PromptToken[];
  /** As many tokens as `clean`; null when the row has no corrupted prompt. */
  readonly corrupted: readonly PromptToken[] | null;
  /** First position at which the corrupted prompt has another token: all before it need not be run twice. */
  readonly firstChange: number | null;
  readonly roles: Readonly<Record<string, readonly number[]>>;
  readonly answers: readonly AnswerTarget[];
  readonly tags: readonly string[];
}

export interface ResolvedEntry {
  readonly line: number;
  /** Null when the row has an error. */
  readonly item: DatasetItem | null;
  readonly problems: readonly DatasetProblem[];
}

const shown = (token: PromptToken | undefined) => (token === undefined ? 'the end' : visibleToken(token.text));

function firstDifference(a: readonly PromptToken[], b: readonly PromptToken[]): number | null {
  const length = Math.max(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i]?.id !== b[i]?.id) return i;
  return null;
}

function encodePrompt(text: string, key: string, tokenizer: Tokenizer, nCtx: number, report: Report) {
  const tokens = tokenizer.encode(text);
  if (tokens.length > nCtx) {
    const message = `This prompt has ${tokens.length} tokens; the model reads at most ${nCtx}.`;
    report([key], 'prompt-too-long', message);
    return null;
  }
  if (tokens.length > 0) return tokens;
  report([key], 'prompt-empty', 'This prompt has no tokens.');
  return null;
}

function encodeCorrupted(row: DatasetRow, clean: readonly PromptToken[], tokenizer: Tokenizer, report: Report) {
  const corrupted = tokenizer.encode(row.corrupted ?? '');
  const at = firstDifference(clean, corrupted);
  if (corrupted.length !== clean.length && at !== null) {
    const part = `they part at token ${at + 1}: ${shown(clean[at])} and ${shown(corrupted[at])}`;
    const message = `The clean prompt has ${clean.length} tokens and the corrupted one ${corrupted.length}; ${part}. Positions can only be compared between prompts of equal length.`;
    report(['corrupted'], 'unlike-length', message);
    return null;
  }
  if (at === null) {
    report(['corrupted'], 'same-tokens', 'The corrupted prompt has the same tokens as the clean one.', 'warning');
  }
  return { corrupted, firstChange: at };
}

/** The id of one token, or null with the reason reported: the split, and the spelling that is one token. */
function tokenId(token: TokenRef, path: JsonPath, tokenizer: Tokenizer, report: Report): number | null {
  if (typeof token === 'number') {
    if (token < tokenizer.dVocab) return token;
    const message = `There is no token ${token}: the model's vocabulary has ${tokenizer.dVocab}. Was this file made for another model?`;
    report(path, 'unknown-token', message);
    return null;
  }
  const [{ pieces, suggestion }] = checkTerms([token], tokenizer);
  if (pieces.length === 1) return pieces[0].id;
  const split = pieces.map((piece) => visibleToken(piece.text)).join(' | ');
  const advice =
    suggestion === null ? 'Choose one that is a single token.' : `Write "${suggestion}", which is one token.`;
  report(path, 'token-splits', `"${token}" is ${pieces.length} tokens: ${split}. ${advice}`);
  return null;
}

/** Absolute position of an index that may count from the end, or null with the reason reported. */
function absolute(pos: number, length: number, path: JsonPath, report: Report): number | null {
  const position = pos < 0 ? length + pos : pos;
  if (position >= 0 && position < length) return position;
  const message = `There is no position ${pos}: the prompt has ${length} tokens, 0 to ${length - 1} (or -1 for the last).`;
  report(path, 'position-outside', message);
  return null;
}

function resolveAnswer(answer: DatasetAnswer, index: number, length: number, tokenizer: Tokenizer, report: Report) {
  const path: JsonPath = ['answers', index];
  const position = absolute(answer.pos, length, [...path, 'pos'], report);
  const id = tokenId(answer.token, [...path, 'token'], tokenizer, report);
  const foils = answer.foils.map((foil, i) => tokenId(foil, [...path, 'foils', i], tokenizer, report));
  const known = foils.filter((foil) => foil !== null);
  if (position === null || id === null || known.length < foils.length) return null;
  const same = known.indexOf(id);
  if (same >= 0) {
    report([...path, 'foils', same], 'answer-is-foil', 'This foil is the answer itself.');
    return null;
  }
  return { name: answer.name, position, answer: id, foils: known };
}

function resolveRow(row: DatasetRow, tokenizer: Tokenizer, nCtx: number, report: Report): DatasetItem | null {
  const clean = encodePrompt(row.clean, 'clean', tokenizer, nCtx, report);
  if (clean === null) return null;
  const pair =
    row.corrupted === undefined
      ? { corrupted: null, firstChange: null }
      : encodeCorrupted(row, clean, tokenizer, report);
  const answers = row.answers.map((answer, i) => resolveAnswer(answer, i, clean.length, tokenizer, report));
  const known = answers.filter((answer) => answer !== null);
  const roles = Object.entries(row.roles).map(([name, at]) => {
    const positions = at.map((pos, i) => {
      const path = at.length === 1 ? ['roles', name] : ['roles', name, i];
      return absolute(pos, clean.length, path, report);
    });
    return [name, positions] as const;
  });
  if (pair === null || known.length < answers.length || roles.some(([, at]) => at.includes(null))) return null;
  const resolved = Object.fromEntries(roles) as Record<string, number[]>;
  return { id: row.id, clean, ...pair, roles: resolved, answers: known, tags: row.tags };
}

/**
 * A row in the tokens of a model. Refused, at the word, are answers and foils of several tokens (with the split), clean and
 * corrupted prompts of unlike length (with the place where they part), and positions outside the prompt. Never throws.
 * @param nCtx the model's context; absent: no limit
 */
export function resolveEntry(
  entry: DatasetEntry,
  tokenizer: Tokenizer,
  nCtx = Number.POSITIVE_INFINITY,
): ResolvedEntry {
  const problems: DatasetProblem[] = [...entry.problems];
  const { line, row } = entry;
  if (row === null) return { line, item: null, problems };
  return { line, item: resolveRow(row, tokenizer, nCtx, reporter(entry.text, line, problems)), problems };
}

/** `resolveEntry` over a stream of entries, one at a time. */
export async function* resolveDataset(
  entries: AsyncIterable<DatasetEntry> | Iterable<DatasetEntry>,
  tokenizer: Tokenizer,
  nCtx?: number,
): AsyncGenerator<ResolvedEntry> {
  for await (const entry of entries) yield resolveEntry(entry, tokenizer, nCtx);
}
