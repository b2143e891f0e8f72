import type {
  CouplingCorpus,
  CouplingFeature,
  CouplingPicture,
  NormCard,
  PairNumbers,
} from '../../src/shared/couplingPicture.ts';
import type { FiguresDocument } from '../../src/shared/figures.ts';
import { seededRandom } from '../../src/shared/statistics.ts';
import { makeFigures } from './figuresFixture.ts';

const groups: Readonly<
  Record<string, { readonly nodes: readonly string[]; readonly terms: string; readonly tilt: number }>
> = {
  '␣she − ␣he': { nodes: ['L21.H4', 'L24.H2', 'L18.H7', 'MLP 26'], terms: '␣she − ␣he', tilt: 0 },
  '␣her − ␣him': { nodes: ['L21.H4', 'L24.H2', 'L18.H7', 'MLP 26'], terms: '␣her − ␣him', tilt: 0.35 },
  occupations: {
    nodes: ['L21.H4', 'L16.H5', 'MLP 22'],
    terms: '␣nurse + ␣teacher + ␣secretary − ␣programmer − ␣doctor − ␣engineer',
    tilt: 0.9,
  },
  'Dem. − Rep.': { nodes: ['L20.H1', 'L16.H5'], terms: '␣Democrat − ␣Republican', tilt: -2.2 },
};

const d = 64;
const tokens = [
  '␣husband',
  '␣priest',
  '␣nurse',
  '␣midwife',
  '␣the',
  '␣of',
  ',',
  '␣said',
  '␣farmer',
  '␣and',
  '⏎',
  '␣she',
];

/** Vectors with a common axis, the more tilted the less of it. */
function vectors(seed: number): { feature: CouplingFeature; vector: number[] }[] {
  const random = seededRandom(seed);
  const draw = () => Array.from({ length: d }, () => random.normal());
  const common = draw();
  return Object.entries(groups).flatMap(([observable, { nodes, terms, tilt }]) => {
    const side = draw();
    return nodes.map((node) => {
      const own = draw();
      const size = 0.3 + 0.4 * random.uniform();
      const sign = tilt < 0 ? -1 : 1;
      const vector = common.map((value, i) => size * (sign * value + tilt * side[i] + 0.5 * own[i]));
      const norm = Math.hypot(...vector);
      const feature = { observable, node, path: `${node}@7`, norm, terms };
      return { feature, vector };
    });
  });
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * b[i], 0);

function card(observable: string, kind: NormCard['kind'], angle: number, rho: number): NormCard {
  const degree = 180 / Math.PI;
  const points = Array.from({ length: 81 }, (_, i) => (i * 8) / 80);
  return {
    ...{ observable, d: 576, kind, expected: 1.9, bound: 2.39 },
    density: points.map((at) => [at, Math.cos(at / degree) ** 574] as const),
    prompt: { angle, rho },
    boundary: { angle: 0.92, rho: 0.016 },
  };
}

export interface CouplingFixture {
  readonly seed?: number;
  readonly corpus?: boolean;
  /** Only the features of these observables. */
  readonly observables?: readonly string[];
  /** Changes every coefficient. */
  readonly change?: (value: number) => number;
  /** ρ of the first observable at the prompt. */
  readonly rho?: number;
}

interface Measured extends Pick<CouplingPicture, 'corpus'> {
  readonly values: Pick<CouplingPicture['values'], 'CS' | 'slope' | 'se' | 'r2'>;
}

/** Scores of inputs that are not isotropic, and what follows from them. */
function measure(all: readonly { vector: number[] }[], seed: number): Measured {
  const random = seededRandom(seed + 1);
  const n = 900;
  const inputs = Array.from({ length: n }, () =>
    Array.from({ length: d }, (_, i) => (i % 4 === 0 ? 0.25 : 0.12) * random.normal()),
  );
  const scores = inputs.map((x) => all.map(({ vector }) => dot(x, vector) + 0.05 * random.normal()));
  const means = all.map((_, f) => scores.reduce((sum, row) => sum + row[f], 0) / n);
  const moment = (a: number, b: number) =>
    scores.reduce((sum, row) => sum + (row[a] - means[a]) * (row[b] - means[b]), 0);
  const pairs = (value: (row: number, column: number) => number): PairNumbers =>
    all.map((_, row) => all.map((__, column) => value(row, column)));
  const slope = (a: number, b: number) => moment(a, b) / moment(a, a);
  const r2 = (a: number, b: number) => moment(a, b) ** 2 / (moment(a, a) * moment(b, b));
  const corpus: CouplingCorpus = {
    ...{ name: 'web-sample.txt', tokens: 41_208, sampling: 'every 46th drawn', means },
    sample: {
      values: scores,
      tokens: scores.map((_, i) => tokens[i % tokens.length].replaceAll('␣', ' ').replaceAll('⏎', '\n')),
      contexts: scores.map((_, i) => `the${tokens[i % tokens.length].replaceAll('␣', ' ')} of the town`),
    },
  };
  const se = (a: number, b: number) => Math.sqrt(((1 - r2(a, b)) * moment(b, b)) / moment(a, a) / (n - 2));
  return { corpus, values: { CS: pairs(slope), slope: pairs(slope), se: pairs(se), r2: pairs(r2) } };
}

/** A coupling whose coefficients follow from vectors, and whose slopes follow from a sample. */
export function makeCoupling(options: CouplingFixture = {}): CouplingPicture {
  const { seed = 4, corpus = true, observables = Object.keys(groups), change = (value) => value, rho = 0.3 } = options;
  const all = vectors(seed).filter(({ feature }) => observables.includes(feature.observable));
  const pairs = (value: (a: number[], b: number[]) => number): PairNumbers =>
    all.map((a) => all.map((b) => change(value(a.vector, b.vector))));
  const none = all.map(() => all.map(() => null));
  const measured: Measured = corpus
    ? measure(all, seed)
    : { corpus: null, values: { CS: none, slope: none, se: none, r2: none } };
  return {
    ...{ type: 'coupling', id: 'coupling', title: 'Column feature, per unit of row feature', subtitle: '' },
    features: all.map(({ feature }) => feature),
    values: {
      C: pairs((a, b) => dot(a, b) / dot(a, a)),
      cos: pairs((a, b) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))),
      ...measured.values,
    },
    corpus: measured.corpus,
    norms: observables.map((observable, i) => card(observable, 'RMSNorm', 17.5 - 3 * i, rho - 0.05 * i)),
    point: 'prompt',
  };
}

/** The result of a step that couples features. */
export function makeCouplingResult(options: CouplingFixture = {}): FiguresDocument {
  const figures = makeFigures();
  return {
    ...figures,
    analysis: 'couple-features',
    title: 'Gender and occupation share a direction: cos +.55 at L21.H4',
    subtitle:
      'C = y₁·y₂ / |y₁|², expected score of the column when the row fires with 1 · weights only, norm mode scaled · no ablation',
    pictures: [makeCoupling(options)],
    checks: [],
  };
}
