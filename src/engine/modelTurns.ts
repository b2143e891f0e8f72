import type { AnalysisEngine } from '../core/analyses/analysisEngine.ts';
import type { LocatedModel, ModelStore } from '../core/models/modelStore.ts';
import type { Job } from '../core/session/loadModel.ts';
import type { DatasetReader } from '../core/tasks/datasetBook.ts';
import { progressPhases } from '../shared/progressPhases.ts';
import type { RequestContext } from '../shared/rpc.ts';
import { ModelPool } from './modelPool.ts';
import { RunQueue } from './runQueue.ts';

/** Share of the bar that opening a model takes when it is not open yet. */
const OPENING = 0.5;

/** Ends a long run whose model was closed by a question that went before it; it is opened again. */
class ModelClosed extends Error {}

/** A long run that lets others go first. */
export interface TurnJob extends Job {
  /** Awaited between blocks and cells. */
  readonly giveWay: () => Promise<void>;
}

/** Opens models when they are asked for, and lets everything that runs on them take turns. */
export class ModelTurns {
  readonly #queue = new RunQueue();
  readonly #pool = new ModelPool<AnalysisEngine>();

  constructor(
    private readonly store: ModelStore,
    private readonly load: (located: LocatedModel, job: Job) => Promise<AnalysisEngine>,
  ) {}

  /** The tokenizer of a model that is open, by its identity. */
  reader(key: string): DatasetReader | undefined {
    const model = this.#pool.peek(key)?.model;
    return model && { tokenizer: model.tokenizer, nCtx: model.config.nCtx };
  }

  /** Opens the model if need be, then runs `run` on it, when its turn has come. */
  async withModel<T>(
    ref: string,
    { signal, onProgress }: RequestContext,
    run: (engine: AnalysisEngine, job: Job, located: LocatedModel) => Promise<T> | T,
  ): Promise<T> {
    const { store } = this;
    const located = await store.locate(ref);
    const key = await store.identityOf(located);
    return await this.#queue.run(signal, async () => {
      const open = this.#pool.peek(key) !== undefined;
      const [opening, running] = open ? [onProgress, onProgress] : progressPhases(onProgress, OPENING);
      const identity = { key, forecast: async () => (await store.info(ref)).memory };
      const model = await this.#pool.get(identity, () => this.load(located, { signal, onProgress: opening }));
      const result = await run(model, { signal, onProgress: running }, located);
      if (!open) running({ done: 1, total: 1, label: located.ref });
      return result;
    });
  }

  /**
   * Runs something long in turns: whatever is asked meanwhile is answered when it gives way. When that closes its model,
   * `run` is called again, and goes on with what it has kept.
   */
  async inTurns<T>(
    ref: string,
    context: RequestContext,
    run: (engine: AnalysisEngine, job: TurnJob) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      try {
        return await this.withModel(ref, context, (engine, job) => {
          const giveWay = async () => {
            if (this.#queue.waiting === 0) return;
            await engine.runner.uncounted(() => this.#queue.giveWay());
            if (!this.#pool.has(engine)) throw new ModelClosed();
          };
          return run(engine, { ...job, giveWay });
        });
      } catch (error) {
        if (!(error instanceof ModelClosed)) throw error;
      }
    }
  }
}
