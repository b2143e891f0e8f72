import type { MatrixPicture, Picture, TablePicture } from '../../../shared/figures.ts';
import { signed } from '../../../shared/format.ts';
import { metricWords, normalized } from '../../tasks/metrics.ts';
import type { CellResult, StepContext, StepResult } from '../stepKind.ts';
import { estimateOf, meanOf } from './estimate.ts';
import { layerCell, type RowNumbers, type SweepCellResult, type SweepJob, type SweepStep } from './sweepStep.ts';

/** Cells that the table of the largest effects lists for each picture. */
const LISTED = 10;

export interface SweepWords {
  readonly title: string;
  /** `corrupted activation into the clean run` */
  readonly intervention: string;
  readonly warnings: readonly string[];
}

/** An effect at one place of a picture. */
interface Effect {
  readonly layer: number;
  readonly column: number;
  /** In the unit of the picture. */
  readonly mean: number;
  readonly byRow: readonly number[];
}

const numbers = (values: RowNumbers | undefined) => values?.filter((value) => value !== null) ?? [];

/** One answer of one job: its layers × columns. */
class AnswerGrid {
  readonly effects: Effect[] = [];
  readonly clean: number | null;
  readonly corrupted: number | null;
  readonly n: number;

  constructor(
    readonly step: SweepStep,
    readonly job: SweepJob,
    readonly answer: string,
    results: ReadonlyMap<string, CellResult>,
  ) {
    const { layers, columns } = step;
    const cells = layers.map((layer) => results.get(layerCell(layer, job)) as SweepCellResult | undefined);
    const known = cells.find((cell) => cell !== undefined);
    const [base, source] = [numbers(known?.base[answer]), numbers(known?.source?.[answer])];
    const cleanBase = job.parts[0].plan.base === 'clean';
    this.n = base.length;
    [this.clean, this.corrupted] = (cleanBase ? [base, source] : [source, base]).map(meanOf);
    layers.forEach((layer, row) => {
      columns.labels.forEach((_, column) => {
        const byRow = numbers(cells[row]?.effects[answer][column]);
        const mean = meanOf(byRow);
        if (mean !== null) this.effects.push({ layer, column, mean: this.#scaled(mean, meanOf(base)), byRow });
      });
    });
  }

  /** A mean effect on the scale of the clean and corrupted means, where that is asked for. */
  #scaled(effect: number, base: number | null): number {
    const { normalize } = this.step.metric;
    const { clean, corrupted } = this;
    if (normalize === undefined || base === null || clean === null || corrupted === null) return effect;
    const of = (value: number) => normalized(value, clean, corrupted, normalize);
    return of(base + effect) - of(base);
  }

  get name(): string {
    return `${this.answer}${this.job.suffix}`;
  }

  get largest(): readonly Effect[] {
    return [...this.effects].sort((a, b) => Math.abs(b.mean) - Math.abs(a.mean)).slice(0, LISTED);
  }

  place({ layer, column }: Effect): string {
    const label = this.step.columns.labels[column];
    return this.step.columns.name.endsWith('head') ? `L${layer}.${label}` : `L${layer} at ${label}`;
  }

  picture(subtitle: string): MatrixPicture {
    const { layers, columns, metric } = this.step;
    const at = new Map(this.effects.map(({ layer, column, mean }) => [`${layer}.${column}`, mean]));
    const [top] = this.largest;
    const { unit } = metricWords(metric);
    return {
      type: 'matrix',
      id: this.name,
      title: top === undefined ? this.name : `${this.name}: most at ${this.place(top)}, ${signed(top.mean)} ${unit}`,
      subtitle: `${subtitle}; n = ${this.n}`,
      rows: { name: 'layer', labels: layers.map((layer) => `L${layer}`) },
      columns: { name: columns.name, labels: columns.labels },
      values: layers.map((layer) => columns.labels.map((_, column) => at.get(`${layer}.${column}`) ?? null)),
      unit,
      scale: 'diverging',
    };
  }
}

/** The largest effects with their spread over rows. Intervals are of what was measured, not normalised. */
function largestTable(grids: readonly AnswerGrid[], seed: number): TablePicture {
  const rows = grids.flatMap((grid) =>
    grid.largest.map((effect) => {
      const estimate = estimateOf(effect.byRow, seed);
      const [low, high] = estimate?.interval ?? [null, null];
      return [
        grid.name,
        grid.place(effect),
        estimate?.mean ?? null,
        estimate?.sd ?? null,
        low,
        high,
        effect.byRow.length,
      ];
    }),
  );
  const { unit } = metricWords({ ...grids[0].step.metric, normalize: undefined });
  const columns = ['answer', 'place', 'effect', 'sd', 'low', 'high', 'n'].map((name) =>
    ['effect', 'sd', 'low', 'high'].includes(name) ? { name, unit } : { name },
  );
  return {
    type: 'table',
    id: 'largest effects',
    title: 'Largest effects',
    subtitle: `mean over rows, standard deviation, 95 % bootstrap interval of the mean (seed ${seed})`,
    columns,
    rows,
  };
}

function valuesOf(grid: AnswerGrid): Record<string, number> {
  const { clean, corrupted, answer, name, step } = grid;
  const values: Record<string, number> = {};
  if (clean !== null) values[`${answer}.clean`] = clean;
  if (corrupted !== null) values[`${answer}.corrupted`] = corrupted;
  for (const { layer, column, mean } of grid.effects) values[`${name}.L${layer}.${step.columns.names[column]}`] = mean;
  return values;
}

/** Rows whose corrupted tokens are the clean ones, in words. */
function unchangedRows({ task }: StepContext, { corruption, rows }: SweepJob): string[] {
  if (corruption === null) return [];
  const same = rows.filter((row) => {
    const { ids, corrupted } = task.items[row];
    return corrupted[corruption].every((id, i) => id === ids[i]);
  });
  if (same.length === 0) return [];
  return [
    `The corruption ${corruption} leaves ${same.length} of ${rows.length} rows as they are: they count as no effect and weaken the mean.`,
  ];
}

/** Puts a sweep together: one layers × columns matrix for each answer, the largest effects in a table, every cell by name. */
export function sweepFigures(
  context: StepContext,
  step: SweepStep,
  results: ReadonlyMap<string, CellResult>,
  words: SweepWords,
): StepResult {
  const grids = step.jobs.flatMap((job) => job.answers.map((answer) => new AnswerGrid(step, job, answer, results)));
  const { label } = metricWords(step.metric);
  const subtitle = `change of the ${label}: ${words.intervention}`;
  const pictures: Picture[] = grids.map((grid) => grid.picture(subtitle));
  return {
    title: words.title,
    subtitle: `${subtitle}; n = ${Math.max(0, ...grids.map(({ n }) => n))}`,
    pictures: [...pictures, largestTable(grids, context.seed)],
    values: Object.assign({}, ...grids.map(valuesOf)),
    warnings: [...words.warnings, ...new Set(step.jobs.flatMap((job) => unchangedRows(context, job)))],
    ablation: words.intervention,
  };
}
