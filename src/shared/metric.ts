/** What several foils are put together to. `one` refuses an answer that has more or fewer than one foil. */
export type FoilForm = 'one' | 'mean' | 'max';

/**
 * `denoising`: (x − corrupted) / (clean − corrupted): 0 = as the corrupted run, 1 = as the clean run, whole effect restored.
 * `noising`: (x − clean) / (clean − corrupted): 0 = as the clean run, −1 = as the corrupted run, whole effect destroyed.
 * The two differ by 1.
 */
export type Normalization = 'denoising' | 'noising';

/**
 * How a run is scored from its logits at the answer's position. With `a` the answer, `f` the foils, `p` = softmax(logits),
 * natural logarithms:
 *
 * | kind | formula | unit | needs |
 * |---|---|---|---|
 * | `logit-difference` | logit[a] − logit[f], − mean logit[f], or − max logit[f] | logits | columns a and f |
 * | `log-prob` | ln p[a] | nats | the whole row |
 * | `prob` | p[a] | probability | the whole row |
 * | `prob-sum-difference` | Σ p of a and the other right answers − Σ p[f] (greater-than: Hanna et al. 2023) | probability | the whole row |
 * | `cross-entropy` | −ln p[a] | nats | the whole row |
 * | `kl` | Σ q (ln q − ln p), q = softmax of the reference run's logits | nats | both whole rows |
 * | `rank` | how many vocabulary entries have a higher logit than a: 0 = the model's first choice | entries | the whole row |
 */
export type MetricSpec = { readonly normalize?: Normalization } & (
  | { readonly kind: 'logit-difference'; readonly foil: FoilForm }
  | { readonly kind: 'log-prob' | 'prob' | 'prob-sum-difference' | 'cross-entropy' | 'kl' | 'rank' }
);

export type MetricKind = MetricSpec['kind'];

export const metricKinds: readonly MetricKind[] = [
  'logit-difference',
  'log-prob',
  'prob',
  'prob-sum-difference',
  'kl',
  'cross-entropy',
  'rank',
];

/** Where one answer is read and which vocabulary entries are compared. An item may have several. */
export interface AnswerTarget {
  readonly name: string;
  /** 0-based index into the prompt's tokens. The logits there are the prediction of the next one. */
  readonly position: number;
  /** Vocabulary entry. */
  readonly answer: number;
  /** Vocabulary entries; only `logit-difference` and `prob-sum-difference` read them. */
  readonly foils: readonly number[];
  /** Other right answers; only `prob-sum-difference` reads them. */
  readonly also?: readonly number[];
}

/** The metric of one item: mean over its answers, and each answer's own, in their order. */
export interface ItemMetric {
  readonly value: number;
  readonly byAnswer: readonly number[];
}

/** A sample in numbers. Spread is null where the sample is too small to have one. */
export interface SampleSummary {
  readonly n: number;
  readonly mean: number;
  /** Sample standard deviation (n − 1 in the denominator). Null for n = 1. */
  readonly sd: number | null;
  /** Standard error of the mean, sd / √n. Null for n = 1. */
  readonly se: number | null;
  /** Percentile bootstrap interval of the mean. Null for n = 1. */
  readonly interval: {
    readonly low: number;
    readonly high: number;
    /** Share of the bootstrap means inside: .95. */
    readonly level: number;
    readonly resamples: number;
    readonly seed: number;
  } | null;
}
