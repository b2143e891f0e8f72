import { MechanistError } from '../../../shared/errors.ts';
import type { AnswerTarget, MetricSpec } from '../../../shared/metric.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import {
  columnReader,
  differenceTerms,
  isDifferentiable,
  type LogitsRow,
  metricGradient,
  metricOfRow,
} from '../../tasks/metrics.ts';
import { resolvePosition } from '../runChecks.ts';

/** A linear combination of logits at one position: Σ weight × logit[id]. */
interface LinearTerms {
  /** Negative counts from the end. */
  readonly position: number;
  readonly terms: readonly { readonly id: number; readonly weight: number }[];
}

/** The scalar per batch item whose gradient is taken. */
export type Objective =
  /** A linear observable, summed over its positions. `items[batch]`. Unit: logits. */
  | { readonly kind: 'linear'; readonly items: readonly (readonly LinearTerms[])[] }
  /**
   * A metric, mean over the item's answers; not normalised. `targets[batch][answer]`. `reference`: the other run's logits
   * `[d_vocab]` at a position, for `kl`.
   */
  | {
      readonly kind: 'metric';
      readonly metric: MetricSpec;
      readonly targets: readonly (readonly AnswerTarget[])[];
      readonly reference?: (item: number, position: number) => LogitsRow;
    }
  /** gradient · resid_post of the last layer: whatever lies behind the blocks is the caller's. `[batch, pos, d_model]`. */
  | { readonly kind: 'residual'; readonly gradient: PackedArray };

/** One summand of an item's objective: a function of the logits at one position. */
export interface ObjectivePart {
  readonly item: number;
  readonly position: number;
  /** Vocabulary entries that it reads; null for the whole row. */
  readonly columns: readonly number[] | null;
  /** Value and ∂ value / ∂ logits from the logits of `columns`, as `{id, weight}`. */
  readonly ofColumns: (logits: ArrayLike<number>) => {
    readonly value: number;
    readonly terms: readonly { readonly id: number; readonly weight: number }[];
  };
  /** The same from a whole row; the gradient is `[d_vocab]`. */
  readonly ofRow: (row: LogitsRow) => { readonly value: number; readonly gradient: Float64Array };
}

function notAsked(): never {
  throw new Error('This part of an objective reads its logits in the other way.');
}

function linearPart(item: number, { position, terms }: LinearTerms): ObjectivePart {
  const columns = terms.map(({ id }) => id);
  return {
    item,
    position,
    columns,
    ofColumns: (logits) => ({ value: terms.reduce((sum, { weight }, i) => sum + weight * logits[i], 0), terms }),
    ofRow: notAsked,
  };
}

type MetricObjective = Extract<Objective, { kind: 'metric' }>;

function metricPart(
  { metric, reference }: MetricObjective,
  item: number,
  target: AnswerTarget,
  share: number,
): ObjectivePart {
  const { position } = target;
  if (metric.kind === 'logit-difference') {
    const columns = [target.answer, ...target.foils];
    const ofColumns = (logits: ArrayLike<number>) => {
      const logitOf = columnReader(columns, logits);
      const terms = differenceTerms(logitOf, target, metric.foil).map(({ id, weight }) => ({
        id,
        weight: weight * share,
      }));
      return { value: terms.reduce((sum, { id, weight }) => sum + weight * logitOf(id), 0), terms };
    };
    return { item, position, columns, ofColumns, ofRow: notAsked };
  }
  const ofRow = (row: LogitsRow) => {
    const other = reference?.(item, position);
    return {
      value: share * metricOfRow(metric, row, target, other),
      gradient: metricGradient(metric, row, target, other).map((value) => share * value),
    };
  };
  return { item, position, columns: null, ofColumns: notAsked, ofRow };
}

/**
 * An objective taken apart, with positions checked. Empty for `residual`.
 * @throws MechanistError `bad-input`
 */
export function objectiveParts(objective: Objective, batch: number, length: number): ObjectivePart[] {
  if (objective.kind === 'residual') return [];
  const lists = objective.kind === 'linear' ? objective.items : objective.targets;
  if (lists.length !== batch) {
    throw new MechanistError('bad-input', `There are ${batch} prompts but answers for ${lists.length}.`);
  }
  if (objective.kind === 'metric' && !isDifferentiable(objective.metric)) {
    throw new MechanistError('bad-input', `The metric ${objective.metric.kind} has no gradient: choose another.`);
  }
  const parts =
    objective.kind === 'linear'
      ? objective.items.flatMap((list, item) => list.map((terms) => linearPart(item, terms)))
      : objective.targets.flatMap((list, item) =>
          list.map((target) => metricPart(objective, item, target, 1 / list.length)),
        );
  const missing = lists.findIndex((list) => list.length === 0);
  if (missing >= 0) throw new MechanistError('bad-input', `Prompt ${missing + 1} has no answer to look at.`);
  return parts.map((part) => ({ ...part, position: resolvePosition(part.position, length) }));
}
