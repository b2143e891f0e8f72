import type { ByAnswer, CircuitEvaluation } from '../../../shared/circuit.ts';
import type { BarPicture, CurvePicture, Estimate, Picture } from '../../../shared/figures.ts';
import { quantileOfSorted } from '../../../shared/statistics.ts';

type Shown = CircuitEvaluation;

const allOf = ({ answers, overall }: ByAnswer): readonly Estimate[] => [...answers, overall];
const exact = (mean: number, n: number): Estimate => ({ mean, n, sd: null, interval: null });

function namesOf({ answerNames }: Shown): readonly string[] {
  return answerNames.length === 1 ? answerNames : [...answerNames, 'all'];
}

/** One bar for each answer and one for all; a single answer needs no second bar. */
function barsOf(document: Shown, of: ByAnswer) {
  return namesOf(document).map((label, i) => ({ label, ...allOf(of)[i] }));
}

function scores(document: Shown): BarPicture {
  const { full, inCircuit, complement, empty, metric, n } = document;
  const groups = Object.entries({ 'whole model': full, circuit: inCircuit, 'all but the circuit': complement, empty });
  return {
    ...{ type: 'bars', id: 'scores', unit: metric.unit, spread: 'interval' },
    title: `${metric.label} of the circuit and of what is left without it`,
    subtitle: `Bars: answers; 95 % bootstrap interval over ${n} prompts. Empty: all of the scope ablated.`,
    groups: groups.map(([label, of]) => ({ label, bars: barsOf(document, of) })),
  };
}

function faithfulness(document: Shown): BarPicture {
  const { faithfulness: own, complementFaithfulness: rest, n } = document;
  return {
    ...{ type: 'bars', id: 'faithfulness', unit: 'share of the metric', spread: 'interval' },
    title: 'Faithfulness of the circuit and of its complement',
    subtitle: `(M(C) − M(∅)) / (M(full) − M(∅)), ratio of means over ${n} prompts; 95 % bootstrap interval.`,
    groups: [
      { label: 'circuit', bars: barsOf(document, own) },
      { label: 'all but the circuit', bars: barsOf(document, rest) },
    ],
  };
}

function bandOf(draws: readonly (readonly number[])[], steps: number) {
  const at = (q: number) =>
    Array.from({ length: steps }, (_, k) =>
      quantileOfSorted(
        draws.map((draw) => draw[k]).sort((a, b) => a - b),
        q,
      ),
    );
  return { low: at(0.05), high: at(0.95) };
}

function addBack(document: Shown): CurvePicture[] {
  const { addBack: curve, circuit, metric, full, n, answerNames } = document;
  const names = namesOf(document);
  const nodes = circuit.nodes.map(({ node }) => node).filter((node) => node !== 'emb' && node !== 'logits');
  const reference = (i: number) => allOf(full)[i].mean;
  const { random, greedy, given } = curve;
  const bands =
    random.length === 0
      ? []
      : [
          {
            name: `${random.length} random orders, all answers, 5 % to 95 %`,
            ...bandOf(
              random.map(({ overall }) => overall),
              nodes.length + 1,
            ),
          },
        ];
  const curves: CurvePicture[] = [];
  const base = { type: 'curve' as const, unit: metric.unit };
  const dashes = 'Dashes: the whole model.';
  if (given.length > 0) {
    curves.push({
      ...{ ...base, id: 'add-back', bands },
      title: `${metric.label} as nodes are added back in the circuit’s order`,
      subtitle: `Left: everything ablated. ${dashes} Means over ${n} prompts.`,
      x: { name: 'added so far', labels: ['∅', ...nodes.map((node) => `+ ${node}`)] },
      series: names.map((name, i) => ({
        ...{ name, reference: reference(i), emphasised: i === names.length - 1 },
        points: given.map((step) => allOf(step)[i]),
      })),
    });
  }
  if (greedy !== null) {
    const of = (k: number, i: number) => (i < answerNames.length ? greedy.answers[k][i] : greedy.overall[k]);
    curves.push({
      ...{ ...base, id: 'add-back-greedy', bands },
      title: `${metric.label} as the best node is added at each step`,
      subtitle: `The order is chosen on the same ${n} prompts. ${dashes}`,
      x: { name: 'added so far', labels: ['∅', ...greedy.order.map((node) => `+ ${node}`)] },
      series: names.map((name, i) => ({
        ...{ name, reference: reference(i), emphasised: i === names.length - 1 },
        points: greedy.overall.map((_, k) => exact(of(k, i), n)),
      })),
    });
  }
  return curves;
}

function minimality(document: Shown): BarPicture[] {
  const { minimality: nodes, metric, n } = document;
  if (nodes.length === 0) return [];
  return [
    {
      ...{ type: 'bars', id: 'minimality', unit: metric.unit, spread: 'interval' },
      title: 'What the circuit loses without each node',
      subtitle: `M(C) − M(C without the node), the others present; 95 % bootstrap interval over ${n} prompts.`,
      groups: nodes.map(({ node, loss }) => ({ label: node, bars: barsOf(document, loss) })),
    },
  ];
}

function randomCircuits(document: Shown): Picture[] {
  const { random, faithfulness: own } = document;
  const values = random.overall.filter(Number.isFinite);
  if (values.length === 0) return [];
  return [
    {
      ...{ type: 'histogram', id: 'random-circuits', unit: 'faithfulness', values },
      title: `Faithfulness of ${values.length} random circuits of the same size`,
      subtitle: `All answers; as many heads (and MLPs, or edges) as the circuit. Seed ${random.seed}.`,
      markers: [
        { label: 'circuit', value: own.overall.mean, emphasised: true },
        { label: 'whole model', value: 1 },
      ],
    },
  ];
}

function completeness(document: Shown): Picture[] {
  const { completeness: sets, metric } = document;
  if (sets.length === 0) return [];
  return [
    {
      ...{ type: 'table', id: 'completeness' },
      title: 'Does the circuit break as the whole model does when nodes are taken from both?',
      subtitle: '|M(C∖K) − M(full∖K)| for sets K of its nodes: roles, random sets, and the set that makes it largest.',
      columns: [{ name: 'K' }, { name: 'removed' }, { name: 'difference', unit: metric.unit }],
      rows: sets.map(({ label, removed, difference }) => [label, removed.join(', ') || '–', difference]),
    },
  ];
}

/** The figures of an evaluation; parts that were not run are left out. */
export function evaluationPictures(document: CircuitEvaluation): Picture[] {
  return [
    ...addBack(document),
    faithfulness(document),
    ...randomCircuits(document),
    scores(document),
    ...minimality(document),
    ...completeness(document),
  ];
}

/** The numbers that `expect:` lines refer to: `F.L1`, `circuit.all`, `random.below`, `minimality.L9.H6`, `addBack.3.L1`. */
export function evaluationValues(document: CircuitEvaluation): Record<string, number> {
  const values: Record<string, number> = {};
  const names = [...document.answerNames, 'all'];
  const put = (name: string, value: number) => {
    if (Number.isFinite(value)) values[name] = value;
  };
  const putAll = (name: string, of: ByAnswer) => {
    allOf(of).forEach(({ mean }, i) => {
      put(`${name}.${names[i]}`, mean);
    });
  };
  const { random, faithfulness: own } = document;
  putAll('F', own);
  putAll('F.complement', document.complementFaithfulness);
  putAll('full', document.full);
  putAll('circuit', document.inCircuit);
  putAll('complement', document.complement);
  putAll('empty', document.empty);
  putAll('accuracy.full', document.accuracy.full);
  putAll('accuracy.circuit', document.accuracy.circuit);
  for (const { node, loss } of document.minimality) put(`minimality.${node}`, loss.overall.mean);
  document.addBack.given.forEach((step, k) => {
    putAll(`addBack.${k}`, step);
  });
  if (random.overall.length > 0) {
    const sorted = random.overall.filter(Number.isFinite).sort((a, b) => a - b);
    const below = (values: readonly number[], mean: number) =>
      values.filter((value) => value < mean).length / values.length;
    put('random.median', quantileOfSorted(sorted, 0.5));
    put('random.below', below(random.overall, own.overall.mean));
    document.answerNames.forEach((name, i) => {
      const draws = random.answers.map((draw) => draw[i]);
      put(`random.below.${name}`, below(draws, own.answers[i].mean));
    });
  }
  const differences = document.completeness.map(({ difference }) => difference);
  if (differences.length > 0) put('completeness.worst', Math.max(...differences));
  return values;
}
