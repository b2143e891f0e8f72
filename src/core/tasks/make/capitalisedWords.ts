import type { Tokenizer } from '../../models/tokenizer.ts';

/** What turns one word into another: with a form of it in the vocabulary, a piece of text is taken for a word. */
const ENDINGS = ['s', 'ed', 'ing'];
/** Fewer words than this, and any piece of the vocabulary is taken. */
const FEWEST_WORDS = 200;

/** Whether a text is one token, and exactly that text: some tokenizers put a space before every piece. */
export function isToken(tokenizer: Tokenizer, text: string): boolean {
  const ids = tokenizer.encodePiece(text);
  return ids.length === 1 && tokenizer.tokenText(ids[0]) === text;
}

/** Whether the vocabulary has another form of the word, as `kernels` or `hack` for `kernel` and `hacked`; not so `langu`. */
function hasForms(word: string, known: ReadonlySet<string>): boolean {
  return ENDINGS.some(
    (ending) => known.has(word + ending) || (word.endsWith(ending) && known.has(word.slice(0, -ending.length))),
  );
}

/** The space with the capital, and the rest: `␣K` and `etchup`. */
function splitsAfterCapital(word: string, tokenizer: Tokenizer): boolean {
  const ids = tokenizer.encodePiece(` ${word}`);
  return ids.length === 2 && tokenizer.tokenText(ids[0]) === ` ${word[0]}`;
}

export interface CapitalisedWords {
  /** `words`: of the vocabulary; `pieces`: a capital and any small letters, as the vocabulary holds no words. */
  readonly kind: 'words' | 'pieces';
  /** In alphabetical order. */
  readonly byLetter: ReadonlyMap<string, readonly string[]>;
}

function byLetter(words: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const word of words.toSorted()) found.set(word[0], [...(found.get(word[0]) ?? []), word]);
  return found;
}

/**
 * Words with a capital that are two tokens, a space with the capital and the rest. Taken are words that the vocabulary holds
 * in lower case as one token, in more forms than one; where there are fewer than 200 of them, any two tokens of that shape
 * that stay apart.
 */
export function capitalisedWords(tokenizer: Tokenizer): CapitalisedWords {
  const texts = Array.from({ length: tokenizer.dVocab }, (_, id) => tokenizer.tokenText(id));
  const known = new Set(texts.flatMap((text) => (/^ [a-z]{3,}$/.test(text) ? [text.slice(1)] : [])));
  const words = [...known]
    .filter((word) => hasForms(word, known))
    .map((word) => word[0].toUpperCase() + word.slice(1))
    .filter((word) => splitsAfterCapital(word, tokenizer));
  if (words.length >= FEWEST_WORDS) return { kind: 'words', byLetter: byLetter(words) };
  const capitals = texts.flatMap((text) => (/^ [A-Z]$/.test(text) ? [text.slice(1)] : []));
  const rests = texts.filter((text) => /^[a-z]{2,}$/.test(text));
  const pieces = capitals.flatMap((capital) => rests.map((rest) => capital + rest));
  return { kind: 'pieces', byLetter: byLetter(pieces.filter((word) => splitsAfterCapital(word, tokenizer))) };
}
