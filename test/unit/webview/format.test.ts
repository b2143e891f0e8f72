import { describe, expect, test } from 'vitest';
import {
  bytes,
  count,
  niceMax,
  percent,
  share,
  shortToken,
  signed,
  signedFixed,
  signedShort,
  visibleToken,
} from '../../../src/shared/format.ts';

describe('numbers', () => {
  test.each([
    [0.931, '+0.931'],
    [0.9314, '+0.931'],
    [-12.43, '−12.4'],
    [1234, '+1230'],
    [0.99995, '+1.00'],
    [9.999, '+10.0'],
    [99.96, '+100'],
    [0.001, '+0.00100'],
    [0.0000314, '+3.1e−5'],
    [-0.00099, '−9.9e−4'],
    [0, '0'],
    [-0, '0'],
    [Number.NaN, 'NaN'],
    [Number.NEGATIVE_INFINITY, '−∞'],
  ])('signed(%d) = %s', (value, text) => {
    expect(signed(value)).toBe(text);
  });

  test.each([
    [0.384, '+0.38'],
    [-0.004, '0.00'],
    [1.6, '+1.60'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, '+∞'],
  ])('signedFixed(%d) = %s', (value, text) => {
    expect(signedFixed(value)).toBe(text);
  });

  test.each([
    [0.384, '+.38'],
    [-1.24, '−1.2'],
    [0.996, '+1.0'],
    [-0.05, '−.05'],
  ])('signedShort(%d) = %s', (value, text) => {
    expect(signedShort(value)).toBe(text);
  });

  test.each([
    [0.41, '.41'],
    [1, '1'],
    [0, '0'],
    [0.004, '.004'],
    [0.0001, '< .001'],
    [0.9986, '1'],
    [-0.999, '−1'],
    [0.994, '.99'],
    [Number.NaN, 'NaN'],
  ])('share(%d) = %s', (value, text) => {
    expect(share(value)).toBe(text);
  });

  test.each([
    [0.17, 0.2],
    [0.2, 0.2],
    [0.21, 0.5],
    [6, 10],
    [1000, 1000],
    [1001, 2000],
    [0, 1],
    [Number.NaN, 1],
    [Number.POSITIVE_INFINITY, 1],
    [3e-6, 5e-6],
  ])('niceMax(%d) = %d', (value, max) => {
    expect(niceMax(value)).toBe(max);
  });

  test('counts, bytes, percent', () => {
    expect(count(1234567)).toBe('1.23 M');
    expect(count(12345)).toBe('12,345');
    expect(percent(0.583)).toBe('58 %');
    expect(bytes(98_362_432)).toBe('98 MB');
  });
});

describe('tokens', () => {
  test.each([
    [' she', '␣she'],
    ['\n\t', '⏎⇥'],
    ['\u0000', '\\x00'],
    ['a b', 'a␣b'],
  ])('%j is written %s', (text, shown) => {
    expect(visibleToken(text)).toBe(shown);
  });

  test('a cell shows at most eight characters, emoji counted whole', () => {
    expect(shortToken(' practitioner')).toBe('␣practi…');
    expect(shortToken(' nursing')).toBe('␣nursing');
    expect(shortToken('😀'.repeat(9))).toBe(`${'😀'.repeat(7)}…`);
  });
});
