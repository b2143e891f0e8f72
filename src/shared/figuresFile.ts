import type { CircuitEvaluation } from './circuit.ts';
import { couplingFault } from './couplingFile.ts';
import type { FiguresDocument, Picture } from './figures.ts';
import type { GridDocument } from './gridDocument.ts';
import { gridFromValue } from './gridFile.ts';
import { every, isMaybeNumber, isPair, isReal, isText, isTexts } from './resultChecks.ts';
import { isNumber, isObject, parseResult, refuseResult, toNumber } from './resultJson.ts';

/** Whatever a file `*.mechanist.json` may hold. */
export type ResultDocument = GridDocument | FiguresDocument | CircuitEvaluation;

type Fields = Readonly<Record<string, unknown>>;

/** Keys under which numbers stand, so that the words for NaN and infinities become numbers there and nowhere else. */
const numeric = new Set([
  ...['values', 'value', 'mean', 'sd', 'interval', 'low', 'high', 'x', 'y', 'correlations', 'reference'],
  ...['overall', 'answers', 'difference', 'effect', 'seconds'],
  // Of a coupling.
  ...['norm', 'angle', 'rho', 'density', 'expected', 'bound', 'means'],
]);

/** Undoes what `resultToJson` does to numbers that JSON lacks. */
function reviveNumbers(value: unknown, here = false): unknown {
  if (typeof value === 'string') return here && isNumber(value) ? toNumber(value) : value;
  if (Array.isArray(value)) return value.map((entry: unknown) => reviveNumbers(entry, here));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [key, reviveNumbers(entry, here || numeric.has(key))]),
  );
}

const isEstimate = (value: unknown): boolean => isObject(value) && isReal(value.mean) && isReal(value.n);
/** Where one can go down from a map of heads. */
const isDescent = (value: unknown): boolean =>
  value === undefined || (isObject(value) && (value.under === null || isText(value.under)) && isTexts(value.tokens));
const axisOf = (value: unknown): readonly string[] | null =>
  isObject(value) && isText(value.name) && isTexts(value.labels) ? value.labels : null;

/** What each type of picture needs to be drawn; null when it is there, else what is wrong. */
const faults: Readonly<Record<Picture['type'], (picture: Fields) => string | null>> = {
  coupling: couplingFault,
  matrix: ({ rows, columns, values, unit, descend }) => {
    const [down, across] = [axisOf(rows), axisOf(columns)];
    if (down === null || across === null || !isText(unit)) return 'has no rows, columns or unit';
    if (!isDescent(descend)) return 'can be gone down from, but has no tokens or no path so far';
    const fits = (row: unknown): boolean => every(row, isMaybeNumber) && row.length === across.length;
    return every(values, fits) && values.length === down.length
      ? null
      : `has not ${down.length} × ${across.length} values, as its axes have`;
  },
  bars: ({ groups, unit }) => {
    const bar = (value: unknown): boolean => isObject(value) && isText(value.label) && isEstimate(value);
    const group = (value: unknown): boolean => isObject(value) && isText(value.label) && every(value.bars, bar);
    return isText(unit) && every(groups, group) ? null : 'has no groups of bars';
  },
  curve: ({ x, series, bands, unit }) => {
    const steps = axisOf(x)?.length;
    if (steps === undefined || !isText(unit)) return 'has no steps or no unit';
    const line = (value: unknown): boolean =>
      isObject(value) &&
      isText(value.name) &&
      every(value.points, (point) => point === null || isEstimate(point)) &&
      value.points.length <= steps;
    const band = (value: unknown): boolean =>
      isObject(value) && every(value.low, isMaybeNumber) && every(value.high, isMaybeNumber);
    return every(series, line) && every(bands, band) ? null : `has not one point for each of ${steps} steps`;
  },
  scatter: ({ x, y, groups, points, correlations }) => {
    const axis = (value: unknown): boolean => isObject(value) && isText(value.name) && isText(value.unit);
    const point = (value: unknown): boolean => isObject(value) && [value.x, value.y, value.group].every(isReal);
    return axis(x) && axis(y) && isTexts(groups) && every(points, point) && every(correlations, isMaybeNumber)
      ? null
      : 'has no points with x, y and group';
  },
  histogram: ({ values, markers, unit }) => {
    const marker = (value: unknown): boolean => isObject(value) && isText(value.label) && isMaybeNumber(value.value);
    return isText(unit) && every(values, isMaybeNumber) && every(markers, marker) ? null : 'has no list of values';
  },
  table: ({ columns, rows }) => {
    const named = (value: unknown): boolean => isObject(value) && isText(value.name);
    if (!every(columns, named)) return 'has no columns';
    const { length } = columns;
    return every(rows, (row) => Array.isArray(row) && row.length === length)
      ? null
      : `has not ${length} cells in each row`;
  },
  tree: ({ lines, unit, n }) => {
    const line = (value: unknown): boolean =>
      isObject(value) &&
      isText(value.id) &&
      isText(value.label) &&
      isReal(value.depth) &&
      isReal(value.value) &&
      (value.interval === null || isPair(value.interval));
    return isText(unit) && isReal(n) && every(lines, line) ? null : 'has no lines with labels, values and intervals';
  },
  graph: ({ nLayers, nodes, edges, unit }) => {
    const effect = (value: Fields): boolean => value.effect === undefined || isMaybeNumber(value.effect);
    const node = (value: unknown): boolean => isObject(value) && isText(value.node) && effect(value);
    const edge = (value: unknown): boolean =>
      isObject(value) && [value.from, value.to, value.channel].every(isText) && effect(value);
    return isReal(nLayers) && isText(unit) && every(nodes, node) && every(edges, edge)
      ? null
      : 'has no nodes, or no edges from node to node';
  },
};

function checkPicture(value: unknown, at: number): void {
  const name = isObject(value) && isText(value.id) ? `picture ${value.id}` : `picture ${at + 1}`;
  if (!isObject(value) || !isText(value.id) || !isText(value.title) || !isText(value.subtitle))
    refuseResult(`${name} has no id, title and subtitle`);
  const { type } = value;
  if (!isText(type) || !(type in faults))
    refuseResult(`${name} is of the type ${JSON.stringify(type)}, which this version cannot draw`);
  const fault = faults[type as Picture['type']](value);
  if (fault !== null) refuseResult(`${name} ${fault}`);
}

function checkHead(value: Fields): void {
  const { provenance, cost } = value;
  if (!isObject(provenance) || !isText(provenance.hash) || !isText(provenance.modelLabel))
    refuseResult('provenance is missing');
  if (!isObject(cost)) refuseResult('cost is missing');
  if (!isTexts(value.warnings)) refuseResult('warnings is not a list of sentences');
}

function figuresFromValue(value: Fields): FiguresDocument {
  checkHead(value);
  if (!isText(value.title) || !isText(value.subtitle)) refuseResult('title or subtitle is missing');
  if (!isObject(value.cells) || !isObject(value.request) || !isObject(value.values))
    refuseResult('cells, request or values is missing');
  if (!every(value.checks, (check) => isObject(check) && isText(check.name) && typeof check.passed === 'boolean'))
    refuseResult('checks is not a list of checked numbers');
  if (!Array.isArray(value.pictures)) refuseResult('pictures is not a list');
  value.pictures.forEach(checkPicture);
  const ids = value.pictures.map((picture: unknown) => (isObject(picture) ? picture.id : ''));
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) refuseResult(`two pictures have the id ${JSON.stringify(twice)}`);
  return value as unknown as FiguresDocument;
}

function evaluationFromValue(value: Fields): CircuitEvaluation {
  checkHead(value);
  const { circuit, metric, answerNames, addBack, random, accuracy } = value;
  if (!isObject(circuit) || !Array.isArray(circuit.nodes)) refuseResult('circuit has no nodes');
  if (!isObject(metric) || !isText(metric.unit) || !isTexts(answerNames))
    refuseResult('metric or answerNames is missing');
  const byAnswer = (entry: unknown): boolean =>
    isObject(entry) && isEstimate(entry.overall) && every(entry.answers, isEstimate);
  const parts = ['full', 'empty', 'inCircuit', 'complement', 'faithfulness', 'complementFaithfulness'] as const;
  const missing = parts.find((part) => !byAnswer(value[part]));
  if (missing !== undefined) refuseResult(`${missing} has no estimates`);
  if (!isObject(accuracy) || !byAnswer(accuracy.full) || !byAnswer(accuracy.circuit))
    refuseResult('accuracy is missing');
  if (!every(value.minimality, (entry) => isObject(entry) && isText(entry.node) && byAnswer(entry.loss)))
    refuseResult('minimality has not one loss for each node');
  if (!Array.isArray(value.completeness)) refuseResult('completeness is not a list');
  if (!isObject(addBack) || !every(addBack.given, byAnswer) || !Array.isArray(addBack.random))
    refuseResult('addBack has no curve');
  if (!isObject(random) || !every(random.overall, (entry) => typeof entry === 'number'))
    refuseResult('random has no draws');
  return value as unknown as CircuitEvaluation;
}

/**
 * Reads any result that this version can show.
 * @throws MechanistError `bad-input`: not JSON, an unknown kind, a newer schema, or parts that do not fit together; says which
 */
export function resultFromJson(text: string): ResultDocument {
  const value = parseResult(text);
  if (value.kind === 'grid') return gridFromValue(value);
  const revived = reviveNumbers(value) as Fields;
  if (value.kind === 'figures') return figuresFromValue(revived);
  if (value.kind === 'circuit-evaluation') return evaluationFromValue(revived);
  return refuseResult(
    `its kind is ${JSON.stringify(value.kind)}, and this version shows "grid", "figures" and "circuit-evaluation"`,
  );
}
