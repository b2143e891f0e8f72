import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { Progress } from '../../../src/shared/progress.ts';
import { createPeer, type Handlers } from '../../../src/shared/rpc.ts';
import { portPair } from '../../support/portPair.ts';

interface Sums {
  add: { params: readonly number[]; result: number };
  fail: { params: 'expected' | 'bug' | 'text'; result: null };
  wait: { params: null; result: string };
  count: { params: number; result: null };
  bad: { params: null; result: unknown };
}
type Nothing = Record<never, never>;

function setUp(overrides: Partial<Handlers<Sums>> = {}) {
  const [near, far] = portPair();
  const nearLog: string[] = [];
  const farLog: string[] = [];
  const notes: [string, unknown][] = [];
  const handlers: Handlers<Sums> = {
    add: (numbers) => numbers.reduce((a, b) => a + b, 0),
    fail: (how) => {
      if (how === 'expected') throw new MechanistError('bad-input', 'Give a number.', { field: 'x' });
      if (how === 'text') throw 'only text';
      throw new TypeError('cannot read x of undefined');
    },
    wait: (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(new MechanistError('cancelled', 'Cancelled.')));
      }),
    count: async (total, { onProgress }) => {
      for (let done = 0; done <= total; done++) {
        onProgress({ done, total, label: `${done}` });
        if (done % 20 === 0) await sleep(5);
      }
      return null;
    },
    bad: () => ({ cannotBeCloned: () => 1 }),
    ...overrides,
  };
  const peer = createPeer<Sums, Nothing>(near, {
    handlers: {},
    log: (line) => nearLog.push(line),
    onNotification: (name, params) => notes.push([name, params]),
  });
  const server = createPeer<Nothing, Sums>(far, { handlers, log: (line) => farLog.push(line) });
  return { near, far, peer, server, nearLog, farLog, notes };
}

async function failure(promise: Promise<unknown>): Promise<MechanistError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MechanistError)) throw new Error(`expected a MechanistError, got ${String(error)}`);
  return error;
}

describe('rpc', () => {
  it('answers requests, many at once, each with its own answer', async () => {
    const { peer } = setUp();
    const answers = await Promise.all([1, 2, 3, 4].map((n) => peer.request('add', [n, 10])));
    expect(answers).toEqual([11, 12, 13, 14]);
    expect(peer.pending).toBe(0);
  });

  it('carries typed arrays as typed arrays', async () => {
    const { peer } = setUp({ bad: () => new Float32Array([1, 2]) });
    expect(await peer.request('bad', null)).toEqual(new Float32Array([1, 2]));
  });

  it('carries an expected failure with code, message and data', async () => {
    const { peer, farLog } = setUp();
    const error = await failure(peer.request('fail', 'expected'));
    expect([error.code, error.message, error.data]).toEqual(['bad-input', 'Give a number.', { field: 'x' }]);
    expect(farLog).toEqual([]);
  });

  it('answers when a handler breaks: internal, message only, stack to the log', async () => {
    const { peer, far, farLog } = setUp();
    const error = await failure(peer.request('fail', 'bug'));
    expect([error.code, error.message]).toEqual(['internal', 'cannot read x of undefined']);
    expect(JSON.stringify(far.sent)).not.toContain('rpc.test.ts');
    expect(farLog.join('\n')).toContain('rpc.test.ts');
    expect((await failure(peer.request('fail', 'text'))).message).toBe('only text');
  });

  it('answers when a result cannot be copied', async () => {
    const { peer } = setUp();
    expect((await failure(peer.request('bad', null))).code).toBe('internal');
    expect(await peer.request('add', [1])).toBe(1);
  });

  it('refuses parameters that cannot be copied, and forgets the request', async () => {
    const { peer } = setUp();
    const error = await failure(peer.request('add', [() => 1] as unknown as number[]));
    expect(error.code).toBe('bad-input');
    expect(peer.pending).toBe(0);
  });

  it('answers an unknown method, also one named like a property of every object', async () => {
    const { peer } = setUp();
    for (const method of ['nope', 'constructor', '__proto__']) {
      expect((await failure(peer.request(method as 'add', []))).message).toBe(`Unknown method ${method}.`);
    }
  });

  it('cancels a running request', async () => {
    const { peer } = setUp();
    const controller = new AbortController();
    const waiting = failure(peer.request('wait', null, { signal: controller.signal }));
    await sleep(5);
    controller.abort();
    expect((await waiting).code).toBe('cancelled');
  });

  it('never sends a request that was cancelled before', async () => {
    const { peer, near } = setUp();
    expect((await failure(peer.request('wait', null, { signal: AbortSignal.abort() }))).code).toBe('cancelled');
    expect(near.sent).toEqual([]);
  });

  it('takes a result that was on its way when the cancel went out', async () => {
    const { peer } = setUp();
    const controller = new AbortController();
    const sum = peer.request('add', [1, 2], { signal: controller.signal });
    controller.abort();
    expect(await sum).toBe(3);
  });

  it('reports progress: monotone, constant total, ends at total, at most ten a second', async () => {
    const { peer } = setUp();
    const seen: Progress[] = [];
    const started = Date.now();
    await peer.request('count', 1000, { onProgress: (progress) => seen.push(progress) });
    const elapsed = Date.now() - started;
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.length).toBeLessThanOrEqual(2 + elapsed / 100);
    expect(new Set(seen.map((p) => p.total))).toEqual(new Set([1000]));
    expect(seen.map((p) => p.done)).toEqual(seen.map((p) => p.done).toSorted((a, b) => a - b));
    expect(seen.at(-1)).toEqual({ done: 1000, total: 1000, label: '1000' });
  });

  it('drops progress that runs backwards or changes its total', async () => {
    const { peer } = setUp({
      count: async (_, { onProgress }) => {
        for (const [done, total] of [
          [2, 4],
          [1, 4],
          [9, 9],
          [4, 4],
        ] as const) {
          onProgress({ done, total, label: '' });
          await sleep(110);
        }
        return null;
      },
    });
    const seen: number[] = [];
    await peer.request('count', 1, { onProgress: ({ done }) => seen.push(done) });
    expect(seen).toEqual([2, 4]);
  });

  it('logs and ignores malformed messages', async () => {
    const { peer, near, far, nearLog, farLog } = setUp();
    const junk = [
      null,
      undefined,
      7,
      'text',
      {},
      { kind: 'request' },
      { kind: 'request', id: 1.5, method: 'add' },
      { kind: 'request', id: 9, method: 5 },
      { kind: 'err', id: 1, error: 'no' },
      { kind: 'progress', id: 1, progress: null },
      { kind: 'other', id: 1 },
      { kind: 'notify' },
    ];
    for (const message of junk) {
      near.receive(message);
      far.receive(message);
    }
    expect(nearLog).toHaveLength(junk.length);
    expect(farLog).toHaveLength(junk.length);
    near.receive({ kind: 'ok', id: 99, value: 1 });
    expect(nearLog.at(-1)).toContain('nobody waits');
    far.receive({ kind: '$cancel', id: 99 });
    expect(await peer.request('add', [1, 1])).toBe(2);
  });

  it('ignores a second request under an id that is still running', async () => {
    const { far, farLog } = setUp();
    far.receive({ kind: 'request', id: 5, method: 'wait', params: null });
    far.receive({ kind: 'request', id: 5, method: 'wait', params: null });
    expect(farLog.join()).toContain('already running');
  });

  it('ends every request when the port closes, and refuses new ones', async () => {
    let stopped = false;
    const { peer, near } = setUp({
      wait: (_, { signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            stopped = true;
          });
        }),
    });
    const controller = new AbortController();
    const plain = failure(peer.request('wait', null));
    const cancelled = failure(peer.request('wait', null, { signal: controller.signal }));
    await sleep(5);
    controller.abort();
    near.cut();
    expect((await plain).code).toBe('engine-stopped');
    expect((await cancelled).code).toBe('cancelled');
    expect(stopped).toBe(true);
    expect((await failure(peer.request('add', [1]))).code).toBe('engine-stopped');
  });

  it('carries notifications', async () => {
    const { server, notes } = setUp();
    server.notify('hello', { pid: 1 });
    await sleep(5);
    expect(notes).toEqual([['hello', { pid: 1 }]]);
  });
});
