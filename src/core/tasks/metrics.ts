import { MechanistError } from '../../shared/errors.ts';
import type { AnswerTarget, FoilForm, ItemMetric, MetricSpec, Normalization } from '../../shared/metric.ts';

/** Logits of the whole vocabulary at one position, `[d_vocab]`. */
export type LogitsRow = ArrayLike<number>;

/** Reads the logit of one vocabulary entry: from a whole row, or from the columns that were computed. */
export type LogitOf = (id: number) => number;

const WORDS: Readonly<Record<MetricSpec['kind'], { readonly label: string; readonly unit: string }>> = {
  'logit-difference': { label: 'logit difference', unit: 'logits' },
  'log-prob': { label: 'log-probability', unit: 'nats' },
  prob: { label: 'probability', unit: 'probability' },
  'prob-sum-difference': { label: 'probability of right answers − of foils', unit: 'probability' },
  kl: { label: 'KL from the clean run', unit: 'nats' },
  'cross-entropy': { label: 'cross-entropy', unit: 'nats' },
  rank: { label: 'rank', unit: 'entries' },
};

/** What a metric is called, whatever the answers are, and what it is counted in. */
export function metricWords(spec: MetricSpec): { readonly label: string; readonly unit: string } {
  const { label, unit } = WORDS[spec.kind];
  const foils = { one: 'the foil', mean: 'the mean of the foils', max: 'the largest foil' };
  return {
    label: spec.kind === 'logit-difference' ? `${label} to ${foils[spec.foil]}` : label,
    unit: spec.normalize === undefined ? unit : 'share of the effect',
  };
}

/** False only for the logit difference: it needs the answer's and the foils' columns of the unembedding, no others. */
export function needsWholeRow(metric: MetricSpec): boolean {
  return metric.kind !== 'logit-difference';
}

/** True for `kl` alone: it compares with the logits of another run. */
export function needsReference(metric: MetricSpec): boolean {
  return metric.kind === 'kl';
}

/** False for `rank`, which is constant almost everywhere: attribution patching has nothing to follow. */
export function isDifferentiable(metric: MetricSpec): boolean {
  return metric.kind !== 'rank';
}

/**
 * Why a metric has no first-order estimate at a run, as a clause; null where it has one.
 * @param base the run whose gradient is taken
 */
export function whyNoEstimate(metric: MetricSpec, base: 'clean' | 'corrupted'): string | null {
  if (!isDifferentiable(metric)) return `the metric ${metric.kind} has no gradient`;
  if (metric.kind === 'kl' && base === 'clean') {
    return 'the divergence from the clean run is 0 and flat at the clean run';
  }
  return null;
}

/** Columns of the unembedding that the metric reads, ascending, each once; null when it needs them all. */
export function neededColumns(metric: MetricSpec, targets: readonly AnswerTarget[]): readonly number[] | null {
  if (needsWholeRow(metric)) return null;
  return [...new Set(targets.flatMap(({ answer, foils }) => [answer, ...foils]))].sort((a, b) => a - b);
}

/** Reads a whole row. @throws MechanistError `bad-input` for an id outside it or a logit that is no number. */
export function rowReader(row: LogitsRow): LogitOf {
  return (id) => {
    const value = row[id];
    if (value === undefined) {
      throw new MechanistError('bad-input', `There is no vocabulary entry ${id}: the model has ${row.length}.`, { id });
    }
    return finite(value, id);
  };
}

/** Reads computed columns, `values[i]` being the logit of `ids[i]`. @throws MechanistError `internal` for another id. */
export function columnReader(ids: readonly number[], values: ArrayLike<number>): LogitOf {
  const index = new Map(ids.map((id, i) => [id, i]));
  return (id) => {
    const value = values[index.get(id) ?? -1];
    if (value === undefined)
      throw new MechanistError('internal', `The logit of vocabulary entry ${id} was not computed.`);
    return finite(value, id);
  };
}

function finite(value: number, id: number): number {
  if (Number.isFinite(value)) return value;
  const message = `The logit of vocabulary entry ${id} is ${value}. Look for the first hook point with a NaN.`;
  throw new MechanistError('bad-input', message, { id });
}

function checkFoils(target: AnswerTarget, form: FoilForm): void {
  const { foils, name } = target;
  if (foils.length === 0) {
    throw new MechanistError('bad-input', `A logit difference needs a foil: give the answer "${name}" one.`);
  }
  if (form === 'one' && foils.length > 1) {
    const message = `The answer "${name}" has ${foils.length} foils: choose mean or max, or give it one foil.`;
    throw new MechanistError('bad-input', message);
  }
}

function largestFoil(logitOf: LogitOf, foils: readonly number[]): number {
  return foils.reduce((best, id) => (logitOf(id) > logitOf(best) ? id : best), foils[0]);
}

/**
 * A logit difference as a weighted sum of logits. With the foil form `max` this holds near these logits only: the largest
 * foil (the first of equals) is kept.
 * @throws MechanistError `bad-input` when there is no foil, or several where one is wanted
 */
export function differenceTerms(
  logitOf: LogitOf,
  target: AnswerTarget,
  form: FoilForm,
): readonly { readonly id: number; readonly weight: number }[] {
  checkFoils(target, form);
  const foils = form === 'max' ? [largestFoil(logitOf, target.foils)] : target.foils;
  return [{ id: target.answer, weight: 1 }, ...foils.map((id) => ({ id, weight: -1 / foils.length }))];
}

/**
 * Logit of the answer − the foils' (one, mean or max), in logits.
 * @throws MechanistError `bad-input` as `differenceTerms`
 */
function logitDifference(logitOf: LogitOf, target: AnswerTarget, form: FoilForm): number {
  const terms = differenceTerms(logitOf, target, form);
  return terms.reduce((sum, { id, weight }) => sum + weight * logitOf(id), 0);
}

/** ln Σ exp(row), with the largest logit taken out first. float64. @throws MechanistError `bad-input` for NaN */
export function logSumExp(row: LogitsRow): number {
  let max = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < row.length; id++) max = Math.max(max, finite(row[id], id));
  let sum = 0;
  for (let id = 0; id < row.length; id++) sum += Math.exp(row[id] - max);
  return max + Math.log(sum);
}

/** How many vocabulary entries have a higher logit: 0 = first choice. Entries with an equal logit do not count. */
function rank(row: LogitsRow, answer: number): number {
  const own = rowReader(row)(answer);
  let higher = 0;
  for (let id = 0; id < row.length; id++) if (finite(row[id], id) > own) higher++;
  return higher;
}

/** Weight of each vocabulary entry in a sum of probabilities: 1 for right answers, −1 for foils. */
function probabilityWeights({ answer, also = [], foils }: AnswerTarget): ReadonlyMap<number, number> {
  return new Map([...foils.map((id) => [id, -1] as const), ...[answer, ...also].map((id) => [id, 1] as const)]);
}

function probabilitySum(row: LogitsRow, target: AnswerTarget): number {
  const total = logSumExp(row);
  const logitOf = rowReader(row);
  let sum = 0;
  for (const [id, weight] of probabilityWeights(target)) sum += weight * Math.exp(logitOf(id) - total);
  return sum;
}

/** KL(softmax(reference) ‖ softmax(row)) in nats; never negative, rounding apart. */
export function klDivergence(reference: LogitsRow, row: LogitsRow): number {
  if (reference.length !== row.length) {
    throw new MechanistError('internal', `Rows of ${reference.length} and ${row.length} logits cannot be compared.`);
  }
  const logQ = logSumExp(reference);
  const logP = logSumExp(row);
  let sum = 0;
  for (let id = 0; id < row.length; id++) {
    const q = reference[id] - logQ;
    sum += Math.exp(q) * (q - (row[id] - logP));
  }
  return Math.max(0, sum);
}

function requireReference(reference: LogitsRow | undefined): LogitsRow {
  if (reference !== undefined) return reference;
  throw new MechanistError('bad-input', 'The metric kl compares two runs: give it the reference run’s logits.');
}

/**
 * One answer's metric from the logits `[d_vocab]` at its position. Units: `MetricSpec`. `normalize` is not applied: see
 * `normalized`. `reference`: the clean run's logits at this position, for `kl`.
 * @throws MechanistError `bad-input` for NaN, an unknown id, or foils that do not fit
 */
export function metricOfRow(metric: MetricSpec, row: LogitsRow, target: AnswerTarget, reference?: LogitsRow): number {
  switch (metric.kind) {
    case 'logit-difference':
      return logitDifference(rowReader(row), target, metric.foil);
    case 'log-prob':
      return rowReader(row)(target.answer) - logSumExp(row);
    case 'prob':
      return Math.exp(rowReader(row)(target.answer) - logSumExp(row));
    case 'prob-sum-difference':
      return probabilitySum(row, target);
    case 'cross-entropy':
      return logSumExp(row) - rowReader(row)(target.answer);
    case 'kl':
      return klDivergence(requireReference(reference), row);
    case 'rank':
      return rank(row, target.answer);
  }
}

/**
 * The metric of an item with one or several answers: each answer's own, and their mean.
 * @param rowAt logits at a position of the item's tokens
 * @param referenceAt the same of the reference run, for `kl`
 * @throws MechanistError `bad-input` without answers, and as `metricOfRow`
 */
export function metricOfItem(
  metric: MetricSpec,
  rowAt: (position: number) => LogitsRow,
  targets: readonly AnswerTarget[],
  referenceAt?: (position: number) => LogitsRow,
): ItemMetric {
  return overAnswers(targets, (target) =>
    metricOfRow(metric, rowAt(target.position), target, referenceAt?.(target.position)),
  );
}

/**
 * `metricOfItem` where only `neededColumns` were computed: a logit difference.
 * @param logitAt the logit of an entry at a position
 * @throws MechanistError `internal` for a metric that needs whole rows
 */
export function metricOfColumns(
  metric: MetricSpec,
  logitAt: (position: number) => LogitOf,
  targets: readonly AnswerTarget[],
): ItemMetric {
  if (metric.kind !== 'logit-difference') {
    throw new MechanistError('internal', `The metric ${metric.kind} needs the logits of the whole vocabulary.`);
  }
  const { foil } = metric;
  return overAnswers(targets, (target) => logitDifference(logitAt(target.position), target, foil));
}

function overAnswers(targets: readonly AnswerTarget[], score: (target: AnswerTarget) => number): ItemMetric {
  if (targets.length === 0)
    throw new MechanistError('bad-input', 'A metric needs an answer: name the token to look for.');
  const byAnswer = targets.map(score);
  return { value: byAnswer.reduce((sum, x) => sum + x, 0) / byAnswer.length, byAnswer };
}

/**
 * ∂ metric / ∂ logits at the answer's position, `[d_vocab]`: where a backward pass starts. With p = softmax(row), q of the
 * reference and e[a] the answer's unit vector: log-prob e[a] − p, prob p[a] (e[a] − p), a sum s of
 * probabilities with weights w p (w − s), cross-entropy p − e[a], kl p − q.
 * @throws MechanistError `bad-input` for `rank`, and as `metricOfRow`
 */
export function metricGradient(
  metric: MetricSpec,
  row: LogitsRow,
  target: AnswerTarget,
  reference?: LogitsRow,
): Float64Array {
  const gradient = new Float64Array(row.length);
  if (metric.kind === 'rank') {
    throw new MechanistError('bad-input', 'The metric rank has no gradient: choose another, or run the exact sweep.');
  }
  if (metric.kind === 'logit-difference') {
    for (const { id, weight } of differenceTerms(rowReader(row), target, metric.foil)) {
      gradient[id] += weight;
    }
    return gradient;
  }
  const total = logSumExp(row);
  const p = (id: number) => Math.exp(row[id] - total);
  if (metric.kind === 'kl') {
    const other = requireReference(reference);
    const otherTotal = logSumExp(other);
    for (let id = 0; id < row.length; id++) gradient[id] = p(id) - Math.exp(other[id] - otherTotal);
    return gradient;
  }
  if (metric.kind === 'prob-sum-difference') {
    const sum = probabilitySum(row, target);
    const weights = probabilityWeights(target);
    for (let id = 0; id < row.length; id++) gradient[id] = p(id) * ((weights.get(id) ?? 0) - sum);
    return gradient;
  }
  const own = Math.exp(rowReader(row)(target.answer) - total);
  const factor = metric.kind === 'prob' ? own : metric.kind === 'log-prob' ? 1 : -1;
  for (let id = 0; id < row.length; id++) gradient[id] = factor * ((id === target.answer ? 1 : 0) - p(id));
  return gradient;
}

/**
 * A metric on the scale of its clean and corrupted runs; formulas: `Normalization`. Meant for means over a batch: of single
 * items the denominator can be near 0, and one such item would outweigh all others.
 * @throws MechanistError `bad-input` when both runs score the same, so that there is no scale
 */
export function normalized(value: number, clean: number, corrupted: number, form: Normalization): number {
  const range = clean - corrupted;
  if (!(Math.abs(range) > 1e-6 * Math.max(1, Math.abs(clean), Math.abs(corrupted)))) {
    const message = `The clean and the corrupted run score the same (${clean}): there is no effect to take a share of. Take another corrupted prompt, or do not normalise.`;
    throw new MechanistError('bad-input', message, { clean, corrupted });
  }
  return (value - (form === 'denoising' ? corrupted : clean)) / range;
}
