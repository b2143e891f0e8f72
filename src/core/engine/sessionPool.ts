import { InferenceSession, Tensor } from 'onnxruntime-node';
import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { GraphBytes } from './graphBuilder.ts';
import { isOutOfMemory } from './outOfMemory.ts';

/** A kind of graph: one session per layer (or one in all, for layer 0). */
export interface SessionKind {
  readonly name: string;
  /**
   * Packed weights are a second, faster copy in memory (about the size of the weights). Rarely used kinds are left
   * unpacked: they run from the file's pages.
   */
  readonly packed: boolean;
  /** Whoever made the kind frees it: the limit on packed kinds does not touch it. */
  readonly ownedByCaller?: boolean;
  readonly build: (layer: number) => GraphBytes;
}

export type Feeds = Readonly<Record<string, Tensor>>;

/** A dense tensor that came out of a run. */
export interface Output {
  readonly dims: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

/** The numbers of a float32 output. */
export function floats({ data }: Output): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new Error('Expected a float32 output.');
}

/** At most this many packed kinds stay in memory; the least recently used one goes first. */
const MAX_PACKED_KINDS = 2;

export function floatTensor(data: Float32Array, dims: readonly number[]): Tensor {
  return new Tensor('float32', data, [...dims]);
}

export function integerTensor(values: ArrayLike<number>): Tensor {
  return new Tensor('int64', BigInt64Array.from(Array.from(values), BigInt), [values.length]);
}

function sessionOptions(kind: SessionKind, graph: GraphBytes, threads: number): InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // One arena per session would hold the largest activations of every layer for ever.
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 3,
    extra: {
      session: {
        // Spinning workers would fight with whatever else runs on the machine.
        intra_op: { allow_spinning: '0' },
        disable_prepacking: kind.packed ? '0' : '1',
        ...(graph.weightFolder === null ? {} : { model_external_initializers_file_folder_path: graph.weightFolder }),
      },
    },
  };
}

/** Sessions by kind and layer, made when first used. Sessions are freed by `release` only, never by garbage collection. */
export class SessionPool {
  private readonly kinds = new Map<SessionKind, Map<number, Promise<InferenceSession>>>();
  private closed = false;
  /** Number of `session.run` calls so far. */
  runs = 0;

  constructor(private readonly threads: number) {}

  private async session(kind: SessionKind, layer: number): Promise<InferenceSession> {
    let layers = this.kinds.get(kind) ?? new Map<number, Promise<InferenceSession>>();
    // Re-inserting keeps the map in order of last use.
    this.kinds.delete(kind);
    this.kinds.set(kind, layers);
    await this.evict();
    layers = this.kinds.get(kind) ?? layers;
    let session = layers.get(layer);
    if (session === undefined) {
      const graph = kind.build(layer);
      session = InferenceSession.create(graph.bytes, sessionOptions(kind, graph, this.threads)).catch((error) => {
        throw runtimeError(error);
      });
      layers.set(layer, session);
      session.catch(() => layers.delete(layer));
    }
    return session;
  }

  private async evict(): Promise<void> {
    const packed = [...this.kinds.keys()].filter((kind) => kind.packed && kind.ownedByCaller !== true);
    for (const kind of packed.slice(0, Math.max(0, packed.length - MAX_PACKED_KINDS))) await this.release(kind);
  }

  /** Makes the session now instead of at its first run. */
  async prepare(kind: SessionKind, layer: number): Promise<void> {
    await this.session(kind, layer);
  }

  /**
   * One run. Blocks the thread for its duration; before it, waits one turn of the event loop so that a cancel message
   * can arrive. Outputs named in `into` are written into the tensors given there.
   * @throws MechanistError `cancelled`
   */
  async run(
    kind: SessionKind,
    layer: number,
    feeds: Feeds,
    outputs: readonly string[],
    { signal, into = {} }: { readonly signal?: AbortSignal; readonly into?: Feeds } = {},
  ): Promise<Record<string, Output>> {
    this.checkOpen();
    const session = await this.session(kind, layer);
    await new Promise((resolve) => setImmediate(resolve));
    throwIfCancelled(signal);
    this.checkOpen();
    this.runs += 1;
    const fetches = { ...Object.fromEntries(outputs.map((name) => [name, null])), ...into };
    try {
      const results = await session.run(feeds, fetches);
      const take = (name: string) => ({ dims: results[name].dims, data: results[name].data as Output['data'] });
      return Object.fromEntries(outputs.map((name) => [name, take(name)]));
    } catch (error) {
      // The runtime waits one more turn before it runs; a session may have been freed in it.
      this.checkOpen();
      throw runtimeError(error);
    }
  }

  private checkOpen(): void {
    throwIfCancelled({ aborted: this.closed });
  }

  /** Frees the sessions of one kind, and with them its packed weights. */
  async release(kind: SessionKind): Promise<void> {
    const sessions = [...(this.kinds.get(kind)?.values() ?? [])];
    this.kinds.delete(kind);
    for (const session of sessions) {
      // A session that could not be made holds nothing; whoever asked for it was told.
      const made = await session.catch(() => null);
      await made?.release();
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const kind of [...this.kinds.keys()]) await this.release(kind);
  }
}

/** What the runtime says when memory ends, in words a person can act on; anything else as it is. */
function runtimeError(error: unknown): unknown {
  if (!isOutOfMemory(error)) return error;
  return new MechanistError(
    'model-too-large',
    'There is not enough memory to go on. Close other programs, shorten the prompt, or choose a smaller model.',
  );
}
