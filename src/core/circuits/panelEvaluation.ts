import type { CircuitFile, NodeName } from '../../shared/circuit.ts';
import type { CircuitGain } from '../../shared/circuitPanelProtocol.ts';
import type { ScoredCircuit } from '../../shared/circuitRequests.ts';
import type { AnalysisContext } from '../analyses/analysisContext.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import { columnsOf, means } from './estimates.ts';
import { assembleEvaluation, circuitProvenance, EVALUATION_DEFAULTS } from './evaluateCircuit.ts';
import { type EvaluationParts, PartRunner, type RowScores } from './evaluationParts.ts';
import { NodeSpace } from './nodeSpace.ts';

/** Draws and nodes that are run between two answers to other questions. */
const CHUNK = 25;
const ORDERS = 5;
/** Nodes outside whose gain is measured; a model with more heads is asked for them one by one. */
const MOST_GAINS = 1024;

type Ends = EvaluationParts['ends'];

/** The whole model and the one with everything ablated, once for an evaluator. */
export interface KeptEnds {
  of: CircuitEvaluator | null;
  full: RowScores | null;
  empty: RowScores | null;
}

interface Piece {
  readonly label: string;
  readonly run: () => Promise<void>;
}

/** `[first, count]` of pieces of at most `size`. */
function stretches(total: number, size: number): (readonly [first: number, count: number])[] {
  return Array.from({ length: Math.ceil(total / size) }, (_, i) => [i * size, Math.min(size, total - i * size)]);
}

const asRows = ({ values, correct }: { values: ArrayLike<number>; correct: ArrayLike<number> }): RowScores => ({
  values: Array.from(values),
  correct: Array.from(correct),
});

/**
 * Scores a circuit for the panel: faithfulness and its complement first, which take two runs of what is not shared, then
 * minimality, random circuits, orders and gains in pieces. `onScored` gets the whole of it after each piece.
 */
export class PanelEvaluation {
  readonly #parts: { -readonly [P in keyof EvaluationParts]?: EvaluationParts[P] } = {};
  readonly #gains: CircuitGain[] = [];
  readonly #run: PartRunner;
  readonly #start = performance.now();
  readonly #before: number;

  constructor(
    private readonly about: Pick<AnalysisContext, 'model' | 'version'>,
    private readonly evaluator: CircuitEvaluator,
    private readonly circuit: CircuitFile,
    seed: number,
    private readonly context: ClimbContext,
    private readonly onScored: (scored: ScoredCircuit) => void,
  ) {
    const quiet = { ...context, onProgress: undefined };
    this.#run = new PartRunner(evaluator, circuit, { ...EVALUATION_DEFAULTS, seed }, quiet);
    this.#before = evaluator.passes;
  }

  /** @throws MechanistError `bad-input` for a node that the model does not have, `cancelled` */
  async run(kept: KeptEnds): Promise<ScoredCircuit> {
    const ends = await this.#ends(kept);
    const pieces = this.#pieces();
    let done = 0;
    for (const { label, run } of pieces) {
      this.onScored(this.#scored(ends, false));
      this.context.onProgress?.({ done: done++, total: pieces.length, label });
      await this.context.giveWay?.();
      await run();
    }
    this.context.onProgress?.({ done, total: pieces.length, label: 'done' });
    return this.#scored(ends, true);
  }

  async #ends(kept: KeptEnds): Promise<Ends> {
    const { space } = this.evaluator;
    if (kept.of !== this.evaluator) Object.assign(kept, { of: this.evaluator, full: null, empty: null });
    const own = space.of(this.circuit);
    const wanted = kept.full === null ? [space.full, space.empty] : [];
    const context = { ...this.context, onProgress: undefined };
    const scores = (await this.evaluator.scores([own, space.complement(own), ...wanted], context)).map(asRows);
    kept.full ??= scores[2];
    kept.empty ??= scores[3];
    return { full: kept.full, empty: kept.empty, inCircuit: scores[0], complement: scores[1] };
  }

  /** What is run after the ends, in the order in which a person looks for it. */
  #pieces(): Piece[] {
    const { randomCircuits, randomOrders } = EVALUATION_DEFAULTS;
    const outside = this.#outside();
    const into =
      <K extends keyof EvaluationParts>(key: K, run: () => Promise<EvaluationParts[K]>): Piece['run'] =>
      async () => {
        Object.assign(this.#parts, { [key]: await run() });
      };
    const more =
      (key: 'random' | 'orders', run: () => Promise<readonly unknown[]>): Piece['run'] =>
      async () => {
        Object.assign(this.#parts, { [key]: [...(this.#parts[key] ?? []), ...(await run())] });
      };
    return [
      { label: 'minimality', run: into('minimality', () => this.#run.minimality()) },
      ...stretches(randomCircuits, CHUNK).map(([first, count]) => ({
        label: `random circuits ${first + 1} to ${first + count}`,
        run: more('random', () => this.#run.random(first, count)),
      })),
      { label: 'nodes added back', run: into('given', () => this.#run.given()) },
      ...stretches(randomOrders, ORDERS).map(([first, count]) => ({
        label: `random orders ${first + 1} to ${first + count}`,
        run: more('orders', () => this.#run.orders(first, count)),
      })),
      ...stretches(outside.length, CHUNK).map(([first, count]) => ({
        label: 'nodes outside',
        run: async () => {
          this.#gains.push(...(await this.#gainsOf(outside.slice(first, first + count))));
        },
      })),
      { label: 'completeness', run: into('roleSets', () => this.#run.roleSets()) },
    ];
  }

  #outside(): NodeName[] {
    const { scope, nodes } = this.circuit;
    if (scope === 'edges') return [];
    const inside = new Set(nodes.map(({ node }) => node));
    const all = new NodeSpace(this.about.model.config, scope).nodes();
    return all.filter((node) => !inside.has(node)).slice(0, MOST_GAINS);
  }

  /** What the metric gains over the circuit when each node is put in, at every position. */
  async #gainsOf(nodes: readonly NodeName[]): Promise<CircuitGain[]> {
    const { space, task } = this.evaluator;
    const with_ = (node: NodeName) => space.of({ ...this.circuit, nodes: [...this.circuit.nodes, { node }] });
    const selections = [space.of(this.circuit), ...nodes.map(with_)];
    const scores = await this.evaluator.scores(selections, { ...this.context, onProgress: undefined });
    const overall = scores.map(({ values }) => means(columnsOf(values, task.answerNames.length)).at(-1) ?? Number.NaN);
    return nodes.map((node, i) => ({ node, gain: overall[i + 1] - overall[0] }));
  }

  #scored(ends: Ends, complete: boolean): ScoredCircuit {
    const evaluation = assembleEvaluation(
      this.evaluator,
      this.circuit,
      { ...this.#parts, ends },
      {
        provenance: circuitProvenance(this.about, this.evaluator, this.circuit),
        complete,
        cost: {
          forwardPasses: (this.evaluator.passes - this.#before) * this.evaluator.task.items.length,
          seconds: (performance.now() - this.#start) / 1000,
        },
      },
    );
    return { evaluation, gains: [...this.#gains] };
  }
}
