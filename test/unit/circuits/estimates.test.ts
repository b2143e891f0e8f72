import { describe, expect, it } from 'vitest';
import { columnsOf, means, RowBootstrap } from '../../../src/core/circuits/estimates.ts';
import { seededRandom, standardDeviation } from '../../../src/shared/statistics.ts';

describe('estimates over rows', () => {
  const random = seededRandom(3);
  const values = Float64Array.from({ length: 80 }, () => 2 + random.normal());
  const columns = columnsOf(values, 2);
  const bootstrap = new RowBootstrap(40, 1);

  it('have a column for each answer and one for the mean of a row’s answers', () => {
    expect(columns).toHaveLength(3);
    expect(columns[2][7]).toBeCloseTo((values[14] + values[15]) / 2, 14);
    const [first] = bootstrap.means(columns).answers;
    expect(first.mean).toBeCloseTo(means(columns)[0], 14);
    expect(first.sd).toBeCloseTo(standardDeviation(columns[0]) ?? 0, 12);
    // Standard error 1/√40: the interval is about 4 of them wide.
    const [low, high] = first.interval ?? [0, 0];
    expect(high - low).toBeGreaterThan(0.4);
    expect(high - low).toBeLessThan(0.9);
  });

  it('leave out rows that lack an answer', () => {
    const some = columnsOf([1, Number.NaN, 3, 5], 2);
    expect(means(some)).toEqual([2, 5, 2.5]);
    const { answers } = new RowBootstrap(2, 1).means(some);
    expect(answers.map(({ n, interval }) => [n, interval === null])).toEqual([
      [2, false],
      [1, true],
    ]);
  });

  it('take ratios of means on the same resamples: a part that is the whole has no spread', () => {
    const zero = columnsOf(
      values.map((value) => value - 1),
      2,
    );
    const { overall } = bootstrap.ratios(columns, zero, columns);
    expect(overall.mean).toBe(1);
    expect(overall.interval).toEqual([1, 1]);
    expect(bootstrap.ratios(zero, zero, columns).overall.mean).toBe(0);
    const half = columnsOf(
      values.map((value) => value - 0.5),
      2,
    );
    const found = bootstrap.ratios(half, zero, columns).overall;
    expect(found.mean).toBeCloseTo(0.5, 12);
    expect(
      new RowBootstrap(1, 1).ratios([new Float64Array(1)], [new Float64Array(1)], [new Float64Array([2])]).overall,
    ).toEqual({
      mean: 0,
      n: 1,
      sd: null,
      interval: null,
    });
  });

  it('draw rows with replacement, every row as often as another', () => {
    // The bootstrap's spread of the mean is the plug-in standard error.
    const column = Float64Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 0 : 1));
    const [low, high] = bootstrap.means([column, column]).overall.interval ?? [0, 0];
    expect((low + high) / 2).toBeCloseTo(0.5, 1);
    expect(high - low).toBeCloseTo(2 * 1.96 * (0.5 / Math.sqrt(40)), 1);
  });
});
