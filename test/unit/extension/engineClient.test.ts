import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EngineClient } from '../../../src/extension/engineClient.ts';

/** A process that speaks the protocol: answers, dies, hangs, or ends when it is asked to. */
const program = `
const waiting = new Set();
process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  const { kind, id, params } = message;
  if (kind === '$cancel') {
    if (waiting.delete(id)) process.send({ kind: 'cancelled', id });
    return;
  }
  if (kind !== 'request') return;
  const model = params.model;
  if (model === 'die') process.exit(3);
  if (model === 'hang') for (;;);
  if (model === 'wait') { waiting.add(id); return; }
  if (model === 'settings') { process.send({ kind: 'ok', id, value: JSON.parse(process.argv[2]) }); return; }
  process.send({ kind: 'ok', id, value: { ref: model, pid: process.pid } });
});
process.send({ kind: 'notify', name: 'hello', params: { version: '1', pid: process.pid, threads: 2 } });
`;

let folder: string;
let client: EngineClient;
let crashes: string[];
let logged: string[];

function makeClient(modulePath = join(folder, 'engine.cjs')): EngineClient {
  crashes = [];
  logged = [];
  client = new EngineClient({
    modulePath,
    settings: () => ({ version: '1', cacheDir: '/c', bundledDir: '/b', threads: 3, activationCacheBytes: 5 }),
    log: (line) => logged.push(line),
    onCrash: (message) => crashes.push(message),
    graceMs: 100,
  });
  return client;
}

const info = (model: string, signal?: AbortSignal) => client.request('models.info', { model }, { signal });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mechanist-client-'));
  writeFileSync(join(folder, 'engine.cjs'), program);
});
afterEach(() => client.dispose());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('EngineClient', () => {
  it('starts the process with the first request and its settings', async () => {
    makeClient();
    expect(client.pid).toBeUndefined();
    expect(await info('settings')).toMatchObject({ threads: 3, cacheDir: '/c', activationCacheBytes: 5 });
    expect(client.pid).toBeGreaterThan(0);
    expect(logged.join('\n')).toContain('with 2 threads');
  });

  it('starts again after SIGKILL and tells once', async () => {
    makeClient();
    await info('a');
    const first = client.pid ?? 0;
    const waiting = info('wait');
    process.kill(first, 'SIGKILL');
    await expect(waiting).rejects.toMatchObject({ code: 'engine-stopped' });
    await expect.poll(() => crashes.length).toBe(1);
    expect(await info('b')).toMatchObject({ ref: 'b' });
    expect(client.pid).not.toBe(first);
    expect(crashes).toHaveLength(1);
    expect(crashes[0]).not.toContain('\n');
  });

  it('asks the next process, not the dead one, when it is asked in the moment of the crash', async () => {
    makeClient();
    for (let i = 0; i < 2; i++) {
      await info('a');
      const again = info('wait').catch(() => info('b'));
      const { pid } = client;
      if (pid === undefined) throw new Error('no engine to kill');
      process.kill(pid, 'SIGKILL');
      expect(await again).toMatchObject({ ref: 'b' });
    }
  });

  it('stops starting again when it crashes over and over, until it is restarted by hand', async () => {
    makeClient();
    for (let i = 0; i < 3; i++) {
      await expect(info('die')).rejects.toMatchObject({ code: 'engine-stopped' });
      await expect.poll(() => crashes.length).toBe(i + 1);
    }
    await expect(info('a')).rejects.toThrow(/several times/);
    client.restart();
    expect(await info('a')).toMatchObject({ ref: 'a' });
  });

  it('cancels within the process when it can, and keeps the process', async () => {
    makeClient();
    await info('a');
    const { pid } = client;
    const controller = new AbortController();
    const waiting = info('wait', controller.signal);
    setTimeout(() => controller.abort(), 20);
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(client.pid).toBe(pid);
  });

  it('kills a process that does not stop; others go to the next process and nobody is told', async () => {
    makeClient();
    await info('a');
    const { pid } = client;
    const controller = new AbortController();
    const hanging = info('hang', controller.signal);
    const other = info('b');
    setTimeout(() => controller.abort(), 20);
    await expect(hanging).rejects.toMatchObject({ code: 'cancelled' });
    expect(await other).toMatchObject({ ref: 'b' });
    expect(client.pid).not.toBe(pid);
    expect(crashes).toEqual([]);
  });

  it('does not hang when there is no program', async () => {
    makeClient(join(folder, 'missing.cjs'));
    await expect(info('a')).rejects.toMatchObject({ code: 'engine-stopped' });
  });

  it('is silent after it was disposed', async () => {
    makeClient();
    await info('a');
    client.dispose();
    await expect(info('a')).rejects.toMatchObject({ code: 'engine-stopped' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(crashes).toEqual([]);
  });
});
