import { type ChildProcess, fork } from 'node:child_process';
import type { EngineHello, EngineMethod, EngineRequests, EngineSettings } from '../shared/engineProtocol.ts';
import { isCancelled, MechanistError } from '../shared/errors.ts';
import { createPeer, type MessagePortLike, type Peer, type RequestOptions } from '../shared/rpc.ts';
import { Emitter } from './emitter.ts';

/**
 * glibc's allocator gives large blocks back to the system at once, and takes them again, page by page, in the next layer: up to a
 * third of a run's time. These keep what one layer has freed for the next one. Ignored where there is no glibc.
 */
const allocatorSettings = {
  MALLOC_MMAP_THRESHOLD_: String(32 << 20),
  MALLOC_TRIM_THRESHOLD_: String(512 << 20),
};

/** Whoever answers the engine's requests: the engine process, or a stand-in in a test. */
export interface EnginePort {
  /** @throws MechanistError; `cancelled` when `signal` fires, `engine-stopped` when the process died meanwhile. */
  request<K extends EngineMethod>(
    method: K,
    params: EngineRequests[K]['params'],
    options?: RequestOptions,
  ): Promise<EngineRequests[K]['result']>;
}

/** An engine that also sends messages that no request waits for. */
export interface NotifyingPort extends EnginePort {
  /** Calls `listener` with each one-way message until the result is disposed. */
  onNotification(listener: (name: string, params: unknown) => void): { dispose(): void };
}

export interface EngineClientOptions {
  /** Bundle of the engine process. */
  readonly modulePath: string;
  readonly settings: () => EngineSettings;
  readonly log: (line: string) => void;
  /** The process died without being asked to. Called once for each time, after its requests have failed. */
  readonly onCrash: (message: string) => void;
  /** How long a cancelled request may go on before the process is killed. */
  readonly graceMs?: number;
}

interface Running {
  readonly child: ChildProcess;
  readonly peer: Peer<EngineRequests>;
  /** Set before the client itself ends the process. */
  stopping: boolean;
  hello: EngineHello | null;
}

const defaultGraceMs = 2000;
/** So many crashes within a minute mean that starting again will not help. */
const mostCrashesPerMinute = 3;

function portOf(child: ChildProcess): MessagePortLike {
  return {
    post: (message) => {
      // The callback takes errors of a channel that closed meanwhile; the exit handler fails the requests.
      if (child.connected) child.send(message as object, () => undefined);
    },
    onMessage: (listener) => {
      child.on('message', listener);
    },
    onClose: (listener) => {
      let closed = false;
      const close = () => {
        if (!closed) listener();
        closed = true;
      };
      child.once('disconnect', close);
      child.once('exit', close);
      child.once('error', close);
    },
  };
}

/**
 * Owns the engine process: starts it with the first request, starts it again after a crash, and kills it when a
 * cancelled request has not ended after a grace period, because a forward pass cannot be interrupted.
 */
export class EngineClient implements NotifyingPort {
  readonly #options: EngineClientOptions;
  #running: Running | null = null;
  #crashes: number[] = [];
  #disposed = false;
  readonly #notified = new Emitter<{ readonly name: string; readonly params: unknown }>();

  constructor(options: EngineClientOptions) {
    this.#options = options;
  }

  /** Process id of the engine while it runs. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  onNotification(listener: (name: string, params: unknown) => void): { dispose(): void } {
    return this.#notified.event(({ name, params }) => listener(name, params));
  }

  async request<K extends EngineMethod>(
    method: K,
    params: EngineRequests[K]['params'],
    options: RequestOptions = {},
  ): Promise<EngineRequests[K]['result']> {
    for (;;) {
      if (this.#disposed) throw new MechanistError('engine-stopped', 'The engine has been shut down.');
      const running = this.#alive() ?? this.#start();
      try {
        return await this.#requestOnce(running, method, params, options);
      } catch (error) {
        const stopped = error instanceof MechanistError && error.code === 'engine-stopped';
        // Killed for the sake of another request: this one did nothing wrong and goes to the next process.
        if (!(stopped && running.stopping && !options.signal?.aborted)) throw error;
      }
    }
  }

  /** Ends the process; the next request starts a new one with the settings of then. */
  restart(): void {
    this.#crashes = [];
    this.#stop();
  }

  dispose(): void {
    this.#disposed = true;
    this.#notified.dispose();
    this.#stop();
  }

  /** The process, unless it has closed its end: a dying one does so a moment before the system says that it is gone. */
  #alive(): Running | null {
    return this.#running?.child.connected ? this.#running : null;
  }

  #requestOnce<K extends EngineMethod>(
    running: Running,
    method: K,
    params: EngineRequests[K]['params'],
    options: RequestOptions,
  ): Promise<EngineRequests[K]['result']> {
    const { signal } = options;
    let timer: ReturnType<typeof globalThis.setTimeout> | undefined;
    const onAbort = () => {
      timer = globalThis.setTimeout(() => {
        this.#options.log(`${method} did not stop in time after it was cancelled; the engine is started again`);
        this.#kill(running);
      }, this.#options.graceMs ?? defaultGraceMs);
    };
    const answer = running.peer.request(method, params, options);
    signal?.addEventListener('abort', onAbort, { once: true });
    const settled = () => {
      globalThis.clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    return answer.then(
      (value) => {
        settled();
        return value;
      },
      (error: unknown) => {
        settled();
        // Whoever cancelled is told so, however the process ended.
        throw signal?.aborted && !isCancelled(error) ? new MechanistError('cancelled', 'Cancelled.') : error;
      },
    );
  }

  #start(): Running {
    const now = Date.now();
    this.#crashes = this.#crashes.filter((at) => now - at < 60_000);
    if (this.#crashes.length >= mostCrashesPerMinute) {
      const message = 'The engine stopped several times in a row. Look at the log, then run Mechanist: Restart Engine.';
      throw new MechanistError('engine-stopped', message);
    }
    const { modulePath, settings, log } = this.#options;
    const child = fork(modulePath, [JSON.stringify(settings())], {
      serialization: 'advanced',
      execPath: process.execPath,
      execArgv: [],
      env: { ...allocatorSettings, ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const running: Running = { child, peer: this.#peerOf(child), stopping: false, hello: null };
    this.#running = running;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => log(`engine: ${text.trimEnd()}`));
    }
    const ended = (reason: string) => this.#ended(running, reason);
    child.once('exit', (code, signal) => ended(signal ? `signal ${signal}` : `exit code ${code}`));
    child.once('error', (error) => ended(error.message));
    return running;
  }

  #peerOf(child: ChildProcess): Peer<EngineRequests> {
    const { log } = this.#options;
    return createPeer<EngineRequests, Record<never, never>>(portOf(child), {
      handlers: {},
      log,
      onNotification: (name, params) => {
        if (name !== 'hello') {
          this.#notified.fire({ name, params });
          return;
        }
        const hello = params as EngineHello;
        if (this.#running?.child === child) this.#running.hello = hello;
        log(`engine ${hello.version} runs as process ${hello.pid} with ${hello.threads} threads`);
      },
    });
  }

  #ended(running: Running, reason: string): void {
    if (this.#running === running) this.#running = null;
    if (running.stopping) return;
    running.stopping = false;
    this.#crashes.push(Date.now());
    this.#options.log(`engine stopped unexpectedly (${reason})`);
    const again = this.#crashes.length < mostCrashesPerMinute;
    this.#options.onCrash(
      again
        ? `The engine stopped unexpectedly (${reason}) and is started again. Nothing you wrote is lost.`
        : `The engine stopped ${this.#crashes.length} times within a minute (${reason}). Look at the log before restarting it.`,
    );
  }

  #stop(): void {
    if (this.#running) this.#kill(this.#running);
  }

  #kill(running: Running): void {
    running.stopping = true;
    if (this.#running === running) this.#running = null;
    running.child.kill('SIGKILL');
  }
}
