/** The engine process: core bound to rpc over the fork channel. It may be killed at any moment. */
import { availableParallelism, freemem, homedir } from 'node:os';
import { cacheFolder } from '../core/models/cacheFolder.ts';
import { createModelStore } from '../core/session/createModelStore.ts';
import { loadModel } from '../core/session/loadModel.ts';
import type { EngineHello, EngineRequests, EngineSettings } from '../shared/engineProtocol.ts';
import { createPeer, type MessagePortLike } from '../shared/rpc.ts';
import { createEngineHandlers } from './engineHandlers.ts';

/** Lines on stderr; the editor shows them in its log. */
function log(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The fork channel of this process. Messages to an editor that has gone are dropped. */
function parentPort(): MessagePortLike {
  return {
    post: (message) => {
      if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
    },
    onMessage: (listener) => {
      process.on('message', listener);
    },
    onClose: (listener) => {
      process.on('disconnect', listener);
    },
  };
}

/** Memory that may be taken: what the operating system, or a container's limit, leaves. */
function availableBytes(): number {
  return typeof process.availableMemory === 'function' ? process.availableMemory() : freemem();
}

function start(settings: EngineSettings): void {
  const threads = settings.threads > 0 ? settings.threads : availableParallelism();
  const store = createModelStore({
    cacheDir: settings.cacheDir || cacheFolder(process.env, process.platform, homedir()),
    bundledDir: settings.bundledDir,
    cwd: process.cwd(),
    hubUrl: settings.hubUrl ?? process.env.HF_ENDPOINT,
    availableBytes,
  });
  const { activationCacheBytes: cacheBytes, version } = settings;
  const handlers = createEngineHandlers({
    store,
    load: (located, job) => loadModel(store, located, { threads, cacheBytes, version }, job),
    notify: (name, params) => peer.notify(name, params),
    availableBytes,
  });
  const peer = createPeer<Record<never, never>, EngineRequests>(parentPort(), { handlers, log });
  // Without the editor there is nobody to answer; its process group may outlive it.
  process.on('disconnect', () => process.exit(0));
  peer.notify('hello', { version, pid: process.pid, threads } satisfies EngineHello);
}

const argument = process.argv[2];
if (argument === undefined || process.send === undefined) {
  log('This program is started by Mechanist, with its settings as one JSON argument and a message channel.');
  process.exitCode = 2;
} else {
  start(JSON.parse(argument) as EngineSettings);
}
