import type { AblationValue, ByAnswer, CircuitFile, CircuitScope } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { ModelConfig } from '../models/modelConfig.ts';
import { CircuitMetric, type Scores } from './circuitMetric.ts';
import { EdgeGraph } from './edgeGraph.ts';
import { EdgeScorer } from './edgeScorer.ts';
import { EdgeSpace } from './edgeSpace.ts';
import { type Columns, columnsOf, correctColumns, RowBootstrap } from './estimates.ts';
import { NodeScorer } from './nodeScorer.ts';
import { NodeSpace } from './nodeSpace.ts';
import type { Scorer, Selection, SelectionSpace } from './selection.ts';

export interface EvaluatorOptions {
  readonly scope: CircuitScope;
  readonly ablation: AblationValue;
  /** How the model is scored; not normalised. */
  readonly metric: MetricSpec;
  /** Bytes of activations that may be held at once. */
  readonly memoryBytes: number;
  /** Of the bootstrap. */
  readonly seed: number;
}

/** What a change of a circuit changes at once: enough to answer a drag. */
export interface QuickEvaluation {
  readonly full: ByAnswer;
  readonly empty: ByAnswer;
  readonly inCircuit: ByAnswer;
  readonly faithfulness: ByAnswer;
  readonly accuracy: ByAnswer;
}

/** What a forward pass of the whole data runs, in positions × blocks. */
export function blocksOfPass({ nLayers }: ModelConfig, { items }: TaskSet): number {
  return nLayers * items.reduce((sum, { ids }) => sum + ids.length, 0);
}

/**
 * Scores circuits of one model on one dataset with one ablation. Made once and kept: clean runs and what stands in for
 * ablated parts stay in memory, so that a circuit costs less than one forward pass of the data.
 */
export class CircuitEvaluator {
  private ends: Promise<readonly [full: Scores, empty: Scores]> | undefined;

  private constructor(
    readonly task: TaskSet,
    readonly options: EvaluatorOptions,
    readonly space: SelectionSpace,
    readonly bootstrap: RowBootstrap,
    private readonly scorer: Scorer,
    /** A forward pass of the whole data, in positions × blocks. */
    readonly blocksPerPass: number,
  ) {}

  /**
   * Cost: one forward pass of the data, one more for the values of `mean` and `resample`.
   * @throws MechanistError `bad-input` for an empty dataset, a corruption that it lacks, or foils that do not fit
   */
  static async create(
    runner: ModelRunner,
    task: TaskSet,
    options: EvaluatorOptions,
    context: ClimbContext = {},
  ): Promise<CircuitEvaluator> {
    const { scope, ablation, memoryBytes, seed } = options;
    if (task.items.length === 0) throw new MechanistError('bad-input', 'The dataset has no rows that can be run.');
    const metric = await CircuitMetric.create(runner, options.metric, task);
    const bootstrap = new RowBootstrap(task.items.length, seed);
    const pass = blocksOfPass(runner.config, task);
    if (scope === 'edges') {
      const graph = new EdgeGraph(runner.config);
      const scorer = await EdgeScorer.create(runner, task, metric, graph, { ablation, memoryBytes }, context);
      return new CircuitEvaluator(task, options, new EdgeSpace(graph), bootstrap, scorer, pass);
    }
    const scorer = await NodeScorer.create(runner, task, metric, { ablation, scope, memoryBytes }, context);
    return new CircuitEvaluator(task, options, new NodeSpace(runner.config, scope), bootstrap, scorer, pass);
  }

  /** Forward passes of the whole data so far. */
  get passes(): number {
    return this.scorer.blocks / this.blocksPerPass;
  }

  /** What has run so far, in positions × blocks. */
  get blocks(): number {
    return this.scorer.blocks;
  }

  scores(selections: readonly Selection[], context: ClimbContext = {}): Promise<Scores[]> {
    return this.scorer.scores(selections, context);
  }

  /** The whole model, and the one with all of the scope ablated; run once. */
  private fullAndEmpty(context: ClimbContext): Promise<readonly [full: Scores, empty: Scores]> {
    const { full, empty } = this.space;
    this.ends ??= this.scores([full, empty], { ...context, onProgress: undefined }).then(([a, b]) => [a, b] as const);
    this.ends.catch(() => {
      this.ends = undefined;
    });
    return this.ends;
  }

  /** Faithfulness of a circuit with its interval. Cost: the layers from the first ablated node on. */
  async quick(circuit: CircuitFile, context: ClimbContext = {}): Promise<QuickEvaluation> {
    const [full, empty] = await this.fullAndEmpty(context);
    const [own] = await this.scores([this.space.of(circuit)], context);
    const [a, b, c] = [own, empty, full].map(({ values }) => this.columns(values));
    return {
      full: this.bootstrap.means(c),
      empty: this.bootstrap.means(b),
      inCircuit: this.bootstrap.means(a),
      faithfulness: this.bootstrap.ratios(a, b, c),
      accuracy: this.bootstrap.means(correctColumns(own, this.task.answerNames.length)),
    };
  }

  columns(values: ArrayLike<number>): Columns {
    return columnsOf(values, this.task.answerNames.length);
  }

  /** Frees what is held. */
  release(): Promise<void> {
    return this.scorer.release();
  }
}
