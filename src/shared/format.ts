/**
 * How numbers and tokens are written, everywhere: hovers, panels, CodeLens, CLI text.
 * Signs are always shown (U+2212 for minus); a rounded zero has none. Source: docs/architecture.md, "Words and numbers".
 */
const MINUS = '−';

/** A token as text: leading spaces `␣`, newline `⏎`, tab `⇥`, other control characters `\x..`. Never cut. */
export function visibleToken(text: string): string {
  return text
    .replaceAll(' ', '␣')
    .replaceAll('\n', '⏎')
    .replaceAll('\t', '⇥')
    .replace(/\p{Cc}/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** A token cut to `max` characters with `…`, for cells. */
export function shortToken(text: string, max = 8): string {
  const points = [...visibleToken(text)];
  return points.length <= max ? points.join('') : `${points.slice(0, max - 1).join('')}…`;
}

function withSign(value: number, digits: string): string {
  if (!/[1-9]/.test(digits)) return digits;
  return (value < 0 ? MINUS : '+') + digits;
}

/** Signed, three significant digits: `+0.931`, `−12.4`, below 0.001 `+3.1e−5`. For hovers, tables, read-outs. */
export function signed(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value < 0 ? `${MINUS}∞` : '+∞';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 0.001) return withSign(value, size.toExponential(1).replace('e-', `e${MINUS}`));
  const rounded = Number(size.toPrecision(3));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(rounded)));
  return withSign(value, rounded.toFixed(decimals));
}

/** Signed with a fixed number of decimals: `+0.38`. For cells, axis ends, CodeLens. */
export function signedFixed(value: number, decimals = 2): string {
  if (!Number.isFinite(value)) return signed(value);
  return withSign(value, Math.abs(value).toFixed(decimals));
}

/** Signed without the leading zero, for cells under 40 px: `+.38`, `−1.2`. */
export function signedShort(value: number): string {
  const full = signedFixed(value, Math.abs(value) >= 0.995 ? 1 : 2);
  return full.replace(/^([+−]?)0\./, '$1.');
}

/** Probability, share, correlation: `.41`; `1` and `0` bare, also where rounding makes them so; below .01 `.004`, below .001 `< .001`. */
export function share(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (value === 0) return '0';
  if (value === 1) return '1';
  if (value > 0 && value < 0.001) return '< .001';
  const text = Math.abs(value) < 0.01 ? value.toFixed(3) : value.toFixed(2);
  return text
    .replace(/^(-?)0\./, '$1.')
    .replace(/^(-?1)\.00$/, '$1')
    .replace('-', MINUS);
}

/** `58 %` */
export function percent(value: number): string {
  return `${Math.round(value * 100)} %`.replace('-', MINUS);
}

/** Counts with thousands comma; from a million on `5.31 M`. */
export function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toPrecision(3)} B`;
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `1:42`, from an hour on `2:05:30`. Seconds are rounded up, so that nothing has `0:00` left. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.ceil(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (part: number) => String(part).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** `98 MB`, `1.2 GB` (decimal units). */
export function bytes(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  if (value >= 1e6) return `${Math.round(value / 1e6)} MB`;
  return `${Math.max(1, Math.round(value / 1e3))} kB`;
}

/** The smallest 1, 2 or 5 × 10^k that is at least `max`: the end of a symmetric scale. 1 when nothing is finite or non-zero. */
export function niceMax(max: number): number {
  if (!Number.isFinite(max) || max <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  const step = [1, 2, 5, 10].find((m) => m * power >= max * (1 - 1e-9)) ?? 10;
  return Number((step * power).toPrecision(1));
}
