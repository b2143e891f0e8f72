import type { CircuitEvaluation, CircuitFile } from '../../src/shared/circuit.ts';
import type { BarPicture, CurvePicture, Estimate, FiguresDocument, Picture } from '../../src/shared/figures.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import type { Provenance } from '../../src/shared/traceDocument.ts';

const provenance: Provenance = {
  mechanistVersion: '0.1.0',
  model: 'gpt2',
  modelLabel: 'gpt2-small',
  family: 'gpt2',
  modelHash: 'b2a90de'.padEnd(64, '0'),
  patches: [],
  dtype: 'float32',
  bos: 'added by the tokenizer',
  weightProcessing: 'none',
  ablation: 'mean ablation over permuted rows',
  hash: 'b2a90de',
};

const estimate = (mean: number, half = 0.1, n = 500): Estimate => ({
  mean,
  n,
  sd: half * 4,
  interval: [mean - half, mean + half],
});

const layers = Array.from({ length: 12 }, (_, i) => `L${i}`);
const roles = ['BOS', 'The', 'C1', 'T1', 'C2', 'T2', 'C3', 'T3', '(', 'A1', 'A2'];

export interface FiguresFixture {
  readonly seed?: number;
  /** Changes every value of a picture. */
  readonly change?: (value: number) => number;
  /** Share of a matrix's cells that are done. */
  readonly done?: number;
}

function matrix(id: string, columns: readonly string[], name: string, options: FiguresFixture): Picture {
  const random = seededRandom(options.seed ?? 1);
  const { change = (value) => value, done = 1 } = options;
  return {
    id,
    type: 'matrix',
    title: `L9 at C3 matters most for ${id}`,
    subtitle: 'resid_pre patched, clean run with the words of another row · n = 500 prompts',
    rows: { name: 'layer', labels: layers },
    columns: { name, labels: columns },
    values: layers.map((_, row) =>
      columns.map((_, column) =>
        row * columns.length + column < done * 12 * columns.length
          ? change(-4 * Math.exp(-((row - 6) ** 2 + (column - 6) ** 2) / 8) + 0.3 * random.normal())
          : null,
      ),
    ),
    unit: 'logits',
    scale: 'diverging',
  };
}

export function makeBars(options: FiguresFixture = {}): BarPicture {
  const random = seededRandom(options.seed ?? 2);
  const { change = (value) => value } = options;
  return {
    id: 'attention',
    type: 'bars',
    title: 'L8.H11 reads C3 at letter 3',
    subtitle: 'attention from A2 by role; lines: sd over 500 prompts',
    groups: ['L8.H11', 'L9.H9'].map((label) => ({
      label,
      bars: roles.map((role) => ({
        label: role,
        ...estimate(change(Math.min(0.6, Math.abs(0.12 * random.normal()))), 0.01),
      })),
    })),
    unit: 'attention',
    spread: 'sd',
  };
}

function signedBars(options: FiguresFixture): BarPicture {
  const { change = (value) => value } = options;
  const heads = [
    ['L8.H11', -2.72],
    ['L10.H10', -1.64],
    ['L7.H10', -0.25],
    ['L11.H10', 0.24],
    ['L10.H7', 0.2],
  ] as const;
  return {
    id: 'top heads',
    type: 'bars',
    title: 'L8.H11 lowers letter 3 most',
    subtitle: 'change when one head is patched; lines: 95 % bootstrap · n = 500 prompts',
    groups: heads.map(([label, value]) => ({ label, bars: [{ label, ...estimate(change(value)) }] })),
    unit: 'logits',
    spread: 'interval',
  };
}

function makeCurve(options: FiguresFixture = {}): CurvePicture {
  const { change = (value) => value } = options;
  const labels = ['none', '+8.11', '+9.9', '+10.10', '+11.4', '+5.8', '+4.11', '+2.2', '+1.0'];
  const lines: Readonly<Record<string, readonly number[]>> = {
    'letter 3': [-0.99, 1.82, 1.9, 3.16, 3.25, 3.27, 3.32, 3.5, 3.62],
    'letter 2': [-0.32, 0.38, 0.43, 0.7, 0.79, 0.85, 1.01, 1.56, 2],
    'letter 1': [-0.77, -0.05, 0.2, 0.87, 1.17, 1.16, 1.13, 1.26, 1.39],
  };
  const reference = [3.39, 1.99, 1.24];
  return {
    id: 'add-back',
    type: 'curve',
    title: 'Three heads bring 93 % of letter 3',
    subtitle: 'logit difference, logits; dashes: full model; lines: 95 % bootstrap; band: 20 random orders of letter 3',
    x: { name: 'restored so far', labels },
    series: Object.entries(lines).map(([name, values], i) => ({
      name,
      points: values.map((value) => estimate(change(value))),
      reference: change(reference[i]),
      ...(i === 0 && { emphasised: true }),
    })),
    bands: [
      {
        name: '20 random orders',
        low: [-0.99, -1, -0.98, -0.9, -0.8, -0.6, 0, 1.5, 3.62].map(change),
        high: [-0.99, 1.8, 2, 3.1, 3.2, 3.4, 3.5, 3.6, 3.62].map(change),
      },
    ],
    unit: 'logits',
  };
}

function scatter(options: FiguresFixture): Picture {
  const random = seededRandom(options.seed ?? 3);
  const { change = (value) => value } = options;
  return {
    id: 'copying',
    type: 'scatter',
    title: 'L10.H10 writes what it attends to',
    subtitle: 'one mark a prompt and word · n = 100 prompts',
    x: { name: 'attention to the word', unit: '' },
    y: { name: 'head output · W_U of the letter', unit: 'logits' },
    groups: ['C1', 'C2', 'C3'],
    points: Array.from({ length: 300 }, (_, i) => {
      const x = Math.min(0.9, Math.abs(random.normal()) * 0.1 * (1 + (i % 3)));
      return { x, y: change(80 * x + 6 * random.normal()), group: i % 3, label: `prompt ${Math.floor(i / 3) + 1}` };
    }),
    correlations: [0.65, 0.78, 0.92],
  };
}

function histogram(options: FiguresFixture): Picture {
  const random = seededRandom(options.seed ?? 4);
  const { change = (value) => value } = options;
  return {
    id: 'random',
    type: 'histogram',
    title: 'Above 200 of 200 random circuits',
    subtitle: 'faithfulness of random 8-head circuits; median .03, highest .47; seed 7',
    values: Array.from({ length: 200 }, () => change(0.03 + 0.12 * random.normal())),
    markers: [
      { label: 'this circuit', value: change(1.05), emphasised: true },
      { label: '95 % of draws', value: change(0.23) },
    ],
    unit: 'faithfulness',
  };
}

const table: Picture = {
  id: 'largest',
  type: 'table',
  title: 'Largest heads',
  subtitle: 'change of letter 3, logits',
  columns: [{ name: 'head' }, { name: 'change', unit: 'logits' }, { name: 'mover' }],
  rows: [
    ['L8.H11', -2.72, true],
    ['L10.H10', -1.64, true],
    ['L11.H10', 0.24, false],
    ['L7.H10', null, false],
  ],
};

function graph(options: FiguresFixture): Picture {
  const { change = (value) => value } = options;
  const nodes = Object.entries({
    'L9.H6': 0.81,
    'L9.H9': 0.6,
    'MLP 8': -0.2,
    'L8.H10': 0.5,
    'L5.H5': 0.3,
    'L3.H0': 0.2,
  });
  const edge = (from: string, to: string, channel: 'q' | 'k' | 'v' | 'mlp' | 'logits', effect: number) => ({
    ...{ from, to, channel, effect: change(effect) },
  });
  return {
    id: 'graph',
    type: 'graph',
    title: 'What is left of the model so far',
    subtitle: 'Boxes: heads and MLPs by layer. Lines: edges that stay; width: how much the loss rises without them.',
    nLayers: 12,
    nodes: nodes.map(([node, effect]) => ({ node, effect: change(effect) })),
    edges: [
      edge('L9.H6', 'logits', 'logits', 0.81),
      edge('L9.H9', 'logits', 'logits', 0.6),
      edge('L8.H10', 'L9.H6', 'q', 0.4),
      edge('L8.H10', 'MLP 8', 'mlp', -0.1),
      edge('MLP 8', 'logits', 'logits', -0.2),
      edge('L5.H5', 'L8.H10', 'v', 0.3),
      edge('L3.H0', 'L5.H5', 'k', 0.2),
      edge('emb', 'L3.H0', 'v', 0.15),
    ],
    unit: 'nats',
  };
}

/** Every type of picture, checks that pass, fail and differ. */
export function makeFigures(options: FiguresFixture = {}): FiguresDocument {
  const whole = (options.done ?? 1) >= 1;
  return {
    schemaVersion: 1,
    kind: 'figures',
    analysis: 'patch-residual',
    title: 'Information stays on C3 until L8, then jumps to A2',
    subtitle: 'answer letter − best of 25 other capitals · n = 500 prompts · resampled words',
    complete: whole,
    cells: { done: whole ? 12 : 7, total: 12 },
    warnings: [],
    provenance,
    request: { 'patch-residual': { corruption: 'cur:L3' }, seed: 7, rows: 500 },
    pictures: [
      matrix('letter 3', roles, 'position', options),
      matrix('letter 2', roles, 'position', { ...options, seed: 9 }),
      makeBars(options),
      signedBars(options),
      makeCurve(options),
      scatter(options),
      histogram(options),
      table,
      graph(options),
    ],
    values: { 'L3.8.11': -2.72 },
    checks: [
      { name: 'L3.8.11', value: -2.72, low: -3.3, high: -2.3, passed: true, source: 'methods §9' },
      { name: 'L3.10.10', value: -1.02, low: -2, high: -1.2, passed: false, source: 'methods §9' },
      {
        name: 'L3.4.11',
        value: 0.02,
        low: -0.1,
        high: -0.05,
        passed: false,
        source: 'methods §9',
        note: 'unstable in the source',
      },
      { name: 'L1.9.9', value: null, low: null, high: -0.1, passed: false, source: 'own run' },
    ],
    cost: { forwardPasses: 1234, seconds: 12.5 },
  };
}

/** The acronym circuit of the paper, in the file's own shape. */
export function makeCircuit(change: Partial<CircuitFile> = {}): CircuitFile {
  const mover = { role: 'letter mover', at: ['A2'] };
  const previous = { role: 'fuzzy previous token' };
  return {
    schemaVersion: 1,
    kind: 'circuit',
    name: 'acronyms',
    model: { ref: 'gpt2', hash: provenance.modelHash },
    scope: 'heads',
    nodes: [
      { node: 'L8.H11', ...mover, effect: 2.72 },
      { node: 'L9.H9', ...mover, effect: 0.11 },
      { node: 'L10.H10', ...mover, effect: 1.64 },
      { node: 'L11.H4', ...mover, effect: 0.09 },
      { node: 'L5.H8', role: 'propagator', at: ['A2'], effect: 0.19 },
      { node: 'L4.H11', ...previous, at: ['T2'], effect: 0.16 },
      { node: 'L2.H2', ...previous, at: ['T2'], effect: 0.34 },
      { node: 'L1.H0', ...previous, at: ['T2'], effect: 0.22 },
    ],
    ablation: { kind: 'mean', corruption: 'permuted' },
    provenance: { method: 'by hand', source: 'arXiv 2405.04156' },
    ...change,
  };
}

/** An evaluation with numbers like those of the paper. */
export function makeEvaluation(circuit: CircuitFile = makeCircuit(), seed = 5): CircuitEvaluation {
  const random = seededRandom(seed);
  const by = (...means: readonly number[]) => ({
    answers: means.map((mean) => estimate(mean, 0.05)),
    overall: estimate(means.reduce((a, b) => a + b, 0) / means.length, 0.04),
  });
  const given = makeCurve().series.map(({ points }) => points.map((point) => point?.mean ?? 0));
  const steps = circuit.nodes.length + 1;
  const at = (k: number) => by(given[2][Math.min(8, k)], given[1][Math.min(8, k)], given[0][Math.min(8, k)]);
  const draw = () => {
    const answers = Array.from({ length: steps }, (_, k) => {
      const t = Math.min(1, Math.max(0, k / (steps - 1) + 0.1 * random.normal() * (k > 0 && k < steps - 1 ? 1 : 0)));
      return given.map((line) => line[0] + (line[8] - line[0]) * t ** 2).reverse();
    });
    return { answers, overall: answers.map((all) => all.reduce((a, b) => a + b, 0) / all.length) };
  };
  const nulls = Array.from({ length: 200 }, () => [0, 1, 2].map(() => 0.03 + 0.12 * random.normal()));
  return {
    schemaVersion: 1,
    kind: 'circuit-evaluation',
    circuit,
    metric: { label: 'answer letter − best of 25 other capitals', unit: 'logits' },
    answerNames: ['letter 1', 'letter 2', 'letter 3'],
    n: 500,
    full: by(1.235, 1.987, 3.393),
    empty: by(-0.77, -0.32, -0.99),
    inCircuit: at(8),
    complement: by(-0.5, 0.1, -0.4),
    faithfulness: by(1.08, 1.01, 1.05),
    complementFaithfulness: by(0.13, 0.18, 0.13),
    accuracy: { full: by(0.91, 0.92, 0.94), circuit: by(0.9, 0.91, 0.93) },
    minimality: circuit.nodes.map(({ node, effect }) => ({ node, loss: by(0.1, 0.2, effect ?? 0.05) })),
    completeness: [
      { label: 'letter movers', removed: ['L8.H11', 'L9.H9', 'L10.H10', 'L11.H4'], difference: 0.41 },
      { label: 'random, 1 of 2', removed: ['L2.H2', 'L5.H8'], difference: 0.12 },
    ],
    addBack: {
      given: Array.from({ length: steps }, (_, k) => at(k)),
      greedy: null,
      random: Array.from({ length: 20 }, draw),
    },
    random: {
      seed: 7,
      overall: nulls.map((draws) => draws.reduce((a, b) => a + b, 0) / draws.length),
      answers: nulls,
    },
    warnings: [],
    complete: true,
    provenance,
    cost: { forwardPasses: 2400, seconds: 31 },
  };
}
