import type { Tokenizer } from '../../src/core/models/tokenizer.ts';

/**
 * A tokenizer for random models: token i is written ` t<i>` (the first of a text without the space); any other
 * character is a token of its own, `\xNN`-numbered modulo the vocabulary.
 */
export function wordTokenizer(dVocab: number, addsBos = false): Tokenizer {
  const pieces = (text: string) => [...text.matchAll(/ ?t(\d+)|[\s\S]/gu)].map((match) => ({ match, at: match.index }));
  const idOf = (match: RegExpMatchArray) =>
    (match[1] === undefined ? (match[0].codePointAt(0) ?? 0) : Number(match[1])) % dVocab;
  const tokenText = (id: number) => ` t${id}`;
  return {
    dVocab,
    addsBos,
    encode: (text) => [
      ...(addsBos && text !== '' ? [{ id: 0, text: '<s>', start: 0, end: 0 }] : []),
      ...pieces(text).map(({ match, at }) => ({
        id: idOf(match),
        text: match[0],
        start: at,
        end: at + match[0].length,
      })),
    ],
    encodePiece: (text) => pieces(text).map(({ match }) => idOf(match)),
    decode: (ids) => ids.map(tokenText).join(''),
    tokenText,
  };
}
