import type { DatasetHeader } from '../../../shared/dataset.ts';
import { seededRandom } from '../../../shared/statistics.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import { type Draw, drawRows, type MadeDataset, type MakeOptions } from './drawRows.ts';
import { EVENTS } from './words.ts';

const two = (n: number) => String(n).padStart(2, '0');

/** How a tokenizer writes the years of one century after a prompt that ends in its first two digits. */
interface Years {
  /** What may come next: two-digit years, or the digit of the decade. */
  readonly kind: 'years' | 'decades';
}

/** `17` + `33` as the prompt's tokens with one more, or with one for each digit. */
function yearsAfter(prompt: string, tokenizer: Tokenizer): Years | null {
  const before = tokenizer.encode(prompt).map(({ id }) => id);
  const extra = (text: string) => {
    const ids = tokenizer.encode(prompt + text).map(({ id }) => id);
    const more = before.every((id, i) => id === ids[i]) ? ids.slice(before.length) : null;
    // An answer is written as its text: it must be the same token alone.
    return more?.length === 1 && tokenizer.encodePiece(text)[0] !== more[0] ? null : more;
  };
  const all = Array.from({ length: 100 }, (_, year) => extra(two(year)));
  if (all.every((ids) => ids?.length === 1)) return { kind: 'years' };
  const digits = Array.from({ length: 10 }, (_, digit) => extra(String(digit)));
  const split = all.every((ids, year) => ids?.length === 2 && ids[0] === digits[Math.floor(year / 10)]?.[0]);
  return split && digits.every((ids) => ids?.length === 1) ? { kind: 'decades' } : null;
}

/**
 * Greater-than (Hanna, Liu and Variengien 2023, arXiv 2305.00586): `The war lasted from the year 1732 to the year 17` → a year
 * above 32. The answer is the next year, `also` all later ones, the foils all years up to the first: score it by
 * `prob-sum-difference`. `corrupted` has the year 01, after which nearly every year is right. Roles NOUN, XX and YY (the
 * first year), END. Where a tokenizer writes digits singly, the next token is a decade: right are higher ones, foils
 * lower ones, and the first year's own decade is neither, as it holds later and earlier years. No forward passes.
 * @throws MechanistError `bad-input` when the tokenizer writes years otherwise
 */
export function makeGreaterThan(tokenizer: Tokenizer, options: MakeOptions): MadeDataset {
  const random = seededRandom(options.seed);
  const known = new Map<number, Years | null>();
  const yearsOf = (century: number) => {
    const found = known.get(century);
    if (found !== undefined) return found;
    const years = yearsAfter(`The war lasted from the year ${century}32 to the year ${century}`, tokenizer);
    known.set(century, years);
    return years;
  };
  const draw = (): Draw => {
    const noun = EVENTS[random.below(EVENTS.length)];
    const century = 11 + random.below(7);
    const year = 2 + random.below(97);
    const years = yearsOf(century);
    if (years === null) return 'the tokenizer writes years neither as two pairs of digits nor as four digits';
    if (tokenizer.encodePiece(` ${noun}`).length !== 1) return 'the noun is several tokens';
    const text = (yy: string) => `The ${noun} lasted from the year ${century}${yy} to the year ${century}`;
    const [clean, corrupted] = [text(two(year)), text('01')];
    const tokens = tokenizer.encode(clean);
    if (tokenizer.encode(corrupted).length !== tokens.length) return 'the year splits into other tokens than 01';
    const start = clean.indexOf(two(year), clean.indexOf('year '.concat(String(century))) + 7);
    const at = (from: number, to: number) =>
      tokens.flatMap((token, i) => (token.end > from && token.start < to && token.end > token.start ? [i] : []));
    const yy = at(start, start + 2);
    const xx = at(start - 2, start).filter((i) => tokens[i].text.trim() !== '');
    const width = years.kind === 'years' ? 1 : 2;
    if (yy.length !== width || xx.length !== width) return 'the year splits into other tokens';
    const first = years.kind === 'years' ? year : Math.floor(year / 10);
    const written = (n: number) => (years.kind === 'years' ? two(n) : String(n));
    const count = years.kind === 'years' ? 100 : 10;
    const right = Array.from({ length: count - 1 - first }, (_, i) => written(first + 1 + i));
    const foils = Array.from({ length: years.kind === 'years' ? first + 1 : first }, (_, i) => written(i));
    const [token, ...also] = right;
    if (token === undefined || foils.length === 0) return 'no decade is higher, or none lower';
    const roles = { NOUN: at(4, 4 + noun.length), XX: xx, YY: yy, END: [-1] };
    return {
      clean,
      corrupted,
      roles,
      answers: [{ name: 'answer', pos: -1, token, foils, ...(also.length > 0 && { also }) }],
      tags: [],
    };
  };
  const { rows, refused } = drawRows('greater-than', options, draw);
  const header: Omit<DatasetHeader, 'line'> = {
    name: 'greater-than',
    seed: options.seed,
    sets: {},
    roles: {},
    corruptions: {},
    made: { by: 'greater-than', seed: options.seed, rows: rows.length, refused },
  };
  return { header, rows, refused };
}
