import { describe, expect, it } from 'vitest';
import { ModelPool } from '../../../src/engine/modelPool.ts';
import { progressPhases } from '../../../src/shared/progressPhases.ts';

/** Memory for `capacity` models. */
function poolOf(capacity: number) {
  const closed: string[] = [];
  const opened: string[] = [];
  const pool = new ModelPool<{ name: string; close(): Promise<void> }>();
  const get = (name: string) =>
    pool.get(
      {
        key: name,
        forecast: async () => {
          const free = capacity - (opened.length - closed.length);
          return { neededBytes: 1, availableBytes: free, fits: free >= 1 };
        },
      },
      async () => {
        opened.push(name);
        return {
          name,
          close: async () => {
            closed.push(name);
          },
        };
      },
    );
  return { pool, get, opened, closed };
}

describe('the model pool', () => {
  it('opens a model once', async () => {
    const { pool, get, opened } = poolOf(3);
    expect(await get('a')).toBe(await get('a'));
    expect(opened).toEqual(['a']);
    expect(pool.peek('a')?.name).toBe('a');
    expect(pool.peek('b')).toBeUndefined();
  });

  it('closes the least recently used one, and only when memory would not suffice', async () => {
    const { pool, get, closed } = poolOf(2);
    await get('a');
    await get('b');
    expect(closed).toEqual([]);
    await get('a');
    await get('c');
    expect(closed).toEqual(['b']);
    expect(pool.size).toBe(2);
  });

  it('keeps nothing of a model that did not open', async () => {
    const pool = new ModelPool<{ close(): Promise<void> }>();
    const fits = { key: 'x', forecast: async () => ({ neededBytes: 1, availableBytes: 2, fits: true }) };
    await expect(pool.get(fits, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(pool.size).toBe(0);
  });

  it('gives all memory back at the end', async () => {
    const { pool, get, closed } = poolOf(2);
    await get('a');
    await get('b');
    await pool.closeAll();
    expect(closed).toEqual(['a', 'b']);
    expect(pool.size).toBe(0);
  });
});

describe('progress in two phases', () => {
  it('is one bar: constant total, never backwards, ends at the total', () => {
    const seen: [number, number][] = [];
    const [first, second] = progressPhases(({ done, total }) => seen.push([done, total]), 0.5);
    first({ done: 1, total: 4, label: 'a' });
    first({ done: 4, total: 4, label: 'a' });
    first({ done: 0, total: 8, label: 'a' });
    second({ done: 0, total: 3, label: 'b' });
    second({ done: 3, total: 3, label: 'b' });
    expect(seen).toEqual([
      [125, 1000],
      [500, 1000],
      [500, 1000],
      [500, 1000],
      [1000, 1000],
    ]);
  });
});
