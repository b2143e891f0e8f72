import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { EngineHello, EngineRequests, EngineSettings } from '../../src/shared/engineProtocol.ts';
import { createPeer, type Peer } from '../../src/shared/rpc.ts';

const root = resolve(import.meta.dirname, '../..');

export interface ForkedEngine {
  readonly peer: Peer<EngineRequests>;
  readonly child: ChildProcess;
  /** Lines on standard error, and what the peer logs. */
  readonly log: string[];
  readonly hello: Promise<EngineHello>;
}

/** The built engine process, forked as the editor does it. The caller ends it. */
export function forkEngine(
  settings: Partial<EngineSettings> & Pick<EngineSettings, 'cacheDir'>,
  onNotification: (name: string, params: unknown) => void = () => undefined,
): ForkedEngine {
  const all: EngineSettings = {
    version: '0.0.0-test',
    bundledDir: resolve(root, 'models'),
    threads: 1,
    activationCacheBytes: 64e6,
    ...settings,
  };
  const child = fork(resolve(root, 'dist/engine.cjs'), [JSON.stringify(all)], {
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
  });
  const log: string[] = [];
  child.stderr?.on('data', (chunk: Buffer) => log.push(chunk.toString('utf8')));
  child.stdout?.on('data', (chunk: Buffer) => log.push(`stdout: ${chunk.toString('utf8')}`));
  let greet: (hello: EngineHello) => void = () => undefined;
  const hello = new Promise<EngineHello>((done) => {
    greet = done;
  });
  const peer = createPeer<EngineRequests, Record<never, never>>(
    {
      post: (message) => {
        if (child.connected) child.send(message as object, () => undefined);
      },
      onMessage: (listener) => child.on('message', listener),
      onClose: (listener) => child.on('exit', () => listener()),
    },
    {
      handlers: {},
      log: (line) => log.push(line),
      onNotification: (name, params) => {
        if (name === 'hello') greet(params as EngineHello);
        else onNotification(name, params);
      },
    },
  );
  return { peer, child, log, hello };
}

/** Ends a forked engine and waits until it has gone. */
export async function stopEngine({ child }: ForkedEngine): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
