/** What is written of a token so far, without its quote; null where a token has ended or something else stands. */
export function typedToken(word: string): string | null {
  const double = /^"((?:[^"\\]|\\.)*)$/.exec(word);
  if (double) {
    try {
      return JSON.parse(`"${double[1]}"`) as string;
    } catch {
      // In the middle of an escape.
      return null;
    }
  }
  const single = /^'([^']*)$/.exec(word);
  if (single) return single[1] ?? '';
  return /^[^"'{}[\],:]*$/.test(word) ? word : null;
}
