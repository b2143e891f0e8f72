/**
 * Requests over any message port: fork channel, webview, worker. Every request ends in exactly one of three ways:
 * ok, err or cancelled. A broken port ends all of them with `engine-stopped`; nothing ever hangs.
 */
import { type ErrorCode, isCancelled, MechanistError, throwIfCancelled } from './errors.ts';
import type { OnProgress, Progress } from './progress.ts';
import { describe, isMessage, type Message, toWire } from './rpcMessages.ts';
import { throttleProgress } from './throttleProgress.ts';

/** One end of a two-way channel whose messages arrive whole and in order. */
export interface MessagePortLike {
  /** May throw when the message cannot be copied; must not throw when the other end has gone. */
  post(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  onClose(listener: () => void): void;
}

/** Method name → type of its parameters and of its result. */
export type RequestMap<M> = { readonly [K in keyof M]: { params: unknown; result: unknown } };

/** What a handler gets beside its parameters. Both are always there. */
export interface RequestContext {
  readonly signal: AbortSignal;
  /** Throttled to ten reports a second; the last one is always sent. */
  readonly onProgress: OnProgress;
}

/** Answers to the requests of the other end. A handler may throw: the caller always gets an answer. */
export type Handlers<M extends RequestMap<M>> = {
  readonly [K in keyof M]: (
    params: M[K]['params'],
    context: RequestContext,
  ) => Promise<M[K]['result']> | M[K]['result'];
};

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
}

export interface PeerOptions<Incoming extends RequestMap<Incoming>> {
  readonly handlers: Handlers<Incoming>;
  /** Told of malformed messages and of stacks that do not cross the port. */
  readonly log: (line: string) => void;
  /** One-way messages, e.g. the engine's hello. */
  readonly onNotification?: (name: string, params: unknown) => void;
}

/** A live end of a port. */
export interface Peer<Outgoing extends RequestMap<Outgoing>> {
  /**
   * Asks the other end. Aborting `signal` asks it to stop; the promise then ends with `cancelled` when it has stopped
   * (or with the result, if that was on its way).
   * @throws MechanistError with the other end's code; `engine-stopped` when the port is closed.
   */
  request<K extends keyof Outgoing & string>(
    method: K,
    params: Outgoing[K]['params'],
    options?: RequestOptions,
  ): Promise<Outgoing[K]['result']>;
  notify(name: string, params: unknown): void;
  /** Requests sent and not yet answered. */
  readonly pending: number;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: MechanistError) => void;
  readonly onProgress: OnProgress | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onAbort: () => void;
}

/** The asking half: ids, answers, cancellation, a closed port. */
class Caller {
  readonly #post: (message: Message) => void;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #closed = false;

  constructor(post: (message: Message) => void) {
    this.#post = post;
  }

  get size(): number {
    return this.#pending.size;
  }

  async request<T>(method: string, params: unknown, { signal, onProgress }: RequestOptions): Promise<T> {
    throwIfCancelled(signal);
    if (this.#closed) throw new MechanistError('engine-stopped', 'The engine is not running. Run the request again.');
    const id = this.#nextId++;
    return await new Promise<T>((resolve, reject) => {
      const onAbort = () => this.#post({ kind: '$cancel', id });
      this.#pending.set(id, { resolve, reject, onProgress, signal, onAbort });
      try {
        this.#post({ kind: 'request', id, method, params });
      } catch (error) {
        this.#pending.delete(id);
        const reason = error instanceof Error ? error.message : String(error);
        reject(new MechanistError('bad-input', `${method} could not be sent: ${reason}`));
        return;
      }
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** False when nobody waits for this id. */
  answer(message: Message & { readonly kind: 'ok' | 'err' | 'cancelled' }): boolean {
    const pending = this.#take(message.id);
    if (pending === undefined) return false;
    if (message.kind === 'ok') pending.resolve(message.value as never);
    else if (message.kind === 'cancelled') pending.reject(new MechanistError('cancelled', 'Cancelled.'));
    else {
      const { code, message: text, data } = message.error;
      pending.reject(new MechanistError(code as ErrorCode, text, data));
    }
    return true;
  }

  progress(id: number, progress: Progress): boolean {
    const pending = this.#pending.get(id);
    pending?.onProgress?.(progress);
    return pending !== undefined;
  }

  close(): void {
    this.#closed = true;
    for (const id of [...this.#pending.keys()]) {
      const pending = this.#take(id);
      // Whoever had already asked to stop got what was asked for.
      const cancelled = pending?.signal?.aborted === true;
      pending?.reject(
        cancelled
          ? new MechanistError('cancelled', 'Cancelled.')
          : new MechanistError('engine-stopped', 'The engine stopped while it was working. Run the request again.'),
      );
    }
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.signal?.removeEventListener('abort', pending.onAbort);
    return pending;
  }
}

type AnyHandler = (params: unknown, context: RequestContext) => unknown;

/** The answering half: runs handlers, always answers, stops them on `$cancel` and when the port closes. */
class Answerer {
  readonly #running = new Map<number, AbortController>();
  readonly #handlers: Readonly<Record<string, AnyHandler>>;
  readonly #post: (message: Message) => void;
  readonly #log: (line: string) => void;

  constructor(
    handlers: Readonly<Record<string, AnyHandler>>,
    post: (message: Message) => void,
    log: (line: string) => void,
  ) {
    this.#handlers = handlers;
    this.#post = post;
    this.#log = log;
  }

  cancel(id: number): void {
    this.#running.get(id)?.abort();
  }

  close(): void {
    for (const controller of this.#running.values()) controller.abort();
  }

  async run(id: number, method: string, params: unknown): Promise<void> {
    if (this.#running.has(id)) {
      this.#log(`rpc: request id ${id} is already running; ignored`);
      return;
    }
    const controller = new AbortController();
    this.#running.set(id, controller);
    const progress = throttleProgress((report) => this.#post({ kind: 'progress', id, progress: report }));
    let answer: Message;
    try {
      const handler = Object.hasOwn(this.#handlers, method) ? this.#handlers[method] : undefined;
      if (handler === undefined) throw new MechanistError('internal', `Unknown method ${method}.`);
      const value = await handler(params, { signal: controller.signal, onProgress: progress.report });
      answer = { kind: 'ok', id, value };
    } catch (error) {
      answer = isCancelled(error)
        ? { kind: 'cancelled', id }
        : { kind: 'err', id, error: toWire(error, method, this.#log) };
    }
    progress.flush();
    this.#running.delete(id);
    try {
      this.#post(answer);
    } catch (error) {
      this.#post({ kind: 'err', id, error: toWire(error, `${method} (answer)`, this.#log) });
    }
  }
}

/**
 * Makes one end of a port. Messages that are not ours are logged and ignored.
 * @typeParam Outgoing requests this end asks; `Incoming` those it answers.
 */
export function createPeer<Outgoing extends RequestMap<Outgoing>, Incoming extends RequestMap<Incoming>>(
  port: MessagePortLike,
  options: PeerOptions<Incoming>,
): Peer<Outgoing> {
  const { log } = options;
  const post = (message: Message) => port.post(message);
  const caller = new Caller(post);
  const answerer = new Answerer(options.handlers as unknown as Readonly<Record<string, AnyHandler>>, post, log);
  port.onMessage((message) => {
    if (!isMessage(message)) {
      log(`rpc: ignored a malformed message (${describe(message)})`);
      return;
    }
    switch (message.kind) {
      case 'request':
        void answerer.run(message.id, message.method, message.params);
        break;
      case '$cancel':
        answerer.cancel(message.id);
        break;
      case 'progress':
        caller.progress(message.id, message.progress);
        break;
      case 'notify':
        options.onNotification?.(message.name, message.params);
        break;
      case 'ok':
      case 'err':
      case 'cancelled':
        if (!caller.answer(message)) log(`rpc: ignored an answer nobody waits for (${describe(message)})`);
        break;
    }
  });
  port.onClose(() => {
    caller.close();
    answerer.close();
  });
  return {
    request: (method, params, requestOptions = {}) => caller.request(method, params, requestOptions),
    notify: (name, params) => post({ kind: 'notify', name, params }),
    get pending() {
      return caller.size;
    },
  };
}
