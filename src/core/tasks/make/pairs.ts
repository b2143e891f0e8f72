import type { DatasetHeader, DatasetRow } from '../../../shared/dataset.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { count } from '../../../shared/format.ts';
import { seededRandom } from '../../../shared/statistics.ts';
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

/** Why two filled templates are no row, or null. */
function faultOf(one: Filled | null, other: Filled | null, sides: PairsFile['sides']): string | null {
  if (one === null || other === null) return 'what fills the place shares a token with what is around it';
  const [a, b] = [one.place.length, other.place.length];
  if (a !== b) return `${sides[0]} is ${count(a)} tokens, ${sides[1]} ${count(b)}`;
  return one.tokens === other.tokens ? null : 'the two prompts are of unlike length';
}

/** A list in random order. */
function shuffled<T>(list: readonly T[], below: (n: number) => number): T[] {
  const result = [...list];
  for (let i = result.length - 1; i > 0; i -= 1) {
    const j = below(i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

/** Every template with every filler of the longer side once, the other side's in turn; the templates take turns. */
function* pairsOf({ templates, fill }: PairsFile, seed: number): Generator<readonly [string, string, string]> {
  const random = seededRandom(seed);
  const [one, other] = fill.map((list) => shuffled(list, (n) => random.below(n)));
  for (let i = 0; i < Math.max(one.length, other.length); i += 1) {
    for (const template of templates) yield [template, one[i % one.length], other[i % other.length]];
  }
}

/**
 * Pairs of prompts from templates with one place to fill: `clean` is filled from the first side, `corrupted` from the second, with
 * as many tokens. The role of the file is the last token filled, `start` the first where that is another, `END` the last of the
 * prompt. Answers are the side's token against the other's. No forward passes.
 * @throws MechanistError `bad-input` when no pair is good, with the reasons
 */
export function makePairs(tokenizer: Tokenizer, file: PairsFile, { rows: wanted, seed }: MakeOptions): MadeDataset {
  const rows: DatasetRow[] = [];
  const refused: Record<string, number> = {};
  const { sides, answers, role } = file;
  for (const [template, first, second] of pairsOf(file, seed)) {
    if (rows.length >= wanted) break;
    const [clean, corrupted] = [first, second].map((filler) => filled(template, filler, tokenizer));
    const fault = faultOf(clean, corrupted, sides);
    if (fault !== null || clean === null || corrupted === null) {
      if (fault !== null) refused[fault] = (refused[fault] ?? 0) + 1;
      continue;
    }
    const { place } = clean;
    const [start, last] = [place[0], place[place.length - 1]];
    rows.push({
      ...{ id: String(rows.length + 1), clean: clean.text, corrupted: corrupted.text },
      roles: { ...(start < last && { start: [start] }), [role]: [last], END: [-1] },
      answers: answers === null ? [] : [{ name: 'answer', pos: -1, token: answers[0], foils: [answers[1]] }],
      tags: [`template ${file.templates.indexOf(template) + 1}`],
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
