import { createHash } from 'node:crypto';
import type { TraceRequest } from '../../shared/engineProtocol.ts';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import type { EnginePort } from '../engineClient.ts';

/** Equal requests have equal keys. Short, however long the prompt. */
export function traceKey(request: TraceRequest): string {
  const { model, prompt, observable, position, method, top, steps, path, norm, view } = request;
  const question = JSON.stringify([
    model,
    prompt,
    observable ? Object.entries(observable) : null,
    position,
    method,
    top,
    ...[steps, path, norm, view],
  ]);
  return createHash('sha1').update(question).digest('base64');
}

interface Job {
  readonly controller: AbortController;
  readonly promise: Promise<TraceDocument>;
  /** Whether the annotations of the file want it. */
  background: boolean;
  /** Others who wait for it: a hover, a panel. */
  waiting: number;
  readonly listeners: Set<OnProgress>;
}

const defaultLimitBytes = 64 * 1024 * 1024;

function sizeOf({ direct, tokens }: TraceDocument): number {
  return direct.bySource.data.byteLength + direct.attention.data.byteLength + tokens.length * 100 + 4096;
}

/**
 * Traces by their request: each question is asked once, however many ask it (tints, hover, panel). Keeps the most
 * recently used ones up to a number of bytes.
 */
export class TraceStore {
  readonly #port: EnginePort;
  readonly #limitBytes: number;
  /** Insertion order is order of use. */
  readonly #traces = new Map<string, TraceDocument>();
  readonly #lenses = new Map<string, LensTable>();
  readonly #jobs = new Map<string, Job>();
  #bytes = 0;

  constructor(port: EnginePort, limitBytes = defaultLimitBytes) {
    this.#port = port;
    this.#limitBytes = limitBytes;
  }

  /** The answer, if it is there already. */
  peek(key: string): TraceDocument | undefined {
    return this.#traces.get(key);
  }

  /**
   * The answer, asked for if need be. With a `signal`, the work stops when it fires and nobody else waits for it;
   * without one, the work is for the file's annotations and stops with `keepOnly`.
   * @throws MechanistError of the engine.
   */
  async trace(request: TraceRequest, signal?: AbortSignal, onProgress?: OnProgress): Promise<TraceDocument> {
    throwIfCancelled(signal);
    const key = traceKey(request);
    const known = this.#traces.get(key);
    if (known) {
      this.#traces.delete(key);
      this.#traces.set(key, known);
      return known;
    }
    const job = this.#jobs.get(key) ?? this.#start(key, request);
    if (onProgress) job.listeners.add(onProgress);
    if (signal) return await this.#wait(key, job, signal);
    job.background = true;
    return await job.promise;
  }

  /** The logit lens of one position of a trace. */
  async lens(request: TraceRequest, position: number, signal?: AbortSignal): Promise<LensTable> {
    const key = `${traceKey(request)}@${position}`;
    const known = this.#lenses.get(key);
    if (known) return known;
    const lens = await this.#port.request('lens', { request, positions: [position] }, { signal });
    if (this.#lenses.size >= 500) this.#lenses.delete(this.#lenses.keys().next().value ?? '');
    this.#lenses.set(key, lens);
    return lens;
  }

  peekLens(request: TraceRequest, position: number): LensTable | undefined {
    return this.#lenses.get(`${traceKey(request)}@${position}`);
  }

  /** Stops the annotations' work for all other questions, except what a hover or a panel waits for. */
  keepOnly(wanted: ReadonlySet<string>): void {
    for (const [key, job] of this.#jobs) {
      if (wanted.has(key)) continue;
      job.background = false;
      this.#stopUnwanted(key, job);
    }
  }

  /** Forgets everything: the models may have changed. */
  clear(): void {
    for (const job of this.#jobs.values()) job.controller.abort();
    this.#jobs.clear();
    this.#traces.clear();
    this.#lenses.clear();
    this.#bytes = 0;
  }

  #wait(key: string, job: Job, signal: AbortSignal): Promise<TraceDocument> {
    job.waiting++;
    return new Promise((resolve, reject) => {
      const leave = () => {
        signal.removeEventListener('abort', onAbort);
        job.waiting--;
      };
      const onAbort = () => {
        leave();
        this.#stopUnwanted(key, job);
        reject(new MechanistError('cancelled', 'Cancelled.'));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      job.promise.then(
        (document) => {
          if (signal.aborted) return;
          leave();
          resolve(document);
        },
        (error: unknown) => {
          if (signal.aborted) return;
          leave();
          reject(error);
        },
      );
    });
  }

  #stopUnwanted(key: string, job: Job): void {
    if (job.background || job.waiting > 0) return;
    if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    job.controller.abort();
  }

  #start(key: string, request: TraceRequest): Job {
    const controller = new AbortController();
    const listeners = new Set<OnProgress>();
    const promise = this.#port.request('trace', request, {
      signal: controller.signal,
      onProgress: (progress) => {
        for (const listener of listeners) listener(progress);
      },
    });
    const job: Job = { controller, promise, background: false, waiting: 0, listeners };
    this.#jobs.set(key, job);
    const done = () => {
      if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    };
    promise.then(
      (document) => {
        done();
        this.#keep(key, document);
      },
      () => done(),
    );
    return job;
  }

  #keep(key: string, document: TraceDocument): void {
    this.#traces.set(key, document);
    this.#bytes += sizeOf(document);
    for (const [oldest, old] of this.#traces) {
      if (this.#bytes <= this.#limitBytes || oldest === key) break;
      this.#traces.delete(oldest);
      this.#bytes -= sizeOf(old);
    }
  }
}
