import { signed } from '../../shared/format.ts';
import { isHighContrast, type Palette } from '../../shared/palette.ts';

/** An `<img>` of an SVG drawing. The same numbers stand in `alt` and in a table beside it. */
function image(svg: string, width: number, height: number, alt: string): string {
  const source = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${svg}</svg>`;
  const data = Buffer.from(source, 'utf8').toString('base64');
  const text = alt.replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);
  return `<img src="data:image/svg+xml;base64,${data}" width="${width}" height="${height}" alt="${text}">`;
}

/** A bar of a signed value. In high contrast negative bars are hollow, as colour may not carry the sign. */
function bar(x: number, y: number, width: number, height: number, value: number, palette: Palette): string {
  if (!(width > 0) || !(height > 0)) return '';
  const color = value < 0 ? palette.negative : palette.positive;
  const place = `x="${x.toFixed(1)}" y="${y.toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"`;
  if (isHighContrast(palette) && value < 0)
    return `<rect ${place} fill="none" stroke="${color}" stroke-dasharray="2 1"/>`;
  return `<rect ${place} fill="${color}"/>`;
}

function label(x: number, y: number, anchor: 'start' | 'middle' | 'end', text: string, palette: Palette): string {
  return `<text x="${x.toFixed(1)}" y="${y}" text-anchor="${anchor}" font-family="sans-serif" font-size="10" fill="${palette.secondary}">${text}</text>`;
}

/** One attribution on a ±max axis with its ends and zero, as high as a line of text. */
export function attributionBar(value: number, max: number, palette: Palette): string {
  const width = 190;
  const height = 13;
  const margin = 34;
  const half = width / 2 - margin;
  const at = (v: number) => width / 2 + (Math.max(-max, Math.min(max, v)) / max) * half;
  const axis = `<line x1="${margin}" y1="11.5" x2="${width - margin}" y2="11.5" stroke="${palette.grid}"/>`;
  const marks = [-max, -max / 2, max / 2, max]
    .map((t) => `<line x1="${at(t)}" y1="9" x2="${at(t)}" y2="12" stroke="${palette.grid}"/>`)
    .join('');
  const ends =
    label(margin - 4, 11, 'end', axisEnd(-max), palette) +
    label(width - margin + 4, 11, 'start', axisEnd(max), palette);
  const zero = `<line x1="${width / 2}" y1="0" x2="${width / 2}" y2="12" stroke="${palette.secondary}"/>`;
  const shown = Number.isFinite(value)
    ? bar(Math.min(at(0), at(value)), 1, Math.abs(at(value) - at(0)), 9, value, palette)
    : '';
  const alt = `${signed(value)} logits on a scale from ${axisEnd(-max)} to ${axisEnd(max)}`;
  return image(axis + marks + shown + zero + ends, width, height, alt);
}

/** An end of a scale, without digits that say nothing: `+0.5`, `−2`. */
export function axisEnd(value: number): string {
  const text = Number(Math.abs(value).toPrecision(2)).toString();
  return value === 0 ? '0' : `${value < 0 ? '−' : '+'}${text}`;
}

/** A small bar for one row of a table; all rows share `max`. */
export function rowBar(value: number, max: number, palette: Palette): string {
  const width = 56;
  const height = 12;
  const zero = 21;
  const scale = (value < 0 ? zero : width - zero) / max;
  const length = Math.min(Math.abs(value) * scale, value < 0 ? zero : width - zero);
  const line = `<line x1="${zero}" y1="0" x2="${zero}" y2="${height}" stroke="${palette.grid}"/>`;
  const shown = Number.isFinite(value)
    ? bar(value < 0 ? zero - length : zero, 1, length, height - 2, value, palette)
    : '';
  return image(shown + line, width, height, '');
}

/** One bar for each row of the logit lens, embedding first. `rows` are their names. */
export function lensBars(values: readonly number[], rows: readonly string[], palette: Palette): string {
  const width = 250;
  const height = 46;
  const bottom = 36;
  const finite = values.filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const span = high - low || 1;
  const y = (v: number) => 2 + ((high - v) / span) * (bottom - 4);
  const step = width / Math.max(1, values.length);
  const bars = values
    .map((v, i) =>
      Number.isFinite(v)
        ? bar(
            i * step + 0.5,
            Math.min(y(0), y(v)),
            Math.max(1, step - 1),
            Math.max(0.5, Math.abs(y(v) - y(0))),
            v,
            palette,
          )
        : '',
    )
    .join('');
  const axis = `<line x1="0" y1="${y(0).toFixed(1)}" x2="${width}" y2="${y(0).toFixed(1)}" stroke="${palette.grid}"/>`;
  const last = rows.length - 1;
  const named = [...new Set([0, Math.round(last / 3), Math.round((2 * last) / 3), last])].filter((i) => i >= 0);
  const labels = named
    .map((i) =>
      label(
        i === 0 ? 0 : i === last ? width : (i + 0.5) * step,
        height - 2,
        i === 0 ? 'start' : i === last ? 'end' : 'middle',
        rows[i] ?? '',
        palette,
      ),
    )
    .join('');
  const alt = `Logit lens from ${rows[0] ?? ''} to ${rows[last] ?? ''}: ${values.map((v) => signed(v)).join(', ')} logits`;
  return image(bars + axis + labels, width, height, alt);
}
