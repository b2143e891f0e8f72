import { visibleToken } from '../../shared/format.ts';

/** East Asian wide characters and emoji take two columns of a monospace font. */
const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\u{1f000}-\u{1faff}]/u;

/** Width in px of text in a monospace font, estimated so that layout needs no page. */
export function monoWidth(text: string, fontSize: number): number {
  let columns = 0;
  for (const c of text) columns += wide.test(c) ? 2 : 1;
  return columns * fontSize * 0.602;
}

/** Width in px of a number in the UI font (tabular digits), estimated. */
export function numberWidth(text: string, fontSize: number): number {
  return text.length * fontSize * 0.58;
}

/** A token's visible text cut with `…` to what fits into `width` px, and to at most `max` characters. */
export function fitToken(text: string, width: number, fontSize: number, max = 8): string {
  const points = [...visibleToken(text)];
  const cut = (n: number): string => (n >= points.length ? points.join('') : `${points.slice(0, n - 1).join('')}…`);
  let n = Math.min(points.length, max);
  while (n > 1 && monoWidth(cut(n), fontSize) > width) n--;
  return cut(n);
}

/** A token for a screen reader: the leading space is said, not drawn. */
export function spokenToken(text: string): string {
  return visibleToken(text).replaceAll('␣', 'space ').replaceAll('⏎', 'newline ').replaceAll('⇥', 'tab ').trim();
}
