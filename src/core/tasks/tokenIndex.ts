import type { TokenCompletion } from '../../shared/engineProtocol.ts';
import type { Tokenizer } from '../models/tokenizer.ts';

type VocabularyTokenizer = Pick<Tokenizer, 'dVocab' | 'encodePiece' | 'tokenText'>;

/** Where `text` would stand among sorted texts. */
function lowerBound(sorted: readonly TokenCompletion[], text: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle].text < text) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * A vocabulary by the text of its tokens, for completion. Made once, in O(V log V); a question costs the tokens that begin
 * as asked. A lower id counts as more frequent: byte-pair vocabularies are in the order of their merges.
 */
export class TokenIndex {
  readonly #sorted: readonly TokenCompletion[];

  constructor(private readonly tokenizer: VocabularyTokenizer) {
    const tokens = Array.from({ length: tokenizer.dVocab }, (_, id) => ({ id, text: tokenizer.tokenText(id) }));
    this.#sorted = tokens.sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : a.id - b.id));
  }

  /**
   * The `limit` most frequent tokens that begin with `prefix`, or with a space and `prefix`. Without a prefix, words after a
   * space. Tokens that no text is split into are left out: an observable could not name them.
   */
  complete(prefix: string, limit: number): TokenCompletion[] {
    const wanted = prefix === '' || prefix.startsWith(' ') ? [prefix === '' ? ' ' : prefix] : [prefix, ` ${prefix}`];
    const found = wanted.flatMap((text) => this.#beginningWith(text)).sort((a, b) => a.id - b.id);
    const shown: TokenCompletion[] = [];
    for (const token of found) {
      if (shown.length >= limit) break;
      const ids = this.tokenizer.encodePiece(token.text);
      if (ids.length === 1 && ids[0] === token.id) shown.push(token);
    }
    return shown;
  }

  #beginningWith(text: string): readonly TokenCompletion[] {
    const from = lowerBound(this.#sorted, text);
    let to = from;
    while (to < this.#sorted.length && this.#sorted[to].text.startsWith(text)) to++;
    return this.#sorted.slice(from, to);
  }
}
