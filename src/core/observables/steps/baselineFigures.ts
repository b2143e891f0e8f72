import type { CurvePicture, Estimate, ScatterPicture, TablePicture } from '../../../shared/figures.ts';
import { share, visibleToken } from '../../../shared/format.ts';
import { quantileOfSorted, seededRandom } from '../../../shared/statistics.ts';
import type { StepContext, StepResult } from '../../experiments/stepKind.ts';
import { estimateOf, pearson } from '../../experiments/steps/estimate.ts';
import { aucOf, rSquaredOf } from '../probeScores.ts';
import { type ProbeMethod, probeMethods } from '../probes.ts';

/** How well a direction reads held-out prompts. */
export interface ProbeQuality {
  readonly rSquared: number;
  readonly auc: number;
  /** With the feature vector. */
  readonly cosine: number;
}

/** One draw of training prompts of each size. */
export interface BaselineCell {
  readonly feature: { readonly name: string; readonly hook: string; readonly warnings: readonly string[] };
  readonly role: string;
  readonly byToken: boolean;
  readonly trainable: number;
  readonly fitted: readonly { readonly size: number; readonly quality: Readonly<Record<ProbeMethod, ProbeQuality>> }[];
  /** Of the feature vector on the held-out prompts, and what was measured there. */
  readonly scores: readonly number[];
  readonly measured: readonly number[];
  readonly positive: readonly boolean[];
  readonly heldOut: readonly { readonly row: number; readonly at: number; readonly id: number }[];
  /** r² of random directions. */
  readonly random: readonly number[];
  readonly forwardPasses: number;
}

const FEATURE = 'the feature';
const RESAMPLES = 2000;

/** A number of the feature with the interval that drawing the held-out prompts anew gives. */
function withInterval(of: (rows: readonly number[]) => number, n: number, seed: number): Estimate {
  const random = seededRandom(seed);
  const rows = Array.from({ length: n }, (_, i) => i);
  const drawn = Float64Array.from({ length: RESAMPLES }, () => of(rows.map(() => random.below(n)))).filter(
    Number.isFinite,
  );
  const sorted = drawn.sort();
  const interval =
    sorted.length < 2 ? null : ([quantileOfSorted(sorted, 0.025), quantileOfSorted(sorted, 0.975)] as const);
  return { mean: of(rows), n, sd: null, interval };
}

interface Qualities {
  readonly rSquared: Estimate;
  readonly auc: Estimate;
}

function ofFeature({ seed }: StepContext, { scores, measured, positive }: BaselineCell): Qualities {
  const take = <T>(values: readonly T[], rows: readonly number[]) => rows.map((i) => values[i]);
  const { length } = scores;
  return {
    rSquared: withInterval((rows) => rSquaredOf(take(scores, rows), take(measured, rows)), length, seed),
    auc: withInterval((rows) => aucOf(take(scores, rows), take(positive, rows)), length, seed),
  };
}

/** Over the draws of one size. */
function ofMethod({ seed }: StepContext, cells: readonly BaselineCell[], size: number, method: ProbeMethod) {
  const found = cells.flatMap(({ fitted }) => fitted.find((own) => own.size === size)?.quality[method] ?? []);
  const over = (key: keyof ProbeQuality) =>
    estimateOf(found.map((quality) => quality[key]).filter(Number.isFinite), seed);
  return { rSquared: over('rSquared'), auc: over('auc'), cosine: over('cosine') };
}

function curve(
  context: StepContext,
  cells: readonly BaselineCell[],
  sizes: readonly number[],
  key: 'rSquared' | 'auc',
  { id, title, unit, feature }: { id: string; title: string; unit: string; feature: Estimate },
): CurvePicture {
  return {
    ...{ type: 'curve', id, title, unit, bands: [] },
    subtitle: `${cells[0].scores.length} held-out prompts; mean over ${cells.length} draws, 95 % bootstrap interval; ${FEATURE} has no labels, its interval is over the held-out prompts`,
    x: { name: 'prompts learned from', labels: sizes.map(String) },
    series: [
      { name: FEATURE, points: sizes.map(() => feature), emphasised: true },
      ...probeMethods.map((method) => ({
        name: method,
        points: sizes.map((size) => ofMethod(context, cells, size, method)[key]),
      })),
    ],
  };
}

function table(
  context: StepContext,
  cells: readonly BaselineCell[],
  sizes: readonly number[],
  feature: Qualities,
  random: Estimate | null,
): TablePicture {
  const spread = (estimate: Estimate | null) => [estimate?.mean ?? null, ...(estimate?.interval ?? [null, null])];
  const rows = probeMethods.flatMap((method) =>
    sizes.map((size) => {
      const { rSquared, auc, cosine } = ofMethod(context, cells, size, method);
      return [method, size, ...spread(rSquared), ...spread(auc), cosine?.mean ?? null];
    }),
  );
  return {
    ...{ type: 'table', id: 'methods', title: 'Held-out quality by method and number of prompts' },
    subtitle:
      'r²: squared correlation of x · v with the measured observable; AUC: of x · v between the sides; cosine: with the feature vector, mean over the draws; low and high of the random direction: 5 % and 95 % of the directions',
    columns: [
      ...[{ name: 'method' }, { name: 'prompts' }],
      ...['r²', 'r² low', 'r² high', 'AUC', 'AUC low', 'AUC high', 'cosine'].map((name) => ({ name })),
    ],
    rows: [
      [FEATURE, 0, ...spread(feature.rSquared), ...spread(feature.auc), 1],
      ...rows,
      ['random direction', 0, ...spread(random), null, null, null, null],
    ],
  };
}

function scatter(context: StepContext, cell: BaselineCell, label: string): ScatterPicture {
  const { scores, measured, positive, heldOut } = cell;
  const points = scores.map((x, i) => ({
    ...{ x, y: measured[i], group: positive[i] ? 0 : 1 },
    label: `${visibleToken(context.model.tokenizer.tokenText(heldOut[i].id))} (row ${context.task.items[heldOut[i].row].id})`,
  }));
  return {
    ...{ type: 'scatter', id: 'score', title: `${label} by the score of its feature`, points },
    subtitle: `held-out prompts; score at ${cell.role}, ${cell.feature.hook}`,
    x: { name: 'score', unit: 'logits' },
    y: { name: label, unit: 'logits' },
    groups: ['clean', 'corrupted'],
    correlations: [0, 1].map((group) => pearson(points.filter((point) => point.group === group))),
  };
}

/** Puts the draws together. */
export function assembleBaselines(
  context: StepContext,
  cells: readonly BaselineCell[],
  { label, largest }: { readonly label: string; readonly largest: number },
): StepResult {
  const base = { title: `How well ${label} is read off`, ablation: 'none' };
  const [first] = cells;
  if (first === undefined) return { ...base, subtitle: 'no draw is run yet', pictures: [], values: {}, warnings: [] };
  const sizes = first.fitted.map(({ size }) => size);
  const feature = ofFeature(context, first);
  const sorted = Float64Array.from(first.random).sort();
  const high = quantileOfSorted(sorted, 0.95);
  const average = first.random.reduce((sum, value) => sum + value, 0) / first.random.length;
  const random: Estimate = {
    mean: average,
    n: sorted.length,
    sd: null,
    interval: [quantileOfSorted(sorted, 0.05), high],
  };
  const values: Record<string, number> = {
    ...{
      'obprop.r2': feature.rSquared.mean,
      'obprop.auc': feature.auc.mean,
      'random.r2': average,
      'random.r2.high': high,
    },
  };
  for (const method of probeMethods) {
    for (const size of sizes) {
      const own = ofMethod(context, cells, size, method);
      const name = `${method.split(' ')[0]}.${size}`;
      if (own.rSquared !== null) values[`${name}.r2`] = own.rSquared.mean;
      if (own.auc !== null) values[`${name}.auc`] = own.auc.mean;
      if (own.cosine !== null) values[`${name}.cosine`] = own.cosine.mean;
    }
  }
  const words = { r2: `r² with ${label}`, auc: 'AUC between the sides' };
  return {
    ...base,
    title: `The feature reads ${label} with r² ${share(feature.rSquared.mean)} and AUC ${share(feature.auc.mean)}, without labels`,
    subtitle: `${first.feature.name} · at ${first.role} · ${first.scores.length} held-out prompts of ${context.task.name}`,
    pictures: [
      curve(context, cells, sizes, 'rSquared', { id: 'r2', title: words.r2, unit: 'r²', feature: feature.rSquared }),
      curve(context, cells, sizes, 'auc', { id: 'auc', title: words.auc, unit: 'AUC', feature: feature.auc }),
      table(context, cells, sizes, feature, random),
      scatter(context, first, label),
    ],
    values,
    warnings: [
      ...first.feature.warnings,
      ...(first.byToken
        ? []
        : [
            `There are fewer than four tokens at ${first.role}: held-out prompts share theirs with those that are learned from.`,
          ]),
      ...(sizes.includes(largest + (largest % 2))
        ? []
        : [`There are prompts for ${sizes.at(-1)} to learn from, not ${largest}.`]),
      ...(feature.rSquared.mean > high
        ? []
        : [`One in twenty random directions reaches r² ${share(high)}: the feature is within that.`]),
    ],
  };
}
