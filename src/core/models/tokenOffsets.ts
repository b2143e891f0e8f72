/** Half-open ranges of UTF-16 offsets, one per token. */
export interface TokenOffsets {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/**
 * Where each token lies in the text, from the bytes it stands for. A character that is split over several tokens belongs
 * to the first of them: the others get an empty range after it.
 *
 * @param pieces `[token]`: bytes; together the UTF-8 of the text, or of the text with one space put before it
 * @returns null when the bytes are not those of the text (a normaliser changed it)
 */
export function offsetsFromBytes(text: string, pieces: readonly Uint8Array[]): TokenOffsets | null {
  const bytes = new TextEncoder().encode(text);
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const lead = total === bytes.length + 1 && pieces.find((piece) => piece.length > 0)?.[0] === 0x20 ? 1 : 0;
  if (total !== bytes.length + lead || !sameBytes(bytes, pieces, lead)) return null;
  const starts = new Int32Array(pieces.length);
  const ends = new Int32Array(pieces.length);
  let byte = 0;
  let offset = 0;
  // Offsets move only over characters that start before the end of the token: one pass over the text.
  let consumed = -lead;
  for (let token = 0; token < pieces.length; token++) {
    consumed += pieces[token].length;
    starts[token] = offset;
    while (byte < consumed) {
      const lengthInBytes = utf8Length(bytes[byte]);
      byte += lengthInBytes;
      offset += lengthInBytes === 4 ? 2 : 1;
    }
    ends[token] = offset;
  }
  return { starts, ends };
}

function sameBytes(bytes: Uint8Array, pieces: readonly Uint8Array[], lead: number): boolean {
  let at = -lead;
  for (const piece of pieces) {
    for (const byte of piece) {
      if (at >= 0 && bytes[at] !== byte) return false;
      at += 1;
    }
  }
  return true;
}

function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}

/** How far ahead of the last match a token's text is looked for when the text was normalised. */
const searchWindow = 64;

/**
 * Best guess of where each token lies when a normaliser changed the text: each token's own text is looked for a little
 * after the one before; tokens that are not found get an empty range.
 */
export function offsetsBySearch(text: string, texts: readonly string[]): TokenOffsets {
  const starts = new Int32Array(texts.length);
  const ends = new Int32Array(texts.length);
  let cursor = 0;
  texts.forEach((piece, token) => {
    const wanted = piece.trim();
    const found = text.slice(cursor, cursor + wanted.length + searchWindow).indexOf(wanted);
    const hit = wanted.length > 0 && found >= 0;
    starts[token] = hit ? cursor + found : cursor;
    ends[token] = hit ? cursor + found + wanted.length : cursor;
    cursor = ends[token];
  });
  return { starts, ends };
}
