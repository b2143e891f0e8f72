import { describe, expect, it } from 'vitest';
import {
  bootstrapInterval,
  mean,
  quantileOfSorted,
  randomFromState,
  seededRandom,
  standardDeviation,
  standardError,
  summarize,
} from '../../../src/shared/statistics.ts';

const take = <T>(n: number, next: () => T): T[] => Array.from({ length: n }, next);

describe('random numbers', () => {
  // Test vector of the Rust crate rand_xoshiro, and of the authors' C code.
  it('are those of xoshiro128**', () => {
    const expected = [
      11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804,
    ];
    expect(take(10, randomFromState([1, 2, 3, 4]).uint32)).toEqual(expected);
  });

  // The same algorithm written independently in Python.
  it('do not change from version to version', () => {
    expect(take(4, seededRandom(0).uint32)).toEqual([1789933344, 44971166, 2521387044, 3848737593]);
    expect(take(4, seededRandom(1).uint32)).toEqual([393288148, 2174103013, 3814759091, 2092745082]);
    expect(take(4, seededRandom(42).uint32)).toEqual([660444221, 3652823732, 77672526, 910233633]);
    expect(take(4, seededRandom(2 ** 32 + 1).uint32)).toEqual([2113752136, 1120643331, 1514025516, 839344428]);
  });

  it('are uniform, normal and unbiased', () => {
    const random = seededRandom(7);
    const uniform = take(20_000, random.uniform);
    expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform)).toBeLessThan(1);
    expect(mean(uniform)).toBeCloseTo(0.5, 1.9);
    const normal = take(20_000, random.normal);
    expect(Math.abs(mean(normal))).toBeLessThan(0.03);
    expect(Math.abs((standardDeviation(normal) ?? 0) - 1)).toBeLessThan(0.03);
    const counts = [0, 0, 0, 0, 0, 0];
    for (const x of take(60_000, () => random.below(6))) counts[x]++;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(450);
  });

  it('permute: every number once, every order about as often', () => {
    const random = seededRandom(3);
    expect(random.permutation(500).sort((a, b) => a - b)).toEqual(
      take(
        500,
        (
          (i) => () =>
            i++
        )(0),
      ),
    );
    expect(random.permutation(0)).toEqual([]);
    const orders = new Map<string, number>();
    for (const order of take(6000, () => random.permutation(3).join('')))
      orders.set(order, (orders.get(order) ?? 0) + 1);
    expect(orders.size).toBe(6);
    for (const count of orders.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });

  it('refuse a seed that is none', () => {
    for (const seed of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => seededRandom(seed)).toThrow(/seed/);
    expect(() => seededRandom(0).below(0)).toThrow(RangeError);
  });
});

describe('a sample', () => {
  it('has the mean, deviation and error that a hand gives', () => {
    const values = [3, 1, 4, 1, 5];
    expect(mean(values)).toBeCloseTo(2.8, 14);
    expect(standardDeviation(values)).toBeCloseTo(1.7888543819998317, 13);
    expect(standardError(values)).toBeCloseTo(0.8, 13);
  });

  it('keeps small spreads on a large mean', () => {
    expect(standardDeviation([1e9 + 1, 1e9 + 2, 1e9 + 3])).toBeCloseTo(1, 9);
  });

  it('of one value has no spread', () => {
    expect(summarize([2.5], { seed: 1 })).toEqual({ n: 1, mean: 2.5, sd: null, se: null, interval: null });
  });

  it('of equal values has spread 0, exactly', () => {
    const { mean: centre, sd, se, interval } = summarize(new Float32Array(7).fill(0.1), { seed: 4 });
    expect([centre, sd, se, interval?.low, interval?.high]).toEqual([Math.fround(0.1), 0, 0, centre, centre]);
  });

  it('with NaN, infinities or nothing in it is refused', () => {
    expect(() => mean([1, Number.NaN, 2])).toThrow(/Value 2 of 3 is NaN/);
    expect(() => standardError([Number.POSITIVE_INFINITY])).toThrow(/Value 1 of 1/);
    expect(() => summarize([], { seed: 1 })).toThrow(/no values/);
    expect(() => bootstrapInterval([1, Number.NaN], { seed: 1 })).toThrow(/NaN/);
  });

  it('has NumPy’s quantiles', () => {
    const sorted = [1, 2, 4, 8, 16];
    expect([0.025, 0.1, 0.5, 0.975].map((q) => quantileOfSorted(sorted, q))).toEqual([1.1, 1.4, 4, 15.2]);
    expect([quantileOfSorted(sorted, 0), quantileOfSorted(sorted, 1), quantileOfSorted([3], 0.4)]).toEqual([1, 16, 3]);
  });
});

describe('the bootstrap interval', () => {
  it('is the same for the same seed, and says how it was made', () => {
    const values = take(30, seededRandom(9).normal);
    const interval = bootstrapInterval(values, { seed: 5 });
    expect(bootstrapInterval(values, { seed: 5 })).toEqual(interval);
    expect(bootstrapInterval(values, { seed: 6 })).not.toEqual(interval);
    expect(interval).toMatchObject({ seed: 5, level: 0.95, resamples: 2000 });
  });

  it('is near the normal interval where there are many values', () => {
    const values = take(400, seededRandom(2).normal);
    const { low = 0, high = 0 } = bootstrapInterval(values, { seed: 1 }) ?? {};
    const half = 1.96 * (standardError(values) ?? 0);
    expect(Math.abs(low - (mean(values) - half))).toBeLessThan(0.1 * half);
    expect(Math.abs(high - (mean(values) + half))).toBeLessThan(0.1 * half);
  });

  it('of two values is exact: means are a, the middle, or b', () => {
    expect(bootstrapInterval([0, 1], { seed: 3 })).toMatchObject({ low: 0, high: 1 });
    expect(bootstrapInterval([0, 1], { seed: 3, level: 0.4 })).toMatchObject({ low: 0.5, high: 0.5 });
  });

  it('covers the true mean about as often as it says', () => {
    let covered = 0;
    for (let seed = 0; seed < 300; seed++) {
      const values = take(40, seededRandom(1000 + seed).normal);
      const { low = 0, high = 0 } = bootstrapInterval(values, { seed, resamples: 500 }) ?? {};
      if (low <= 0 && 0 <= high) covered++;
    }
    expect(covered / 300).toBeGreaterThan(0.9);
    expect(covered / 300).toBeLessThan(0.98);
  });

  it('widens with its level and moves with its values', () => {
    const values = take(20, seededRandom(8).normal);
    const narrow = bootstrapInterval(values, { seed: 1, level: 0.5 });
    const wide = bootstrapInterval(values, { seed: 1, level: 0.99 });
    expect((wide?.high ?? 0) - (wide?.low ?? 0)).toBeGreaterThan((narrow?.high ?? 0) - (narrow?.low ?? 0));
    const moved = bootstrapInterval(
      values.map((x) => 10 - 3 * x),
      { seed: 1 },
    );
    const plain = bootstrapInterval(values, { seed: 1 });
    expect(moved?.low).toBeCloseTo(10 - 3 * (plain?.high ?? 0), 10);
    expect(moved?.high).toBeCloseTo(10 - 3 * (plain?.low ?? 0), 10);
  });

  it('refuses a level or a number of resamples that make none', () => {
    expect(() => bootstrapInterval([1, 2], { seed: 1, level: 1 })).toThrow(/level/);
    expect(() => bootstrapInterval([1, 2], { seed: 1, resamples: 1 })).toThrow(/resamples/);
  });
});
