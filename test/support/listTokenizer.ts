import type { Tokenizer } from '../../src/core/models/tokenizer.ts';

/** A tokenizer with exactly these tokens (and single characters behind them): always the longest one that fits. */
export function listTokenizer(words: readonly string[], addsBos = false): Tokenizer {
  const characters = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
  const texts = [...new Set([...words, ...characters])];
  const idOf = new Map(texts.map((text, id) => [text, id]));
  const longest = Math.max(...texts.map(({ length }) => length));
  const pieces = (text: string) => {
    const found: { id: number; text: string; start: number; end: number }[] = [];
    for (let at = 0; at < text.length; ) {
      let length = Math.min(longest, text.length - at);
      while (length > 1 && !idOf.has(text.slice(at, at + length))) length--;
      const piece = text.slice(at, at + length);
      found.push({ id: idOf.get(piece) ?? 0, text: piece, start: at, end: at + length });
      at += length;
    }
    return found;
  };
  const bosId = texts.length;
  return {
    dVocab: texts.length + 1,
    addsBos,
    encode: (text) => [...(addsBos ? [{ id: bosId, text: '<s>', start: 0, end: 0 }] : []), ...pieces(text)],
    encodePiece: (text) => pieces(text).map(({ id }) => id),
    decode: (ids) => ids.map((id) => texts[id] ?? '<s>').join(''),
    tokenText: (id) => texts[id] ?? '<s>',
  };
}
