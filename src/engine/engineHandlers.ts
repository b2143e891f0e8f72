import type { AnalysisEngine } from '../core/analyses/analysisEngine.ts';
import { sweepMemory } from '../core/analyses/sweepMemory.ts';
import type { LocatedModel, ModelStore } from '../core/models/modelStore.ts';
import { type Job, verifyLoaded } from '../core/session/loadModel.ts';
import type { EngineRequests } from '../shared/engineProtocol.ts';
import type { GridDocument, GridNotifications } from '../shared/gridDocument.ts';
import { progressPhases } from '../shared/progressPhases.ts';
import type { Handlers, RequestContext } from '../shared/rpc.ts';
import { GridMessages } from './gridMessages.ts';
import { ModelPool } from './modelPool.ts';
import { RunQueue } from './runQueue.ts';

export interface EngineParts {
  readonly store: ModelStore;
  /** Opens a model that is on this machine. */
  readonly load: (located: LocatedModel, job: Job) => Promise<AnalysisEngine>;
  /** Sends a one-way message to the editor. */
  readonly notify: (name: keyof GridNotifications, params: unknown) => void;
  /** Memory that is free now. */
  readonly availableBytes: () => number;
}

/** Share of the bar that opening a model takes when it is not open yet. */
const OPENING = 0.5;

/** Ends a sweep whose model was closed by a question that went before it; it is opened again. */
class ModelClosed extends Error {}

/** Answers to everything the engine process can be asked. Runs take turns; lists and downloads do not wait for them. */
export function createEngineHandlers(parts: EngineParts): Handlers<EngineRequests> {
  const { store } = parts;
  const queue = new RunQueue();
  const pool = new ModelPool<AnalysisEngine>();

  /** Opens the model if need be, then runs `run` on it, when its turn has come. */
  const withModel = async <T>(
    ref: string,
    { signal, onProgress }: RequestContext,
    run: (engine: AnalysisEngine, job: Job, located: LocatedModel) => Promise<T> | T,
  ): Promise<T> => {
    const located = await store.locate(ref);
    const key = await store.identityOf(located);
    return await queue.run(signal, async () => {
      const open = pool.peek(key) !== undefined;
      const [opening, running] = open ? [onProgress, onProgress] : progressPhases(onProgress, OPENING);
      const identity = { key, forecast: async () => (await store.info(ref)).memory };
      const model = await pool.get(identity, () => parts.load(located, { signal, onProgress: opening }));
      const result = await run(model, { signal, onProgress: running }, located);
      if (!open) running({ done: 1, total: 1, label: located.ref });
      return result;
    });
  };

  /** Runs a sweep in turns: whatever is asked meanwhile is answered between two blocks. */
  const grid = async (
    { request, token, resume }: EngineRequests['grid']['params'],
    context: RequestContext,
  ): Promise<GridDocument> => {
    const messages = new GridMessages(token, parts.notify);
    for (let known = resume; ; known = messages.document) {
      try {
        return await withModel(request.model, context, async (engine, job) => {
          const giveWay = async () => {
            if (queue.waiting === 0) return;
            await queue.giveWay();
            if (!pool.has(engine)) throw new ModelClosed();
          };
          const memoryBytes = sweepMemory(parts.availableBytes());
          const options = { resume: known, memoryBytes, ...messages.listeners };
          return await engine.grid(request, options, { ...job, giveWay });
        });
      } catch (error) {
        if (!(error instanceof ModelClosed)) throw error;
      } finally {
        messages.flush();
      }
    }
  };

  return {
    grid,
    'models.list': () => store.list(),
    'models.info': ({ model }) => store.info(model),
    'models.pull': ({ id }, context) => store.pull(id, context),
    'models.add': ({ path }) => store.add(path),
    'models.verify': ({ model }, context) =>
      withModel(model, context, (engine, job, located) => verifyLoaded(engine, store, located, job)),
    'models.load': ({ model }, context) => withModel(model, context, ({ model: opened }) => opened.info),
    checkTerms: async ({ model, terms }, context) => {
      const open = pool.peek(await store.identityOf(await store.locate(model)));
      if (open !== undefined) return open.checkTerms(terms);
      return await withModel(model, context, (engine) => engine.checkTerms(terms));
    },
    trace: (request, context) => withModel(request.model, context, (engine, job) => engine.trace(request, job)),
    lens: ({ request, positions }, context) =>
      withModel(request.model, context, (engine, job) => engine.lens(request, positions, job)),
    head: ({ request, ...head }, context) =>
      withModel(request.model, context, (engine, job) => engine.head(request, head, job)),
  };
}
