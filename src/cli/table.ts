/** One column of a text table. Numbers are set right, so that their last digits stand under each other. */
export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
}

/** Width on a terminal: one per code point, wide for East Asian and emoji. Good enough to keep columns straight. */
function width(text: string): number {
  let sum = 0;
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue;
    sum +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return sum;
}

function pad(text: string, to: number, align: Column['align']): string {
  const space = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'right' ? space + text : text + space;
}

/** Rows under their titles, two spaces between columns, no trailing spaces. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, i) => Math.max(width(title), ...rows.map((row) => width(row[i] ?? ''))));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, i) => pad(cells[i] ?? '', widths[i] ?? 0, align))
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].join('\n');
}
