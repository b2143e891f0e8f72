import type { ByAnswer, CircuitEvaluation, CircuitFile } from '../../shared/circuit.ts';
import type { Provenance } from '../../shared/traceDocument.ts';
import type { AnalysisContext } from '../analyses/analysisContext.ts';
import { modelProvenance, shortHash } from '../analyses/provenance.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { metricWords } from '../tasks/metrics.ts';
import type { CircuitEvaluator } from './circuitEvaluator.ts';
import { ablationWords } from './circuitFile.ts';
import { type Columns, columnsOf, correctColumns } from './estimates.ts';
import {
  type EvaluationParts,
  type MeanScores,
  PartRunner,
  type PartsOptions,
  type RowScores,
  removableNodes,
} from './evaluationParts.ts';
import { parseNodeName } from './nodeNames.ts';

export interface EvaluationOptions extends PartsOptions {
  /** Size-matched random circuits; 200 and more say something about one in twenty. */
  readonly randomCircuits: number;
  /** Random orders of adding nodes back. */
  readonly randomOrders: number;
  /** Whether nodes are also added back in the best order, found step by step: about nodes² / 2 runs. */
  readonly greedy: boolean;
}

/** What is known of an evaluator without running anything. */
export type Evaluated = Pick<CircuitEvaluator, 'task' | 'options' | 'bootstrap'>;

export const EVALUATION_DEFAULTS: Omit<EvaluationOptions, 'seed'> = {
  randomCircuits: 200,
  randomOrders: 20,
  greedy: true,
  randomSets: 10,
  greedySetSize: 4,
};

/** What an evaluation is made of. Equal questions to equal weights have equal hashes. */
export function circuitProvenance(
  context: Pick<AnalysisContext, 'model' | 'version'>,
  { task, options }: Evaluated,
  circuit: CircuitFile,
): Provenance {
  const { nodes, edges, scope } = circuit;
  const { hash } = context.model.info;
  const identity = [hash, task.hash, options.scope, options.ablation, options.metric, scope, nodes, edges];
  const words = ablationWords(options.ablation);
  return modelProvenance(context, circuit.model.ref, words, shortHash(JSON.stringify(identity)));
}

const meanScores = (steps: readonly MeanScores[]) => ({
  overall: steps.map(({ overall }) => overall),
  answers: steps.map(({ answers }) => answers),
});

function warningsOf(evaluator: Evaluated, circuit: CircuitFile, full: ByAnswer, empty: ByAnswer): string[] {
  const { task, options } = evaluator;
  const close = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b));
  const names = [...task.answerNames, 'all answers'];
  const pairs = [...full.answers, full.overall].map((one, i) => [one.mean, [...empty.answers, empty.overall][i].mean]);
  const flat = names.filter((_, i) => close(pairs[i][0], pairs[i][1]));
  const lengths = new Set(task.items.map(({ ids }) => ids.length));
  return [
    ...flat.map((name) => `Ablating everything does not change the metric of ${name}: its faithfulness says nothing.`),
    ...(options.ablation.kind === 'mean' && lengths.size > 1
      ? ['The rows are of unlike length: means at a position mix what stands there in different templates.']
      : []),
    ...(options.scope === 'edges' && circuit.nodes.some(({ at }) => at !== undefined)
      ? ['Places of nodes ("at") do not count where edges are evaluated: an edge is there at all positions or at none.']
      : []),
    ...(options.scope !== 'heads+mlps' && circuit.nodes.some(({ node }) => parseNodeName(node)?.kind === 'neuron')
      ? ['Neurons count in circuits of heads and MLPs only ("scope": "heads+mlps"): here they change nothing.']
      : []),
    ...(JSON.stringify(circuit.ablation) === JSON.stringify(options.ablation)
      ? []
      : [`The circuit file names another ablation (${ablationWords(circuit.ablation)}) than was used here.`]),
  ];
}

/**
 * Puts parts together; those that are missing leave empty lists (and null for the greedy order). No forward passes.
 * @param parts `ends` is needed
 */
export function assembleEvaluation(
  evaluator: Evaluated,
  circuit: CircuitFile,
  parts: Partial<EvaluationParts> & Pick<EvaluationParts, 'ends'>,
  about: { readonly provenance: Provenance; readonly complete: boolean; readonly cost: CircuitEvaluation['cost'] },
): CircuitEvaluation {
  const { task, options, bootstrap } = evaluator;
  const count = task.answerNames.length;
  const columns = ({ values }: RowScores) => columnsOf(values, count);
  const correct = ({ values, correct: own }: RowScores) =>
    correctColumns({ values: Float64Array.from(values), correct: Uint8Array.from(own) }, count);
  const { ends, minimality = [], given = [], greedy, orders = [], random = [] } = parts;
  const [full, empty, own, rest] = [ends.full, ends.empty, ends.inCircuit, ends.complement].map(columns);
  const minus = (a: Columns, b: Columns) => a.map((column, i) => column.map((value, row) => value - b[i][row]));
  const [means, nodes] = [(of: Columns) => bootstrap.means(of), removableNodes(circuit)];
  const [fullMeans, emptyMeans] = [means(full), means(empty)];
  const share = (scores: MeanScores) => faithfulnessOf(scores, fullMeans, emptyMeans);
  return {
    ...{
      schemaVersion: 1,
      kind: 'circuit-evaluation',
      circuit,
      metric: metricWords({ ...options.metric, normalize: undefined }),
    },
    ...{ answerNames: task.answerNames, n: task.items.length, full: fullMeans, empty: emptyMeans },
    inCircuit: means(own),
    complement: means(rest),
    faithfulness: bootstrap.ratios(own, empty, full),
    complementFaithfulness: bootstrap.ratios(rest, empty, full),
    accuracy: { full: means(correct(ends.full)), circuit: means(correct(ends.inCircuit)) },
    minimality: minimality.map((without, i) => ({ node: nodes[i], loss: means(minus(own, columns(without))) })),
    completeness: [...(parts.roleSets ?? []), ...(parts.randomSets ?? []), ...(parts.greedySets ?? [])],
    addBack: {
      given: given.map((scores) => means(columns(scores))),
      greedy: greedy === undefined ? null : { order: greedy.order, ...meanScores(greedy.steps) },
      random: orders.map(meanScores),
    },
    random: { seed: options.seed, ...meanScores(random.map(share)) },
    warnings: warningsOf(evaluator, circuit, fullMeans, emptyMeans),
    ...about,
  };
}

function faithfulnessOf(scores: MeanScores, full: ByAnswer, empty: ByAnswer): MeanScores {
  const ratio = (value: number, zero: number, one: number) => (value - zero) / (one - zero);
  return {
    answers: scores.answers.map((value, i) => ratio(value, empty.answers[i].mean, full.answers[i].mean)),
    overall: ratio(scores.overall, empty.overall.mean, full.overall.mean),
  };
}

/**
 * Everything that is asked of a circuit: faithfulness, its complement, accuracy, minimality of each node, completeness
 * (Wang et al. 2211.00593), the curve as nodes are added back in the given, the best and random orders, and random circuits
 * of the same size. Cost: about randomCircuits + (randomOrders + 1) · nodes + nodes² / 2 + 2 · greedySetSize · nodes forward
 * passes of the data, less what they share.
 * @throws MechanistError `bad-input` for nodes that the model does not have, `cancelled`
 */
export async function evaluateCircuit(
  analysis: Pick<AnalysisContext, 'model' | 'version'>,
  evaluator: CircuitEvaluator,
  circuit: CircuitFile,
  options: EvaluationOptions,
  context: ClimbContext = {},
): Promise<CircuitEvaluation> {
  const [start, before] = [performance.now(), evaluator.passes];
  const run = new PartRunner(evaluator, circuit, options, context);
  const ends = await run.ends();
  const parts: EvaluationParts = {
    ends,
    minimality: await run.minimality(),
    roleSets: await run.roleSets(),
    randomSets: await run.randomSets(),
    greedySets: await run.greedySets(),
    given: await run.given(),
    greedy: options.greedy ? await run.greedy() : { order: [], steps: [] },
    orders: await run.orders(0, options.randomOrders),
    random: await run.random(0, options.randomCircuits),
  };
  return assembleEvaluation(evaluator, circuit, options.greedy ? parts : { ...parts, greedy: undefined }, {
    provenance: circuitProvenance(analysis, evaluator, circuit),
    complete: true,
    cost: {
      forwardPasses: (evaluator.passes - before) * evaluator.task.items.length,
      seconds: (performance.now() - start) / 1000,
    },
  });
}
