import type { TermCheck, TraceRequest } from '../../shared/engineProtocol.ts';
import type { ExperimentOutcome } from '../../shared/experimentRun.ts';
import type { GridDocument, GridRequest } from '../../shared/gridDocument.ts';
import type { SteerDocument, SteerRequest } from '../../shared/steerDocument.ts';
import type { HeadDetail, LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import { ActivationCache } from '../engine/activationCache.ts';
import { ModelRunner, type RunContext } from '../engine/modelRunner.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { runAlone } from '../experiments/runAlone.ts';
import { type ExperimentOptions, runExperiment } from '../experiments/runExperiment.ts';
import { noSources } from '../experiments/sourcesOfStep.ts';
import type { StepContext, StepKind, StepResult } from '../experiments/stepKind.ts';
import type { OpenModel } from '../models/openModel.ts';
import { checkTerms } from '../tasks/observable.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { type GridOptions, runGrid } from './grid.ts';
import { type HeadQuestion, headDetail } from './headDetail.ts';
import { lens } from './lens.ts';
import { steer } from './steer.ts';
import { trace } from './trace.ts';

export interface AnalysisEngineOptions {
  /** Threads of matrix products; use the number of cores. */
  readonly threads: number;
  /** Bytes that activations of past prompts may hold. */
  readonly cacheBytes: number;
  /** Version of Mechanist, written into every result. */
  readonly version: string;
}

/**
 * All analyses of one open model. Calls may overlap but gain nothing from it: runs block the thread. Between runs the
 * event loop turns once, so that a signal can stop a job within about 0.1 s.
 */
export class AnalysisEngine {
  private constructor(
    readonly model: OpenModel,
    /** For forward passes and activations beyond the ready-made analyses. */
    readonly runner: ModelRunner,
    readonly cache: ActivationCache,
    private readonly version: string,
  ) {}

  /**
   * Loads all weights (about 1 s per GB of float32), so that the first question is fast. Progress by layer.
   * @throws MechanistError `cancelled`; then nothing stays in memory
   */
  static async open(
    model: OpenModel,
    options: AnalysisEngineOptions,
    context: RunContext = {},
  ): Promise<AnalysisEngine> {
    const runner = await ModelRunner.open(model, options);
    try {
      await runner.prepare(context);
    } catch (error) {
      await runner.close();
      throw error;
    }
    return new AnalysisEngine(model, runner, new ActivationCache(runner, options.cacheBytes), options.version);
  }

  private context(context: RunContext): AnalysisContext {
    const { model, runner, cache, version } = this;
    return { model, runner, cache, version, ...context };
  }

  checkTerms(terms: readonly string[]): TermCheck[] {
    return checkTerms(terms, this.model.tokenizer);
  }

  trace(request: TraceRequest, context: RunContext = {}): Promise<TraceDocument> {
    return trace(this.context(context), request);
  }

  lens(request: TraceRequest, positions: readonly number[], context: RunContext = {}): Promise<LensTable> {
    return lens(this.context(context), request, positions);
  }

  head(request: TraceRequest, question: HeadQuestion, context: RunContext = {}): Promise<HeadDetail> {
    return headDetail(this.context(context), request, question);
  }

  /** A sweep over the cells of a grid; `giveWay` lets other questions go first between two blocks. */
  grid(request: GridRequest, options: GridOptions, context: ClimbContext = {}): Promise<GridDocument> {
    return runGrid({ ...this.context(context), ...context }, request, options);
  }

  /** Adds a direction at a hook point: metric and next tokens before and after. */
  steer(request: SteerRequest, context: RunContext = {}): Promise<SteerDocument> {
    return steer(this.context(context), request);
  }

  /** The steps of an experiment, in their order; each finished cell is kept at once. */
  experiment(
    options: ExperimentOptions,
    on: Pick<StepContext, 'task' | 'memoryBytes'>,
    context: ClimbContext = {},
  ): Promise<ExperimentOutcome> {
    return runExperiment({ ...this.context(context), ...context, ...on }, options);
  }

  /** One analysis of experiments by itself, as a panel asks for it. */
  step<P>(
    kind: StepKind<P>,
    params: P,
    on: Pick<StepContext, 'task' | 'memoryBytes' | 'seed' | 'circuit'>,
    context: ClimbContext = {},
  ): Promise<StepResult> {
    return runAlone({ ...this.context(context), ...context, ...noSources(this.model.tokenizer), ...on }, kind, params);
  }

  /** What an evaluation names as its source. */
  get about(): Pick<AnalysisContext, 'model' | 'version'> {
    return { model: this.model, version: this.version };
  }

  /** Gives all memory back. */
  async close(): Promise<void> {
    this.cache.clear();
    await this.runner.close();
  }
}
