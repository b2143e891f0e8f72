import type { CurvePicture, Estimate, TablePicture } from '../../../shared/figures.ts';
import { signed } from '../../../shared/format.ts';
import type { StepContext, StepResult } from '../../experiments/stepKind.ts';
import { estimateOf, meanOf } from '../../experiments/steps/estimate.ts';
import type { SteeredPrompts } from '../steerAlong.ts';
import { flipWarnings } from './flipWarnings.ts';

/** The unsteered prompts, clean and corrupted by turns, and what is known of the path. */
export interface SteeringBase extends SteeredPrompts {
  /** What one length of the direction adds along the path, by prompt; null where the path does not fit. */
  readonly slopes: readonly (number | null)[];
  readonly role: string;
  /** Row of each pair. */
  readonly rows: readonly number[];
  /** Lengths of the unit direction that a factor of 1 adds. */
  readonly step: number;
  /** |y| */
  readonly size: number;
  readonly hook: string;
  readonly name: string;
  readonly warnings: readonly string[];
  readonly forwardPasses: number;
}

export interface SteeringCell extends Pick<SteeredPrompts, 'values' | 'kl'> {
  readonly forwardPasses: number;
}

interface Steered {
  readonly factor: number;
  readonly cell: SteeringCell | undefined;
}

const SIDES = ['clean', 'corrupted'] as const;
const UNITS = {
  pair: 'mean difference of a pair along the feature',
  vector: 'the feature vector',
  length: 'a vector of length 1',
} as const;

const sideOf = (values: readonly number[], side: number) => values.filter((_, i) => i % 2 === side);

/** What the path alone predicts, where it fits. */
function predicted({ values, slopes, step }: SteeringBase, factor: number, side: number): readonly number[] {
  return values[0].flatMap((value, i) => {
    const slope = slopes[i];
    return i % 2 === side && slope !== null ? [value + factor * step * slope] : [];
  });
}

function curve(
  { seed }: StepContext,
  base: SteeringBase,
  steered: readonly Steered[],
  label: string,
  words: string,
): CurvePicture {
  const measured =
    (side: number) =>
    (own: Steered): Estimate | null =>
      own.cell === undefined ? null : estimateOf(sideOf(own.cell.values[0], side), seed);
  const series = SIDES.flatMap((name, side) => [
    {
      ...{ name: `measured, ${name}`, emphasised: true, points: steered.map(measured(side)) },
      reference: meanOf(sideOf(base.values[0], side)) ?? 0,
    },
    {
      name: `path alone, ${name}`,
      points: steered.map(({ factor }) => estimateOf(predicted(base, factor, side), seed)),
    },
  ]);
  return {
    ...{ type: 'curve', id: 'steering', title: `${label} with the feature added`, bands: [], unit: 'logits', series },
    subtitle: `factor of 1: ${words}, at ${base.hook}; mean over the prompts, 95 % bootstrap interval; dashes at the right: nothing added`,
    x: { name: 'factor', labels: steered.map(({ factor }) => signed(factor)) },
  };
}

function table(base: SteeringBase, steered: readonly Steered[], labels: readonly string[]): TablePicture {
  const rows = steered.flatMap(({ factor, cell }) =>
    SIDES.flatMap((name, side) => {
      if (cell === undefined) return [];
      const means = (values: readonly (readonly number[])[]) => values.map((own) => meanOf(sideOf(own, side)));
      const [before, after] = [means(base.values), means(cell.values)];
      const amount = factor * base.step;
      return [
        [
          ...[factor, name, amount, amount * base.size, before[0], after[0], meanOf(predicted(base, factor, side))],
          ...[meanOf(sideOf(cell.kl, side)), ...after.slice(1).flatMap((value, o) => [before[o + 1], value])],
        ],
      ];
    }),
  );
  return {
    ...{ type: 'table', id: 'factors', title: 'What was added, and what came of it', rows },
    subtitle:
      'the score rises by amount × |y| exactly; path alone: attention of the path’s heads × what is added · y, on each prompt',
    columns: [
      ...[{ name: 'factor' }, { name: 'prompts' }, { name: 'amount' }, { name: 'score', unit: 'logits' }],
      ...[`${labels[0]} before`, 'after', 'path alone'].map((name) => ({ name, unit: 'logits' })),
      { name: 'KL', unit: 'nats' },
      ...labels
        .slice(1)
        .flatMap((label) => [`${label} before`, `${label} after`].map((name) => ({ name, unit: 'logits' }))),
    ],
  };
}

function valuesOf(base: SteeringBase, steered: readonly Steered[]): Record<string, number> {
  const values: Record<string, number> = { step: base.step, 'score per factor': base.step * base.size };
  const put = (name: string, value: number | null) => {
    if (value !== null) values[name] = value;
  };
  SIDES.forEach((name, side) => {
    put(`0.${name}`, meanOf(sideOf(base.values[0], side)));
    for (const { factor, cell } of steered) {
      if (cell === undefined) continue;
      put(`${factor}.${name}`, meanOf(sideOf(cell.values[0], side)));
      put(`${factor}.${name}.path`, meanOf(predicted(base, factor, side)));
      put(`${factor}.${name}.kl`, meanOf(sideOf(cell.kl, side)));
    }
  });
  return values;
}

/** What the largest factor does to the corrupted prompts, beside what the path alone would. */
function finding(steered: readonly Steered[], values: Readonly<Record<string, number>>, label: string): string | null {
  const last = steered.findLast(({ cell }) => cell !== undefined);
  if (last === undefined) return null;
  const [before, after, path] = ['0.corrupted', `${last.factor}.corrupted`, `${last.factor}.corrupted.path`].map(
    (name) => values[name],
  );
  const alone = path === undefined ? '' : `; along the path alone it would be ${signed(path)}`;
  return `Adding the feature times ${signed(last.factor)} takes ${label} of corrupted prompts from ${signed(before)} to ${signed(after)}${alone}`;
}

/** Puts the factors together; what is missing is left out. */
export function assembleSteering(
  context: StepContext,
  base: SteeringBase | undefined,
  steered: readonly Steered[],
  { labels, unit }: { readonly labels: readonly string[]; readonly unit: keyof typeof UNITS },
): StepResult {
  const result = { title: `Steering ${labels[0]} along its feature`, ablation: 'a direction added' };
  if (base === undefined) return { ...result, subtitle: 'not run yet', pictures: [], values: {}, warnings: [] };
  const values = valuesOf(base, steered);
  const apart = base.slopes.filter((slope) => slope === null).length;
  return {
    ...result,
    title: finding(steered, values, labels[0]) ?? result.title,
    subtitle: `${base.name} · added at ${base.role} · ${base.slopes.length / 2} pairs of ${context.task.name}`,
    pictures: [curve(context, base, steered, labels[0], UNITS[unit]), table(base, steered, labels)],
    values,
    warnings: [
      ...base.warnings,
      ...flipWarnings(
        context.task,
        base.rows,
        { clean: sideOf(base.values[0], 0), corrupted: sideOf(base.values[0], 1) },
        labels[0],
      ),
      ...(apart === 0
        ? []
        : [
            `On ${apart} of ${base.slopes.length} prompts the path reads another token than ${base.role}: they are not in the prediction. Write its tokens as roles, as @${base.role}.`,
          ]),
    ],
  };
}
