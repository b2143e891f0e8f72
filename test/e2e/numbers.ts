/** The number that a person reads: `−1.24`, `+3.1e−5`, `.41`. */
function readNumber(text: string): number {
  return Number(text.trim().replaceAll('−', '-').replace(/^\+/, ''));
}

/** Whether `text` is `value` rounded to the digits that the text has. A last digit may fall either way at a tie. */
export function isRounded(text: string, value: number): boolean {
  const [mantissa = '', exponent = '0'] = text.trim().replaceAll('−', '-').toLowerCase().split('e');
  const decimals = mantissa.split('.')[1]?.length ?? 0;
  return Math.abs(readNumber(text) - value) <= 0.502 * 10 ** (Number(exponent) - decimals);
}

/** `␣nurse` for ` nurse`. */
export function marked(token: string): string {
  return token.replaceAll(' ', '␣');
}
