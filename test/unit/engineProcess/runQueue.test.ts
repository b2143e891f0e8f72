import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { RunQueue } from '../../../src/engine/runQueue.ts';
import { MechanistError } from '../../../src/shared/errors.ts';

const never = new AbortController().signal;

describe('the run queue', () => {
  it('runs one job at a time, in order, each with its own result', async () => {
    const queue = new RunQueue();
    const log: string[] = [];
    const job = (name: string) => async () => {
      log.push(`${name} starts`);
      await sleep(5);
      log.push(`${name} ends`);
      return name;
    };
    const results = await Promise.all(['a', 'b', 'c'].map((name) => queue.run(never, job(name))));
    expect(results).toEqual(['a', 'b', 'c']);
    expect(log).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends']);
  });

  it('goes on after a job that fails', async () => {
    const queue = new RunQueue();
    const bad = queue.run(never, async () => {
      throw new MechanistError('bad-input', 'no');
    });
    const good = queue.run(never, async () => 1);
    await expect(bad).rejects.toThrow('no');
    expect(await good).toBe(1);
  });

  it('drops a waiting job at once when it is cancelled, and never starts it', async () => {
    const queue = new RunQueue();
    const controller = new AbortController();
    let started = false;
    const slow = queue.run(never, () => sleep(200));
    const waiting = queue.run(controller.signal, async () => {
      started = true;
    });
    const after = queue.run(never, async () => 'after');
    const before = Date.now();
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    expect(Date.now() - before).toBeLessThan(100);
    expect(queue.waiting).toBe(1);
    await slow;
    expect(await after).toBe('after');
    expect(started).toBe(false);
  });

  it('refuses a job that was cancelled before', async () => {
    await expect(new RunQueue().run(AbortSignal.abort(), async () => 1)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('passes the turn on when a job is cancelled between its turn and its start', async () => {
    const queue = new RunQueue();
    const controller = new AbortController();
    const first = queue.run(never, async () => controller.abort());
    const second = queue.run(controller.signal, async () => 'second');
    const third = queue.run(never, async () => 'third');
    await first;
    await expect(second).rejects.toMatchObject({ code: 'cancelled' });
    expect(await third).toBe('third');
    expect(await queue.run(never, async () => 'fourth')).toBe('fourth');
  });
});
