import { describe, expect, test } from 'vitest';
import {
  contrastRatio,
  divergingColor,
  divergingPosition,
  flatten,
  formatColor,
  mixOklab,
  parseColor,
  quietTextOn,
  sequentialColor,
  textOn,
  toOklab,
} from '../../../src/shared/color.ts';
import { palettes } from '../../../src/shared/palette.ts';

const distance = (a: string, b: string): number => {
  const [x, y] = [a, b].map((css) => toOklab(parseColor(css) ?? [0, 0, 0, 1]));
  return Math.hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
};

describe('reading colours', () => {
  test.each([
    ['#fff', [1, 1, 1, 1]],
    ['#1f1f1f', [31 / 255, 31 / 255, 31 / 255, 1]],
    ['#00000080', [0, 0, 0, 128 / 255]],
    ['rgb(255, 0, 51)', [1, 0, 0.2, 1]],
    ['rgba(255 0 51 / 50%)', [1, 0, 0.2, 0.5]],
  ])('%s', (css, rgba) => {
    expect(parseColor(css)).toEqual(rgba);
  });

  test.each(['', 'red', '#12', '#12345g', 'rgb(1,2)', 'rgb(a,b,c)', 'var(--x)'])('refuses "%s"', (css) => {
    expect(parseColor(css)).toBeNull();
  });

  test('writes what it read', () => {
    expect(formatColor(parseColor('#3b97f5') ?? [0, 0, 0, 0])).toBe('#3b97f5');
    expect(flatten('rgba(255,255,255,0.5)', '#000000')).toBe('#808080');
  });
});

describe('OKLab', () => {
  test('reference values of Ottosson', () => {
    const red = toOklab([1, 0, 0, 1]);
    expect(red[0]).toBeCloseTo(0.62796, 4);
    expect(red[1]).toBeCloseTo(0.22486, 4);
    expect(red[2]).toBeCloseTo(0.12585, 4);
    expect(toOklab([1, 1, 1, 1])[0]).toBeCloseTo(1, 5);
  });

  test('a mix ends at its ends and is halfway between them', () => {
    expect(mixOklab('#000000', '#ffffff', 0)).toBe('#000000');
    expect(mixOklab('#000000', '#ffffff', 1)).toBe('#ffffff');
    // CSS color-mix(in oklab, black, white) is lightness 0.5.
    expect(mixOklab('#000000', '#ffffff', 0.5)).toBe('#636363');
    expect(mixOklab('nonsense', '#ffffff', 0.5)).toBe('nonsense');
  });
});

describe('diverging scale', () => {
  test('is symmetric, clamped, bent by 0.85', () => {
    expect(divergingPosition(0, 2)).toBe(0);
    expect(divergingPosition(2, 2)).toBe(1);
    expect(divergingPosition(-9, 2)).toBe(-1);
    expect(divergingPosition(1, 2)).toBeCloseTo(0.5 ** 0.85);
    expect(divergingPosition(-1, 2)).toBe(-divergingPosition(1, 2));
    expect(divergingPosition(Number.NaN, 2)).toBe(0);
  });

  test.each(['dark', 'light'] as const)('%s: zero is the background, ends are the end colours', (kind) => {
    const palette = palettes[kind];
    expect(divergingColor(palette, 0, 1)).toBe(palette.background);
    expect(divergingColor(palette, 5, 1)).toBe(palette.positive);
    expect(divergingColor(palette, -5, 1)).toBe(palette.negative);
    expect(sequentialColor(palette, 1)).toBe(palette.sequential);
    expect(sequentialColor(palette, -1)).toBe(palette.background);
  });

  test('no fills in high contrast', () => {
    expect(divergingColor(palettes.highContrastDark, 1, 1)).toBe('#000000');
    expect(sequentialColor(palettes.highContrastLight, 1)).toBe('#ffffff');
  });

  test('sign is told apart: blue to orange at least .25', () => {
    for (const kind of ['dark', 'light'] as const)
      expect(distance(palettes[kind].positive, palettes[kind].negative)).toBeGreaterThan(0.25);
  });
});

describe('text on a cell', () => {
  test.each(['dark', 'light'] as const)('%s: 4.5 or better everywhere on every scale', (kind) => {
    const palette = palettes[kind];
    for (let t = -1; t <= 1; t += 0.01) {
      for (const fill of [divergingColor(palette, t, 1), sequentialColor(palette, t)]) {
        expect(contrastRatio(textOn(palette, fill), fill)).toBeGreaterThanOrEqual(4.5);
        expect(contrastRatio(quietTextOn(palette, fill), fill)).toBeGreaterThanOrEqual(4.5);
      }
    }
  });

  test('contrast of black and white is 21', () => {
    expect(contrastRatio('#000', '#fff')).toBeCloseTo(21);
  });
});
