import { couplingMeasures } from './couplingPicture.ts';
import { every, isMaybeNumber, isPair, isReal, isText } from './resultChecks.ts';
import { isObject } from './resultJson.ts';

type Fields = Readonly<Record<string, unknown>>;

const isPoint = (value: unknown): boolean =>
  value === null || (isObject(value) && isReal(value.angle) && isReal(value.rho));

const isFeature = (value: unknown): boolean =>
  isObject(value) && [value.observable, value.node, value.path, value.terms].every(isText) && isReal(value.norm);

const isCard = (value: unknown): boolean =>
  isObject(value) &&
  isText(value.observable) &&
  (value.kind === 'LayerNorm' || value.kind === 'RMSNorm') &&
  [value.d, value.expected].every(isReal) &&
  isMaybeNumber(value.bound) &&
  every(value.density, isPair) &&
  isPoint(value.prompt) &&
  isPoint(value.boundary);

function isCorpus(value: unknown, features: number): boolean {
  if (!isObject(value) || !isText(value.name) || !isReal(value.tokens) || !isText(value.sampling)) return false;
  const { sample, means } = value;
  if (!every(means, isReal) || means.length !== features) return false;
  if (!isObject(sample) || !every(sample.tokens, isText) || !every(sample.contexts, isText)) return false;
  const { length } = sample.tokens;
  const scores = (row: unknown): boolean => every(row, isReal) && row.length === features;
  return sample.contexts.length === length && every(sample.values, scores) && sample.values.length === length;
}

/** What a picture of a coupling lacks to be drawn; null when it is all there. */
export function couplingFault({ features, values, corpus, norms, point }: Fields): string | null {
  if (!every(features, isFeature)) return 'has no features with observable, node, path, norm and terms';
  const n = features.length;
  const square = (matrix: unknown): boolean =>
    every(matrix, (row) => every(row, isMaybeNumber) && row.length === n) && matrix.length === n;
  const broken = [...couplingMeasures, 'se', 'r2'].find((name) => !isObject(values) || !square(values[name]));
  if (broken !== undefined) return `has not ${n} × ${n} values of ${broken}`;
  if (corpus !== null && !isCorpus(corpus, n)) return `has a corpus whose sample has not ${n} scores for each token`;
  if (!every(norms, isCard)) return 'has a norm without its expectation, density or points';
  return isText(point) ? null : 'does not say where its features were linearised';
}
