/** Half-open ranges of UTF-16 offsets, one per token. */
export interface TokenOffsets {
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** How far ahead of the token before a token's bytes are looked for: first near, then far. In bytes. */
const searchWindows = [64, 4096];

/**
 * Where each token lies in the text, from the bytes it stands for. A character that is split over several tokens belongs
 * to the first of them: the others get an empty range after it.
 *
 * Where the tokens' bytes are those of the text, this is exact. A vocabulary may lack a byte, which the tokenizer then
 * drops: the text in question belongs to no token. Where a normaliser changed the text, each token's bytes are looked for
 * a little after the token before; those that are not found get an empty range.
 *
 * @param pieces `[token]`: bytes; together the UTF-8 of the text, or of the text with one space put before it
 */
export function tokenOffsets(text: string, pieces: readonly Uint8Array[]): TokenOffsets {
  const bytes = Buffer.from(text, 'utf8');
  const starts = new Int32Array(pieces.length);
  const ends = new Int32Array(pieces.length);
  const toOffset = offsetCounter(bytes);
  let at = 0;
  pieces.forEach((stored, token) => {
    const leads = at === 0 && stored[0] === 0x20 && bytes[0] !== 0x20;
    const piece = leads ? stored.subarray(1) : stored;
    const found = find(bytes, piece, at);
    starts[token] = toOffset(found < 0 ? at : found);
    if (found >= 0) at = found + piece.length;
    ends[token] = toOffset(at);
  });
  return { starts, ends };
}

function find(bytes: Buffer, piece: Uint8Array, at: number): number {
  if (matches(bytes, piece, at)) return at;
  for (const window of searchWindows) {
    const found = bytes.subarray(at, at + piece.length + window).indexOf(piece);
    if (found >= 0) return at + found;
  }
  return -1;
}

function matches(bytes: Buffer, piece: Uint8Array, at: number): boolean {
  for (let i = 0; i < piece.length; i++) if (bytes[at + i] !== piece[i]) return false;
  return true;
}

/** Byte position → UTF-16 offset of the first character that starts there or later. Positions must not fall. */
function offsetCounter(bytes: Buffer): (position: number) => number {
  let byte = 0;
  let offset = 0;
  return (position) => {
    while (byte < position) {
      const length = utf8Length(bytes[byte]);
      byte += length;
      offset += length === 4 ? 2 : 1;
    }
    return offset;
  };
}

function utf8Length(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
