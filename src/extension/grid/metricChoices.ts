import { whyNoEstimate } from '../../core/tasks/metrics.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { MetricKind, MetricSpec, Normalization } from '../../shared/metric.ts';

/** What a choice of metrics depends on. */
export interface MetricSetting {
  /** The most foils that an answer of the sweep has. */
  readonly foils: number;
  readonly method: GridDocument['method'];
  /** Which run is changed. */
  readonly base: 'clean' | 'corrupted';
  /** Given: the metric becomes a share of what parts the clean from the corrupted run. */
  readonly normalize?: Normalization;
}

/** A metric that a person may choose. */
export interface MetricChoice {
  readonly label: string;
  readonly detail: string;
  /** Null: what is measured when nobody says. */
  readonly spec: MetricSpec | null;
  /** Why it cannot be chosen here; null when it can. */
  readonly refusal: string | null;
}

const details: Readonly<Record<Exclude<MetricKind, 'logit-difference'>, readonly [string, string]>> = {
  'log-prob': ['Log-probability', 'ln p of the answer, in nats: the whole vocabulary counts.'],
  prob: ['Probability', 'p of the answer: near 0 and 1 it hardly moves.'],
  'prob-sum-difference': ['Probability difference', 'Σ p of the right answers − Σ p of the foils.'],
  kl: ['KL divergence', 'Of the whole next-token distribution from the clean run, in nats; 0 = as the clean run.'],
  'cross-entropy': ['Cross-entropy', '−ln p of the answer, in nats: the loss.'],
  rank: ['Rank', 'How many tokens have a higher logit than the answer: 0 = the first choice.'],
};

function differences({ foils }: MetricSetting): Omit<MetricChoice, 'refusal'>[] {
  const form = (foil: 'one' | 'mean' | 'max'): MetricSpec => ({ kind: 'logit-difference', foil });
  if (foils === 1) {
    return [{ label: 'Logit difference', detail: 'Logit of the answer − logit of the foil.', spec: form('one') }];
  }
  const mean = `Logit of the answer − mean logit of its ${foils} foils.`;
  const max = `Logit of the answer − logit of the foil that is highest in that run, of ${foils}.`;
  return [
    { label: 'Logit difference, mean of the foils', detail: mean, spec: form('mean') },
    { label: 'Logit difference, largest foil', detail: max, spec: form('max') },
  ];
}

function others({ foils }: MetricSetting): Omit<MetricChoice, 'refusal'>[] {
  const all = Object.keys(details) as (keyof typeof details)[];
  // Without foils it is the probability.
  const kinds = all.filter((kind) => foils > 0 || kind !== 'prob-sum-difference');
  return kinds.map((kind) => ({ label: details[kind][0], detail: details[kind][1], spec: { kind } }));
}

/** What is measured when nobody says comes first. What the method cannot do comes with the reason. */
export function metricChoices(setting: MetricSetting): MetricChoice[] {
  const { foils, method, base, normalize } = setting;
  const all = foils === 0 ? others(setting) : [...differences(setting), ...others(setting)];
  const choices = all.map(({ spec, ...choice }, i): MetricChoice => {
    const why = spec === null || method === 'exact' ? null : whyNoEstimate(spec, base);
    const refusal = why === null ? null : `not with ${method === 'screened' ? 'Screened' : 'Attribution'}: ${why}`;
    if (normalize !== undefined) return { ...choice, spec: spec && { ...spec, normalize }, refusal };
    return { ...choice, spec: i === 0 ? null : spec, refusal };
  });
  if (foils > 0) return choices;
  const refusal = 'the observable has no token with a negative weight';
  return [...choices, { label: 'Logit difference', detail: 'Needs a foil.', spec: null, refusal }];
}
