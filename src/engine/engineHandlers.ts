import type { AnalysisEngine } from '../core/analyses/analysisEngine.ts';
import { sweepMemory } from '../core/analyses/sweepMemory.ts';
import type { LocatedModel, ModelStore } from '../core/models/modelStore.ts';
import { readExperiment, runOpenExperiment } from '../core/session/experiment.ts';
import { type Job, verifyLoaded } from '../core/session/loadModel.ts';
import type { CircuitNotifications } from '../shared/circuitRequests.ts';
import type { EngineRequests } from '../shared/engineProtocol.ts';
import type { ExperimentNotifications, ExperimentOutcome } from '../shared/experimentRun.ts';
import type { GridDocument, GridNotifications } from '../shared/gridDocument.ts';
import type { Handlers, RequestContext } from '../shared/rpc.ts';
import { circuitHandlers } from './circuitHandlers.ts';
import { Datasets } from './datasets.ts';
import { ExperimentMessages } from './experimentMessages.ts';
import { GridMessages } from './gridMessages.ts';
import { ModelTurns } from './modelTurns.ts';
import { Vocabularies } from './vocabularies.ts';

export interface EngineParts {
  readonly store: ModelStore;
  /** Opens a model that is on this machine. */
  readonly load: (located: LocatedModel, job: Job) => Promise<AnalysisEngine>;
  /** Sends a one-way message to the editor. */
  readonly notify: (
    name: keyof (GridNotifications & ExperimentNotifications & CircuitNotifications),
    params: unknown,
  ) => void;
  /** Memory that is free now. */
  readonly availableBytes: () => number;
}

/** Answers to everything the engine process can be asked. Runs take turns; lists and downloads do not wait for them. */
export function createEngineHandlers(parts: EngineParts): Handlers<EngineRequests> {
  const { store, notify } = parts;
  const turns = new ModelTurns(store, parts.load);
  const vocabularies = new Vocabularies(store, (key) => turns.reader(key));
  const datasets = new Datasets(vocabularies);
  const memoryBytes = () => sweepMemory(parts.availableBytes());

  const grid = async (
    { request, token, resume }: EngineRequests['grid']['params'],
    context: RequestContext,
  ): Promise<GridDocument> => {
    const messages = new GridMessages(token, notify);
    return await turns.inTurns(request.model, context, async (engine, job) => {
      try {
        const known = messages.document ?? resume;
        return await engine.grid(request, { resume: known, memoryBytes: memoryBytes(), ...messages.listeners }, job);
      } finally {
        messages.flush();
      }
    });
  };

  const experiment = async (
    { token, steps, fresh, ...request }: EngineRequests['experiment.run']['params'],
    context: RequestContext,
  ): Promise<ExperimentOutcome> => {
    const { listeners } = new ExperimentMessages(token, notify);
    const open = await readExperiment(request);
    let forget = fresh;
    return await turns.inTurns(open.modelRef, context, (engine, job) => {
      const options = { steps, fresh: forget, memoryBytes: memoryBytes(), ...listeners };
      // When the model has to be opened again, what was run since is kept.
      forget = false;
      return runOpenExperiment(engine, open, options, job);
    });
  };

  return {
    ...circuitHandlers(turns, notify, memoryBytes),
    grid,
    'experiment.run': experiment,
    'dataset.check': (source, context) => datasets.check(source, context),
    'dataset.rows': ({ key, question }) => datasets.rows(key, question),
    'models.list': () => store.list(),
    'models.info': ({ model }) => store.info(model),
    'models.pull': ({ id }, context) => store.pull(id, context),
    'models.add': ({ path }) => store.add(path),
    'models.verify': ({ model }, context) =>
      turns.withModel(model, context, (engine, job, located) => verifyLoaded(engine, store, located, job)),
    'models.load': ({ model }, context) => turns.withModel(model, context, ({ model: opened }) => opened.info),
    checkTerms: ({ model, terms }) => vocabularies.checkTerms(model, terms),
    completeTokens: ({ model, prefix, limit }) => vocabularies.complete(model, prefix, limit),
    trace: (request, context) => turns.withModel(request.model, context, (engine, job) => engine.trace(request, job)),
    steer: (request, context) => turns.withModel(request.model, context, (engine, job) => engine.steer(request, job)),
    lens: ({ request, positions }, context) =>
      turns.withModel(request.model, context, (engine, job) => engine.lens(request, positions, job)),
    head: ({ request, ...head }, context) =>
      turns.withModel(request.model, context, (engine, job) => engine.head(request, head, job)),
  };
}
