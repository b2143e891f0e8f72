let characters: readonly string[] | null = null;
let bytesOf: ReadonlyMap<string, number> | null = null;

/** GPT-2's alphabet: `[byte]` → the printable character that stands for it in a byte-level vocabulary. */
export function byteCharacters(): readonly string[] {
  if (characters) return characters;
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  let next = 256;
  characters = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
  return characters;
}

/** The bytes that a token of a byte-level vocabulary stands for; characters outside of the alphabet stand for themselves. */
export function byteLevelBytes(token: string): Uint8Array {
  bytesOf ??= new Map(byteCharacters().map((character, byte) => [character, byte]));
  const bytes: number[] = [];
  for (const character of token) {
    const byte = bytesOf.get(character);
    if (byte === undefined) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Text of bytes; bytes that are no part of a valid UTF-8 character are written as `\xNN`. */
export function escapedText(bytes: Uint8Array): string {
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const length = characterLength(bytes, at);
    if (length === 0) {
      text += `\\x${bytes[at].toString(16).padStart(2, '0').toUpperCase()}`;
      at += 1;
    } else {
      text += utf8.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return text;
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as text, invalid ones as U+FFFD. */
export function lossyText(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

function characterLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  try {
    strictUtf8.decode(bytes.subarray(at, at + length));
    return length;
  } catch {
    return 0;
  }
}
