import type { DatasetAnswer, DatasetEntry, DatasetProblem, DatasetRow, RolePlace } from '../../shared/dataset.ts';
import { visibleToken } from '../../shared/format.ts';
import type { AnswerTarget } from '../../shared/metric.ts';
import type { PromptToken } from '../../shared/traceDocument.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { JsonPath } from './datasetJson.ts';
import { type Report, reporter } from './datasetReport.ts';
import { TokenSets } from './tokenSets.ts';

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
  /** Names of the answers whose foils are `@others`: empty here, as one row does not know them. */
  readonly othersAsFoils: readonly string[];
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

/**
 * A corrupted prompt in tokens, and the first one that is another than the clean prompt's; null, with the reason reported,
 * when the two are of unlike length.
 */
export function encodePair(
  text: string,
  clean: readonly PromptToken[],
  path: JsonPath,
  tokenizer: Tokenizer,
  report: Report,
): { readonly corrupted: readonly PromptToken[]; readonly firstChange: number | null } | null {
  const corrupted = tokenizer.encode(text);
  const at = firstDifference(clean, corrupted);
  if (corrupted.length === clean.length || at === null) return { corrupted, firstChange: at };
  const part = `they part at token ${at + 1}: ${shown(clean[at])} and ${shown(corrupted[at])}`;
  const message = `The clean prompt has ${clean.length} tokens and the corrupted one ${corrupted.length}; ${part}. Positions can only be compared between prompts of equal length.`;
  report(path, 'unlike-length', message);
  return null;
}

function encodeCorrupted(text: string, clean: readonly PromptToken[], tokenizer: Tokenizer, report: Report) {
  const pair = encodePair(text, clean, ['corrupted'], tokenizer, report);
  if (pair?.firstChange === null) {
    report(['corrupted'], 'same-tokens', 'The corrupted prompt has the same tokens as the clean one.', 'warning');
  }
  return pair;
}

/** Absolute position of an index that may count from the end, or null with the reason reported. */
function absolute(pos: number, length: number, path: JsonPath, report: Report): number | null {
  const position = pos < 0 ? length + pos : pos;
  if (position >= 0 && position < length) return position;
  const message = `There is no position ${pos}: the prompt has ${length} tokens, 0 to ${length - 1} (or -1 for the last).`;
  report(path, 'position-outside', message);
  return null;
}

function resolveFoils(answer: DatasetAnswer, id: number | null, path: JsonPath, sets: TokenSets, report: Report) {
  if (answer.foils === '@others') return [];
  if (typeof answer.foils === 'string') {
    const members = sets.members(answer.foils, path, report);
    const foils = members?.filter((one) => one !== id) ?? null;
    if (foils?.length !== 0) return foils;
    report(path, 'no-foils', `The set ${answer.foils} has no member but the answer.`);
    return null;
  }
  const foils = answer.foils.map((foil, i) => sets.id(foil, [...path, i], report));
  const same = id === null ? -1 : foils.indexOf(id);
  if (same >= 0) report([...path, same], 'answer-is-foil', 'This foil is the answer itself.');
  return same >= 0 || foils.includes(null) ? null : (foils as number[]);
}

function resolveAnswer(answer: DatasetAnswer, index: number, length: number, sets: TokenSets, report: Report) {
  const path: JsonPath = ['answers', index];
  const position = absolute(answer.pos, length, [...path, 'pos'], report);
  const id = sets.id(answer.token, [...path, 'token'], report);
  const foils = resolveFoils(answer, id, [...path, 'foils'], sets, report);
  const also = answer.also?.map((one, i) => sets.id(one, [...path, 'also', i], report));
  const both = also?.findIndex((one) => one !== null && foils?.includes(one)) ?? -1;
  if (both >= 0) report([...path, 'also', both], 'answer-is-foil', 'This right answer is also a foil.');
  if (position === null || id === null || foils === null || also?.includes(null) || both >= 0) return null;
  return { name: answer.name, position, answer: id, foils, ...(also !== undefined && { also: also as number[] }) };
}

/** The position of a role's token in the prompt, or null with the reason reported. */
function findToken(text: string, nth: number | null, clean: readonly PromptToken[], path: JsonPath, report: Report) {
  const found = clean.flatMap((token, position) => (token.text === text ? [position] : []));
  const [first] = nth === null ? found : found.slice(nth - 1, nth);
  if (first !== undefined && (nth !== null || found.length === 1)) return first;
  const split = clean.map(shown).join(' | ');
  const message =
    found.length === 0
      ? `The prompt has no token "${text}": ${split}.`
      : nth === null
        ? `The token "${text}" occurs ${found.length} times. Say which: {"token": ${JSON.stringify(text)}, "nth": 1}.`
        : `The token "${text}" occurs only ${found.length === 1 ? 'once' : `${found.length} times`}.`;
  report(path, 'role-mismatch', message);
  return null;
}

function resolveRole(name: string, places: readonly RolePlace[], clean: readonly PromptToken[], report: Report) {
  const positions = places.map((place, i) => {
    const path = places.length === 1 ? ['roles', name] : ['roles', name, i];
    if (typeof place === 'number') return absolute(place, clean.length, path, report);
    if (typeof place === 'string') return findToken(place, null, clean, path, report);
    return findToken(place.token, place.nth, clean, path, report);
  });
  return positions.includes(null) ? null : (positions as number[]);
}

/** Whether the tokens at a role are of the set that the header gives for it: they are not when the prompt splits otherwise. */
function belongs(name: string, at: readonly number[], clean: readonly PromptToken[], sets: TokenSets, report: Report) {
  const set = sets.ofRole(name);
  if (set === null) return true;
  const members = sets.members(set, ['roles', name], report);
  if (members === null) return false;
  const wrong = at.find((position) => !members.includes(clean[position].id));
  if (wrong === undefined) return true;
  const message = `${name} is to be one of ${set}, but token ${wrong + 1} is ${shown(clean[wrong])}: ${clean.map(shown).join(' | ')}.`;
  report(['roles', name], 'role-mismatch', message);
  return false;
}

function resolveRow(row: DatasetRow, sets: TokenSets, nCtx: number, report: Report): DatasetItem | null {
  const clean = encodePrompt(row.clean, 'clean', sets.tokenizer, nCtx, report);
  if (clean === null) return null;
  const pair =
    row.corrupted === undefined
      ? { corrupted: null, firstChange: null }
      : encodeCorrupted(row.corrupted, clean, sets.tokenizer, report);
  const answers = row.answers.map((answer, i) => resolveAnswer(answer, i, clean.length, sets, report));
  const known = answers.filter((answer) => answer !== null);
  const roles: Record<string, readonly number[]> = {};
  let good = pair !== null && known.length === answers.length;
  for (const [name, places] of Object.entries(row.roles)) {
    const positions = resolveRole(name, places, clean, report);
    if (positions === null || !belongs(name, positions, clean, sets, report)) good = false;
    else roles[name] = positions;
  }
  if (!good || pair === null) return null;
  const othersAsFoils = row.answers.flatMap(({ name, foils }) => (foils === '@others' ? [name] : []));
  return { id: row.id, clean, ...pair, roles, answers: known, othersAsFoils, tags: row.tags };
}

/**
 * Resolves the rows of one file in the tokens of a model. Refused, at the word, are answers and foils of several tokens
 * (with the split), clean and corrupted prompts of unlike length (with the place where they part), positions outside the
 * prompt, and prompts whose tokens are not those that the roles say. Never throws because of a row.
 */
export class DatasetResolver {
  private sets: TokenSets;

  /** @param nCtx the model's context; absent: no limit */
  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly nCtx = Number.POSITIVE_INFINITY,
  ) {
    this.sets = new TokenSets(null, tokenizer);
  }

  resolve(entry: DatasetEntry): ResolvedEntry {
    if (entry.header !== this.sets.header) this.sets = new TokenSets(entry.header, this.tokenizer);
    const problems: DatasetProblem[] = [...entry.problems];
    const { line, row, text } = entry;
    const report = reporter(text, line, problems);
    if (entry.header?.line === line) this.sets.check(report);
    return { line, item: row && resolveRow(row, this.sets, this.nCtx, report), problems };
  }
}

/** `DatasetResolver` for one row. */
export function resolveEntry(entry: DatasetEntry, tokenizer: Tokenizer, nCtx?: number): ResolvedEntry {
  return new DatasetResolver(tokenizer, nCtx).resolve(entry);
}

/** `DatasetResolver` over a stream of entries, one at a time. */
export async function* resolveDataset(
  entries: AsyncIterable<DatasetEntry> | Iterable<DatasetEntry>,
  tokenizer: Tokenizer,
  nCtx?: number,
): AsyncGenerator<ResolvedEntry> {
  const resolver = new DatasetResolver(tokenizer, nCtx);
  for await (const entry of entries) yield resolver.resolve(entry);
}
