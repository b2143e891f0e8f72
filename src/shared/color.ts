/**
 * Colour arithmetic for figures, hovers and exports. Mixing is done in OKLab (Ottosson 2020,
 * https://bottosson.github.io/posts/oklab), the space of CSS `color-mix(in oklab, …)`, so that a canvas or an exported
 * file shows what the page shows. Colours go in and come out as CSS text.
 */
import { isHighContrast, type Palette } from './palette.ts';

/** `[red, green, blue, alpha]`, each 0 to 1, gamma-encoded sRGB. */
export type Rgba = readonly [number, number, number, number];

const clamp01 = (value: number): number => Math.min(1, Math.max(0, value));

function parseHex(hex: string): Rgba | null {
  const wide = hex.length <= 4 ? [...hex].map((c) => c + c).join('') : hex;
  if (!/^(?:[0-9a-f]{6}|[0-9a-f]{8})$/i.test(wide)) return null;
  const part = (at: number): number => Number.parseInt(wide.slice(at, at + 2), 16) / 255;
  return [part(0), part(2), part(4), wide.length === 8 ? part(6) : 1];
}

/** Reads `#rgb`, `#rrggbb`, `#rrggbbaa`, `rgb()`, `rgba()`; null for anything else, so that the caller falls back. */
export function parseColor(css: string): Rgba | null {
  const text = css.trim().toLowerCase();
  if (text.startsWith('#')) return parseHex(text.slice(1));
  const inside = /^rgba?\(([^)]*)\)$/.exec(text)?.[1];
  if (inside === undefined) return null;
  const parts = inside.split(/[\s,/]+/).filter((part) => part !== '');
  if (parts.length < 3 || parts.length > 4) return null;
  const numbers = parts.map((part, i) => {
    const value = Number.parseFloat(part);
    if (part.endsWith('%')) return clamp01(value / 100);
    return clamp01(i < 3 ? value / 255 : value);
  });
  if (numbers.some(Number.isNaN)) return null;
  return [numbers[0], numbers[1], numbers[2], numbers[3] ?? 1];
}

/** `#rrggbb`, or `#rrggbbaa` when it is not opaque. */
export function formatColor([red, green, blue, alpha]: Rgba): string {
  const hex = (value: number): string =>
    Math.round(clamp01(value) * 255)
      .toString(16)
      .padStart(2, '0');
  return `#${hex(red)}${hex(green)}${hex(blue)}${alpha < 1 ? hex(alpha) : ''}`;
}

/** The opaque colour that a (possibly translucent) colour makes on an opaque background. */
export function flatten(css: string, background: string): string {
  const over = parseColor(css);
  const under = parseColor(background);
  if (over === null || under === null || over[3] === 1) return css;
  const mix = (i: 0 | 1 | 2): number => over[i] * over[3] + under[i] * (1 - over[3]);
  return formatColor([mix(0), mix(1), mix(2), 1]);
}

const toLinear = (c: number): number => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const toGamma = (c: number): number => (c <= 0.0031308 ? c * 12.92 : 1.055 * c ** (1 / 2.4) - 0.055);

/** sRGB → OKLab `[L, a, b]`. */
export function toOklab([red, green, blue]: Rgba): readonly [number, number, number] {
  const r = toLinear(red);
  const g = toLinear(green);
  const b = toLinear(blue);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightness, a, b]: readonly [number, number, number]): Rgba {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    clamp01(toGamma(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s)),
    clamp01(toGamma(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s)),
    clamp01(toGamma(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s)),
    1,
  ];
}

/** `t` = 0 gives `from`, 1 gives `to`; straight line in OKLab. Both are taken as opaque. */
export function mixOklab(from: string, to: string, t: number): string {
  const a = parseColor(from);
  const b = parseColor(to);
  if (a === null || b === null || t <= 0) return from;
  if (t >= 1) return to;
  const x = toOklab(a);
  const y = toOklab(b);
  const at = (i: 0 | 1 | 2): number => x[i] + (y[i] - x[i]) * t;
  return formatColor(fromOklab([at(0), at(1), at(2)]));
}

/** WCAG 2 relative luminance of an opaque colour. */
function luminance(css: string): number {
  const rgb = parseColor(css);
  if (rgb === null) return 0;
  return 0.2126 * toLinear(rgb[0]) + 0.7152 * toLinear(rgb[1]) + 0.0722 * toLinear(rgb[2]);
}

/** WCAG 2 contrast ratio, 1 to 21. */
export function contrastRatio(a: string, b: string): number {
  const x = luminance(a);
  const y = luminance(b);
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

/** Where `value` lies on a symmetric scale: `sign · |value / max|^0.85`, within ±1; 0 for NaN. */
export function divergingPosition(value: number, max: number): number {
  const t = value / max;
  if (Number.isNaN(t)) return 0;
  return Math.sign(t) * Math.min(1, Math.abs(t)) ** 0.85;
}

/** Fill of a signed value: background at 0, blue at `+max`, orange at `−max`. No fill in high contrast. */
export function divergingColor(palette: Palette, value: number, max: number): string {
  if (isHighContrast(palette)) return palette.background;
  const t = divergingPosition(value, max);
  return mixOklab(palette.background, t < 0 ? palette.negative : palette.positive, Math.abs(t));
}

/** Fill of an unsigned value (attention, probability): background at 0, `palette.sequential` at `max`. */
export function sequentialColor(palette: Palette, value: number, max = 1): string {
  if (isHighContrast(palette)) return palette.background;
  return mixOklab(palette.background, palette.sequential, Math.abs(divergingPosition(Math.max(0, value), max)));
}

/** Colour of text on a cell: the foreground where it reads well (≥ 5.2), else black or white, never under 4.5. */
export function textOn(palette: Palette, background: string): string {
  if (contrastRatio(palette.foreground, background) >= 5.2) return palette.foreground;
  return contrastRatio('#000000', background) >= contrastRatio('#ffffff', background) ? '#000000' : '#ffffff';
}

/** Like `textOn`, but quiet: the secondary colour where that is still readable. For cells that say little. */
export function quietTextOn(palette: Palette, background: string): string {
  return contrastRatio(palette.secondary, background) >= 4.5 ? palette.secondary : textOn(palette, background);
}
