import type { ByAnswer, CircuitEvaluation, CircuitScope } from '../../shared/circuit.ts';
import type {
  BarPicture,
  CurvePicture,
  Estimate,
  FiguresDocument,
  HistogramPicture,
  SimplePicture,
  TablePicture,
} from '../../shared/figures.ts';
import { count, share } from '../../shared/format.ts';
import { quantileOfSorted } from '../../shared/statistics.ts';

/** One answer of the data by its index, or all of them. */
export type AnswerChoice = number | 'all';

/** The numbers of the chosen answer. */
export function estimateOf(by: ByAnswer, answer: AnswerChoice): Estimate {
  return answer === 'all' ? by.overall : (by.answers[answer] ?? by.overall);
}

function answerWord({ answerNames }: CircuitEvaluation, answer: AnswerChoice): string {
  if (answer !== 'all') return answerNames[answer] ?? 'this answer';
  return answerNames.length > 1 ? 'all answers' : (answerNames[0] ?? 'the answer');
}

const bare = (value: number): Estimate => ({ mean: value, n: 1, sd: null, interval: null });
const ofDraws = (
  draw: { overall: readonly number[]; answers: readonly (readonly number[])[] },
  k: number,
  answer: AnswerChoice,
) => (answer === 'all' ? draw.overall[k] : draw.answers[k]?.[answer]);

/** Value below which the share `p` of the sample lies; NaN for no sample. */
function quantile(values: readonly number[], p: number): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : quantileOfSorted(sorted, p);
}

/** Faithfulness of each random circuit on the chosen answer. */
function randomDraws({ random }: CircuitEvaluation, answer: AnswerChoice): readonly number[] {
  if (answer === 'all') return random.overall;
  return random.answers.map((draw) => draw[answer]).filter((value): value is number => value !== undefined);
}

/** What the scope's parts are called. */
export function partNoun(scope: CircuitScope, n: number): string {
  const noun = scope === 'heads' ? 'head' : scope === 'edges' ? 'edge' : 'node';
  return n === 1 ? noun : `${noun}s`;
}

/** Faithfulness of the circuit and of what is left, accuracy, with intervals. */
export function faithfulnessPicture(evaluation: CircuitEvaluation, answer: AnswerChoice): BarPicture {
  const row = (label: string, by: ByAnswer) => ({ label, bars: [{ label, ...estimateOf(by, answer) }] });
  return {
    id: 'faithfulness',
    type: 'bars',
    title: `Faithfulness ${share(estimateOf(evaluation.faithfulness, answer).mean)}, complement ${share(estimateOf(evaluation.complementFaithfulness, answer).mean)}`,
    subtitle: `${answerWord(evaluation, answer)}; 1 is the full model, 0 everything ablated; lines: 95 % bootstrap`,
    groups: [
      row('faithfulness', evaluation.faithfulness),
      row('complement alone', evaluation.complementFaithfulness),
      row('accuracy, circuit', evaluation.accuracy.circuit),
      row('accuracy, full model', evaluation.accuracy.full),
    ],
    unit: 'faithfulness, accuracy (share)',
    spread: 'interval',
  };
}

/** `8.11` of `L8.H11`: a head under a bar or on an axis. */
export function shortNode(node: string): string {
  return node.replace(/^L(\d+)\.H(\d+)$/, '$1.$2').replace(/^MLP (\d+)$/, 'M$1');
}

/** What is lost when one node is taken out. */
export function minimalityPicture(evaluation: CircuitEvaluation, answer: AnswerChoice): BarPicture {
  const losses = evaluation.minimality.map(({ node, loss }) => ({ node, loss: estimateOf(loss, answer) }));
  const [largest] = [...losses].sort((a, b) => Math.abs(b.loss.mean) - Math.abs(a.loss.mean));
  return {
    id: 'minimality',
    type: 'bars',
    title: largest ? `${largest.node} is missed most` : 'No node to remove',
    subtitle: `minimality: loss when one node is removed, ${evaluation.metric.unit}; ${answerWord(evaluation, answer)}; lines: 95 % bootstrap`,
    groups: [{ label: 'loss', bars: losses.map(({ node, loss }) => ({ label: shortNode(node), ...loss })) }],
    unit: evaluation.metric.unit,
    spread: 'interval',
  };
}

/** The circuit against random ones of its size. */
export function nullPicture(evaluation: CircuitEvaluation, answer: AnswerChoice): HistogramPicture {
  const draws = randomDraws(evaluation, answer);
  const ours = estimateOf(evaluation.faithfulness, answer).mean;
  const below = draws.filter((draw) => draw < ours).length;
  const { scope, nodes, edges } = evaluation.circuit;
  const size = scope === 'edges' ? (edges?.length ?? 0) : nodes.length;
  return {
    id: 'random',
    type: 'histogram',
    title:
      draws.length === 0
        ? 'No random circuits drawn'
        : `Above ${count(below)} of ${count(draws.length)} random circuits`,
    subtitle: `faithfulness of random ${size}-${partNoun(scope, 1)} circuits; ${answerWord(evaluation, answer)}; median ${share(quantile(draws, 0.5))}, highest ${share(quantile(draws, 1))}; seed ${evaluation.random.seed}`,
    values: draws,
    markers: [
      { label: 'this circuit', value: ours, emphasised: true },
      ...(draws.length > 0 ? [{ label: '95 % of draws', value: quantile(draws, 0.95) }] : []),
    ],
    unit: 'faithfulness',
  };
}

/** The metric as nodes are added back, in the circuit's order and the greedy one, with random orders behind. */
export function addBackPicture(evaluation: CircuitEvaluation, answer: AnswerChoice): CurvePicture {
  const { addBack, circuit, full, answerNames } = evaluation;
  const steps = addBack.given.length;
  const series: CurvePicture['series'][number][] = [];
  const given = (which: AnswerChoice, name: string, emphasised: boolean) =>
    series.push({
      name,
      points: addBack.given.map((by) => estimateOf(by, which)),
      reference: estimateOf(full, which).mean,
      ...(emphasised && { emphasised }),
    });
  given(answer, answer === 'all' ? 'this order' : (answerNames[answer] ?? 'this order'), true);
  if (answer !== 'all' || answerNames.length > 1)
    answerNames.forEach((name, i) => {
      if (i !== answer) given(i, name, false);
    });
  const { greedy } = addBack;
  if (greedy !== null) {
    const points = answer === 'all' ? greedy.overall : greedy.answers.map((by) => by[answer] ?? Number.NaN);
    series.push({ name: 'greedy order', points: points.map(bare) });
  }
  const at = (k: number) => addBack.random.map((draw) => ofDraws(draw, k, answer) ?? Number.NaN);
  const edge = (p: number) => Array.from({ length: steps }, (_, k) => quantile(at(k), p));
  const reached = addBack.given.findIndex((by) => estimateOf(by, answer).mean >= 0.9 * estimateOf(full, answer).mean);
  return {
    id: 'add-back',
    type: 'curve',
    title:
      reached > 0 ? `${reached} of ${steps - 1} nodes bring 90 % of the full model` : 'Nodes added back one by one',
    subtitle: `${evaluation.metric.label}, ${evaluation.metric.unit}; dashes: full model; lines: 95 % bootstrap${addBack.random.length > 0 ? `; band: ${addBack.random.length} random orders, ${answerWord(evaluation, answer)}` : ''}`,
    x: {
      name: 'added back in this order',
      labels: ['none', ...circuit.nodes.map(({ node }) => `+${shortNode(node)}`)].slice(0, steps),
    },
    series,
    bands:
      addBack.random.length > 0
        ? [{ name: `${addBack.random.length} random orders`, low: edge(0), high: edge(1) }]
        : [],
    unit: evaluation.metric.unit,
  };
}

function completenessPicture({ completeness, metric }: CircuitEvaluation): TablePicture {
  return {
    id: 'completeness',
    type: 'table',
    title: 'Completeness',
    subtitle: `|M(circuit without K) − M(full without K)| for sets K of its nodes, ${metric.unit}; small is complete`,
    columns: [{ name: 'set' }, { name: 'removed' }, { name: 'difference', unit: metric.unit }],
    rows: completeness.map(({ label, removed, difference }) => [label, removed.join(', '), difference]),
  };
}

function answersPicture(evaluation: CircuitEvaluation): TablePicture {
  const { answerNames, metric } = evaluation;
  const all = [...answerNames.map((name, i) => [name, i] as const), ['all', 'all'] as const];
  return {
    id: 'answers',
    type: 'table',
    title: 'By answer',
    subtitle: `${metric.label}, mean of ${count(evaluation.n)} rows`,
    columns: [
      { name: 'answer' },
      ...['full', 'everything ablated', 'circuit', 'circuit ablated'].map((name) => ({ name, unit: metric.unit })),
      { name: 'faithfulness', unit: 'share' },
    ],
    rows: all.map(([name, answer]) => [
      name,
      ...[evaluation.full, evaluation.empty, evaluation.inCircuit, evaluation.complement, evaluation.faithfulness].map(
        (by) => estimateOf(by, answer).mean,
      ),
    ]),
  };
}

/** What stands in for what is not in the circuit, in words. */
export function ablationWords(ablation: CircuitEvaluation['circuit']['ablation']): string {
  if (ablation.kind === 'zero') return 'zero ablation';
  if (ablation.kind === 'resample') return `resample ablation, corruption ${ablation.corruption}`;
  return ablation.corruption === undefined
    ? 'mean ablation over the clean rows'
    : `mean ablation over the corruption ${ablation.corruption}`;
}

/** `8 heads: faithfulness 1.05, random .03` */
export function evaluationTitle(evaluation: CircuitEvaluation, answer: AnswerChoice, total?: number): string {
  const { nodes, scope, edges } = evaluation.circuit;
  const n = scope === 'edges' ? (edges?.length ?? 0) : nodes.length;
  const draws = randomDraws(evaluation, answer);
  const random = draws.length === 0 ? '' : `, random ${share(quantile(draws, 0.5))}`;
  const of =
    total === undefined
      ? `${count(n)} ${partNoun(scope, n)}`
      : `${count(n)} of ${count(total)} ${partNoun(scope, total)}`;
  return `${of}: faithfulness ${share(estimateOf(evaluation.faithfulness, answer).mean)}${random}`;
}

/** Metric · n · ablation · model, patches · #hash. */
export function evaluationSubtitle(evaluation: CircuitEvaluation): string {
  const { metric, n, circuit, provenance } = evaluation;
  const patches = provenance.patches.length === 0 ? 'no patches' : `patches ${provenance.patches.join(', ')}`;
  return `${metric.label}, ${metric.unit} · n = ${count(n)} rows · outside the circuit: ${ablationWords(circuit.ablation)} · ${provenance.modelLabel}, ${patches} · #${provenance.hash}`;
}

/** The figures of an evaluation. */
export function evaluationPictures(evaluation: CircuitEvaluation, answer: AnswerChoice): SimplePicture[] {
  return [
    faithfulnessPicture(evaluation, answer),
    nullPicture(evaluation, answer),
    addBackPicture(evaluation, answer),
    minimalityPicture(evaluation, answer),
    answersPicture(evaluation),
    ...(evaluation.completeness.length > 0 ? [completenessPicture(evaluation)] : []),
  ];
}

/** An evaluation as the document that the viewer of results draws. */
export function evaluationFigures(evaluation: CircuitEvaluation): FiguresDocument {
  const { circuit, provenance, warnings, complete, cost } = evaluation;
  return {
    schemaVersion: 1,
    kind: 'figures',
    analysis: 'circuit-evaluation',
    title: `${circuit.name}: ${evaluationTitle(evaluation, 'all')}`,
    subtitle: evaluationSubtitle(evaluation),
    complete,
    cells: { done: 1, total: 1 },
    warnings,
    provenance,
    request: { circuit, seed: evaluation.random.seed },
    pictures: evaluationPictures(evaluation, 'all'),
    values: {
      faithfulness: evaluation.faithfulness.overall.mean,
      complement: evaluation.complementFaithfulness.overall.mean,
    },
    checks: [],
    cost,
  };
}
