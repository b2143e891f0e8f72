import type { AnswerTarget, MetricSpec } from '../../../shared/metric.ts';
import type { PackedArray } from '../../../shared/packedArray.ts';
import type { InterventionResult } from '../../engine/interventions/interventionRun.ts';
import {
  columnReader,
  type LogitsRow,
  metricOfColumns,
  metricOfItem,
  neededColumns,
  needsReference,
} from '../../tasks/metrics.ts';

/** What a run is scored by. */
export interface Scoring {
  readonly metric: MetricSpec;
  /** Answers of each item of the batch. */
  readonly targets: readonly (readonly AnswerTarget[])[];
  /** Positions at which some answer is predicted. */
  readonly positions: readonly number[];
}

/** Logits of a run that metrics are read from: at the answers' positions, all columns or those needed. */
export interface ScoredLogits {
  readonly logits: PackedArray;
  readonly columns: readonly number[] | null;
}

export async function readLogits(
  run: Pick<InterventionResult, 'logits'>,
  { metric, targets, positions }: Scoring,
  signal?: AbortSignal,
): Promise<ScoredLogits> {
  const columns = neededColumns(metric, targets.flat());
  const logits = await run.logits({ positions, ...(columns && { columns }), ...(signal && { signal }) });
  return { logits, columns };
}

/** The metric at each answer, `[item][answer]`. `clean`: of the unchanged run, for `kl`. */
export function scoreLogits(scored: ScoredLogits, scoring: Scoring, clean: ScoredLogits): (readonly number[])[] {
  const { metric, targets, positions } = scoring;
  const rowOf = ({ logits: { dims, data } }: ScoredLogits, item: number) => {
    return (position: number): LogitsRow => {
      const at = (item * dims[1] + positions.indexOf(position)) * dims[2];
      return data.subarray(at, at + dims[2]) as LogitsRow;
    };
  };
  return targets.map((own, item) => {
    const row = rowOf(scored, item);
    const { columns } = scored;
    if (columns !== null) {
      return metricOfColumns(metric, (position) => columnReader(columns, row(position)), own).byAnswer;
    }
    const reference = needsReference(metric) ? rowOf(clean, item) : undefined;
    return metricOfItem(metric, row, own, reference).byAnswer;
  });
}
