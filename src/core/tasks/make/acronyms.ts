import type { Collisions, Corruption, DatasetHeader } from '../../../shared/dataset.ts';
import { MechanistError } from '../../../shared/errors.ts';
import { type Random, seededRandom } from '../../../shared/statistics.ts';
import type { Tokenizer } from '../../models/tokenizer.ts';
import { capitalisedWords, isToken } from './capitalisedWords.ts';
import { type Draw, drawRows, type MadeDataset, type MakeOptions } from './drawRows.ts';

export interface AcronymOptions extends MakeOptions {
  /** Letters of each acronym, from 1. */
  readonly letters: number;
  /** Of the corruptions: `exclude` unless given (for `cur`; `avoid` for the others), `allow` as in the paper. */
  readonly collisions?: Collisions;
  /** Text before each prompt: a beginning-of-sequence token that the tokenizer does not add by itself, as `<|endoftext|>`. */
  readonly before?: string;
  /** Words of the rows, in their order, instead of drawn ones; rows that do not tokenize as they must are refused. */
  readonly words?: readonly (readonly string[])[];
}

/** The words of each line `The Wxx Yyy Zzz (WY, WYZ` of the paper's data, or of a line of words alone. */
export function acronymWordsOf(text: string): string[][] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== '');
  return lines.map((line) => (/^The (.+?) \(/.exec(line)?.[1] ?? line).trim().split(/\s+/));
}

const CAPITALS = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
/** Letter → letters that can follow it in an acronym without the two becoming one token. */
function followers(letters: readonly string[], tokenizer: Tokenizer): ReadonlyMap<string, readonly string[]> {
  return new Map(letters.map((a) => [a, letters.filter((b) => tokenizer.encodePiece(a + b).length === 2)]));
}

const numbers = (k: number) => Array.from({ length: k }, (_, i) => i + 1);

/** The corruptions of the paper (§4), by answer: word i, all before word i, the letters before letter i; and all at once. */
function corruptionsOf(k: number, collisions: Collisions): Record<string, Corruption> {
  const others = collisions === 'exclude' ? 'avoid' : collisions;
  const permute = (roles: readonly string[], how: Collisions = others): Corruption => [
    roles.length === 0 ? { permute: roles } : { permute: roles, collisions: how },
  ];
  const words = numbers(k).flatMap((i) => [`C${i}`, `T${i}`]);
  const letters = numbers(k - 1).map((i) => `A${i}`);
  return Object.fromEntries([
    ...numbers(k).map((i) => [`cur:L${i}`, permute([`C${i}`, `T${i}`], collisions)]),
    ...numbers(k).map((i) => [`prev:L${i}`, permute(i === 1 ? [] : [`<C${i}`])]),
    ...numbers(k).map((i) => [`let:L${i}`, permute(letters.slice(0, i - 1))]),
    ['all', [...permute(words), ...(k > 1 ? permute(letters) : [])]],
  ]);
}

class AcronymDraws {
  private readonly words: ReadonlyMap<string, readonly string[]>;
  private readonly kind: string;
  readonly letters: readonly string[];
  private readonly next: ReadonlyMap<string, readonly string[]>;
  private readonly offset: number;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly k: number,
    private readonly random: Random,
    private readonly before: string,
  ) {
    const { kind, byLetter } = capitalisedWords(tokenizer);
    this.words = byLetter;
    this.kind = kind;
    this.letters = CAPITALS.filter((letter) => this.words.has(letter) && isToken(tokenizer, letter));
    this.next = followers(this.letters, tokenizer);
    this.offset = tokenizer.encode(`${before}The`).length - 1;
  }

  get counts() {
    const pairs = [...this.next.values()].reduce((sum, { length }) => sum + length, 0);
    const words = [...this.words.values()].reduce((sum, { length }) => sum + length, 0);
    return { kind: this.kind, words, letters: this.letters.length, pairs };
  }

  private one<T>(from: readonly T[]): T {
    return from[this.random.below(from.length)];
  }

  draw(): Draw {
    const { k } = this;
    const letters = [this.one(this.letters)];
    while (letters.length < k) {
      const after = this.next.get(letters[letters.length - 1]) ?? [];
      if (after.length === 0) return 'the letters merge into fewer tokens';
      letters.push(this.one(after));
    }
    return this.of(letters.map((letter) => this.one(this.words.get(letter) ?? [])));
  }

  /** The row of these words. */
  of(words: readonly string[]): Draw {
    const { k, tokenizer, offset, before } = this;
    if (words.length !== k) return `not ${k} words`;
    const letters = words.map((word) => word[0]);
    if (letters.some((letter) => !this.letters.includes(letter))) return 'a letter that is no token of its own';
    const acronym = letters.join('');
    if (tokenizer.encodePiece(acronym).length !== k) return 'the letters merge into fewer tokens';
    if (new Set(words).size < k) return 'a word comes twice';
    const clean = `${before}The ${words.join(' ')} (${acronym.slice(0, -1)}`;
    const texts = ['The', ...words.flatMap((word) => [` ${word[0]}`, word.slice(1)]), ' (', ...letters];
    const tokens = tokenizer.encode(clean + letters[k - 1]).slice(offset);
    if (tokens.length !== texts.length || tokens.some(({ text }, i) => text !== texts[i])) {
      return 'the whole prompt splits into other tokens';
    }
    if (tokenizer.encode(clean).length !== offset + texts.length - 1)
      return 'the whole prompt splits into other tokens';
    return this.row(clean, letters);
  }

  private row(clean: string, letters: readonly string[]): Draw {
    const { k, offset } = this;
    const end = offset + 2 * k + 1;
    const roles = [
      ...(offset > 0 ? [['BOS', Array.from({ length: offset }, (_, i) => i)] as const] : []),
      ['The', [offset]] as const,
      ...numbers(k).flatMap((i) => [[`C${i}`, [offset + 2 * i - 1]] as const, [`T${i}`, [offset + 2 * i]] as const]),
      ['P', [end]] as const,
      ...numbers(k - 1).map((i) => [`A${i}`, [end + i]] as const),
    ];
    const answers = letters.map((token, i) => ({ name: `L${i + 1}`, pos: end + i, token, foils: '@caps' as const }));
    return { clean, roles: Object.fromEntries(roles), answers, tags: [] };
  }
}

/** How many rows there are, and where each comes from: drawn, or the next of those given. */
function drawsOf(draws: AcronymDraws, options: AcronymOptions): [MakeOptions, () => Draw] {
  if (options.words === undefined) return [options, () => draws.draw()];
  const all = options.words.map((words) => draws.of(words));
  const good = new Set(all.flatMap((found) => (typeof found === 'string' ? [] : found.clean)));
  let next = 0;
  const take = () => {
    const found = all[next % all.length];
    next += 1;
    return found;
  };
  return [{ ...options, rows: Math.min(options.rows, Math.max(1, good.size)) }, take];
}

/**
 * Prompts `The Wxx Yyy Zzz (WY` whose next token is `Z`, for acronyms of k letters, with an answer at ` (` and at each letter
 * (García-Carrasco et al. 2024, arXiv 2405.04156). Differences: any k; words are the vocabulary's own (`capitalisedWords`)
 * instead of a list of nouns; the first letter is uniform over those that have
 * words, each next one over those that do not merge with the one before; no word twice in a row and no row
 * twice; no BOS unless the tokenizer adds
 * one, or `before` has it. In `cur` no row keeps its letter or tail, in the other corruptions as few rows as
 * possible keep all that is exchanged; the paper allows both (`collisions: allow`). No forward passes.
 * @throws MechanistError `bad-input` when the tokenizer leaves no words or no rows
 */
export function makeAcronyms(tokenizer: Tokenizer, options: AcronymOptions): MadeDataset {
  const { letters: k, seed, collisions = 'exclude', before = '' } = options;
  if (!Number.isSafeInteger(k) || k < 1) {
    throw new MechanistError('bad-input', `An acronym has at least 1 letter, not ${k}.`);
  }
  const draws = new AcronymDraws(tokenizer, k, seededRandom(seed), before);
  const caps = draws.letters;
  if (caps.length < 2) {
    const message =
      'This tokenizer has no words that split into a space with a capital and a rest, so acronyms cannot be made for it.';
    throw new MechanistError('bad-input', message);
  }
  const { rows, refused } = drawRows('acronyms', ...drawsOf(draws, options));
  const header: Omit<DatasetHeader, 'line'> = {
    name: `acronyms of ${k} letters`,
    seed,
    sets: { caps, spaced: caps.map((letter) => ` ${letter}`) },
    roles: Object.fromEntries([
      ...numbers(k).map((i) => [`C${i}`, '@spaced'] as const),
      ...numbers(k - 1).map((i) => [`A${i}`, '@caps'] as const),
    ]),
    corruptions: corruptionsOf(k, collisions),
    made: { by: 'acronyms', letters: k, seed, rows: rows.length, refused, vocabulary: draws.counts },
  };
  return { header, rows, refused };
}
