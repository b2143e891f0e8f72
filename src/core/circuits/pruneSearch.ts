import type { MetricSpec } from '../../shared/metric.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import type { Scores } from './circuitMetric.ts';
import { means } from './estimates.ts';

export interface PruneOptions {
  /**
   * A part goes when the loss rises by less than this without it. The loss is the divergence from the clean run (`kl`), or
   * the metric turned so that less is better.
   */
  readonly threshold: number;
  /** Forward passes of the data after which the search stops; what was not tried stays. */
  readonly maxPasses: number;
  /** The answer whose loss counts; absent: the mean over a row's answers. */
  readonly answer?: string;
}

/** How far a search is: enough to go on from there to the same end. JSON but for what is not a number. */
export interface SearchState {
  /** Parts that are decided, in the order of the search. */
  readonly decided: number;
  /** By node or edge of the space: rise of the loss when it was tried, 0 for what nothing read; null where it was not tried. */
  readonly effects: readonly (number | null)[];
  /** Of what is kept. */
  readonly loss: number;
  /** What was spent on trying, in positions × blocks. */
  readonly blocks: number;
}

export interface SearchContext extends ClimbContext {
  /** Where an earlier search of the same parts was left. */
  readonly left?: SearchState;
  /** Told after each part that is tried; `state` may be called later, as long as the search is not over. */
  readonly reached?: (state: () => SearchState) => Promise<void>;
}

/** Whether a larger value of the metric is worse. */
function isLoss({ kind }: MetricSpec): boolean {
  return kind === 'kl' || kind === 'cross-entropy' || kind === 'rank';
}

/** What is kept of a space after its parts had these effects; what was not tried stays. */
export function keptAfter(effects: SearchState['effects'], threshold: number): Uint8Array {
  return Uint8Array.from(effects, (effect) => (effect !== null && effect < threshold ? 0 : 1));
}

/** A search from the whole model down, one part after another in a fixed order. */
export class PruneSearch {
  readonly keep: Uint8Array;
  readonly #effects: (number | null)[];
  /** Parts whose decision an earlier search has left. */
  readonly #known: number;
  readonly #before: number;
  readonly #spentBefore: number;
  #decided = 0;
  #loss = 0;
  #spent: number;

  /** @param parts nodes or edges of the space */
  constructor(
    private readonly evaluator: CircuitEvaluator,
    parts: number,
    private readonly options: PruneOptions,
    private readonly context: SearchContext,
  ) {
    const { left } = context;
    this.#effects = left === undefined ? new Array(parts).fill(null) : [...left.effects];
    this.#known = left?.decided ?? 0;
    this.#before = evaluator.blocks;
    this.#spentBefore = left?.blocks ?? 0;
    this.#spent = this.#spentBefore;
    this.keep = keptAfter(this.#effects, options.threshold);
  }

  private lossOf({ values }: Scores): number {
    const { task, options } = this.evaluator;
    const all = means(this.evaluator.columns(values));
    const { answer } = this.options;
    const column = answer === undefined ? all.length - 1 : task.answerNames.indexOf(answer);
    return (isLoss(options.metric) ? 1 : -1) * all[column];
  }

  private async run(): Promise<number> {
    const [scores] = await this.evaluator.scores([{ keep: this.keep }], { ...this.context, onProgress: undefined });
    this.#spent = this.#spentBefore + this.evaluator.blocks - this.#before;
    return this.lossOf(scores);
  }

  async start(): Promise<void> {
    this.#loss = this.context.left?.loss ?? (await this.run());
  }

  /** Whether the budget is used up. */
  get spent(): boolean {
    return this.passes >= this.options.maxPasses;
  }

  /** Forward passes of the data that trying took. */
  get passes(): number {
    return this.#spent / this.evaluator.blocksPerPass;
  }

  get effects(): readonly (number | null)[] {
    return this.#effects;
  }

  /** Whether the next part was decided before the search was left; counts it as decided. */
  recall(): boolean {
    if (this.#decided >= this.#known) return false;
    this.#decided += 1;
    return true;
  }

  /** Leaves a part out that nothing reads. */
  drop(part: number): void {
    this.#effects[part] = 0;
    this.keep[part] = 0;
    this.#decided += 1;
  }

  /** Takes the part out if the loss rises by less than the threshold. */
  async try(part: number): Promise<void> {
    this.keep[part] = 0;
    const loss = await this.run();
    const rise = loss - this.#loss;
    // Together, so that the state is one of before or after, whenever it is asked for.
    this.#effects[part] = Number.isNaN(rise) ? null : rise;
    this.#decided += 1;
    if (rise < this.options.threshold) this.#loss = loss;
    else this.keep[part] = 1;
    await this.context.reached?.(() => this.#state());
  }

  #state(): SearchState {
    return { decided: this.#decided, effects: [...this.#effects], loss: this.#loss, blocks: this.#spent };
  }
}
