import type { DatasetHeader, DatasetRow } from '../../../shared/dataset.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { count } from '../../../shared/format.ts';
import { seededRandom, shuffled } from '../../../shared/statistics.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import type { MadeDataset, MakeOptions } from './drawRows.ts';
import type { PairsFile } from './pairsFile.ts';

interface Filled {
  readonly text: string;
  /** Token indices of what fills the place. */
  readonly place: readonly number[];
  readonly tokens: number;
}

/** A template with its place filled, or null where what fills it shares a token with what is around it. */
function filled(template: string, filler: string, tokenizer: Tokenizer): Filled | null {
  const [before, after] = template.split('{}');
  const text = before + filler + after;
  const tokens = tokenizer.encode(text);
  const start = before.endsWith(' ') ? before.length - 1 : before.length;
  const end = before.length + filler.length;
  const inside = (at: number) => at >= start && at < end;
  const place = [...tokens.keys()].filter((i) => inside(tokens[i].start) && tokens[i].end > tokens[i].start);
  const last = tokens[place[place.length - 1]];
  const crossing = tokens.some((token) => token.start < start && token.end > start);
  return last === undefined || last.end !== end || crossing ? null : { text, place, tokens: tokens.length };
}

const SHARED = 'what fills the place shares a token with what is around it';

/** The fillers of one side in a template, by how many tokens they are there and in all. */
function bySize(
  template: string,
  fillers: readonly string[],
  tokenizer: Tokenizer,
): { readonly sizes: ReadonlyMap<string, readonly Filled[]>; readonly shared: number } {
  const found = fillers.map((filler) => filled(template, filler, tokenizer)).filter((one) => one !== null);
  const sizes = new Map<string, Filled[]>();
  for (const one of found) {
    const size = `${one.place.length}/${one.tokens}`;
    sizes.set(size, [...(sizes.get(size) ?? []), one]);
  }
  return { sizes, shared: fillers.length - found.length };
}

/** Pairs of like token counts in one template: every filler of the longer side once, the other side's in turn. */
function pairsIn(
  template: string,
  { fill, sides }: PairsFile,
  tokenizer: Tokenizer,
  refused: Record<string, number>,
): readonly (readonly [Filled, Filled])[] {
  const [one, other] = fill.map((fillers) => bySize(template, fillers, tokenizer));
  const refuse = (reason: string, times: number) => {
    if (times > 0) refused[reason] = (refused[reason] ?? 0) + times;
  };
  refuse(SHARED, one.shared + other.shared);
  const pairs: (readonly [Filled, Filled])[] = [];
  for (const size of new Set([...one.sizes.keys(), ...other.sizes.keys()])) {
    const [a, b] = [one.sizes.get(size) ?? [], other.sizes.get(size) ?? []];
    if (a.length === 0) refuse(`no ${sides[0]} of as many tokens`, b.length);
    else if (b.length === 0) refuse(`no ${sides[1]} of as many tokens`, a.length);
    else for (let i = 0; i < Math.max(a.length, b.length); i += 1) pairs.push([a[i % a.length], b[i % b.length]]);
  }
  return pairs;
}

/** The pairs of all templates, which take turns. */
function pairsOf(
  file: PairsFile,
  tokenizer: Tokenizer,
  seed: number,
  refused: Record<string, number>,
): readonly (readonly [template: number, clean: Filled, corrupted: Filled])[] {
  const random = seededRandom(seed);
  const [one, other] = file.fill.map((list) => shuffled(list, random));
  const lists = file.templates.map((template) => {
    const pairs = pairsIn(template, { ...file, fill: [one, other] }, tokenizer, refused);
    return shuffled(pairs, random);
  });
  const longest = Math.max(...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) =>
    lists.flatMap((pairs, template) => (i < pairs.length ? [[template, ...pairs[i]] as const] : [])),
  ).flat();
}

/**
 * Pairs of prompts from templates with one place to fill: `clean` is filled from the first side, `corrupted` from the second with
 * something of as many tokens. Fillers without such a partner are refused. The role of the file is the last token filled, `start` the
 * first where that is another, `END` the last of the prompt. Answers are the side's token against the other's. No forward passes.
 * @throws MechanistError `bad-input` when no pair is good, with the reasons
 */
export function makePairs(tokenizer: Tokenizer, file: PairsFile, { rows: wanted, seed }: MakeOptions): MadeDataset {
  const rows: DatasetRow[] = [];
  const refused: Record<string, number> = {};
  const { sides, answers, role } = file;
  for (const [template, clean, corrupted] of pairsOf(file, tokenizer, seed, refused).slice(0, wanted)) {
    const { place } = clean;
    const [start, last] = [place[0], place[place.length - 1]];
    rows.push({
      ...{ id: String(rows.length + 1), clean: clean.text, corrupted: corrupted.text },
      roles: { ...(start < last && { start: [start] }), [role]: [last], END: [-1] },
      answers: answers === null ? [] : [{ name: 'answer', pos: -1, token: answers[0], foils: [answers[1]] }],
      tags: [`template ${template + 1}`],
    });
  }
  if (rows.length === 0) {
    const reasons = Object.entries(refused).map(([reason, times]) => `${reason} (${count(times)})`);
    const message = `No pair of ${file.name} can be made for this model's tokenizer. Refused: ${reasons.join(', ')}.`;
    throw new MechanistError('bad-input', message, { refused });
  }
  const header: Omit<DatasetHeader, 'line'> = {
    ...{ name: file.name, seed, sets: {}, roles: {}, corruptions: {} },
    made: { by: 'pairs', seed, rows: rows.length, refused, clean: sides[0], corrupted: sides[1] },
  };
  return { header, rows, refused };
}
