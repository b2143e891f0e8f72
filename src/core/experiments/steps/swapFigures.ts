import type { BarPicture } from '../../../shared/figures.ts';
import { metricWords } from '../../tasks/metrics.ts';
import type { CellResult, StepContext, StepResult } from '../stepKind.ts';
import { rowChunks } from './cellIds.ts';
import { estimateOf } from './estimate.ts';
import type { RolePair } from './rolePairs.ts';
import { type SwapCellResult, type SwapStep, swapCell } from './swapRuns.ts';

const present = (values: readonly (number | null)[]) => values.filter((value) => value !== null);

/** A bar for each condition, and the numbers by name. */
function barsOf(
  step: SwapStep,
  of: (condition: number) => readonly (number | null)[],
  seed: number,
  note: (condition: string, mean: number) => void,
): BarPicture['groups'][number]['bars'] {
  return step.conditions.flatMap(({ name }, condition) => {
    const estimate = estimateOf(present(of(condition)), seed);
    if (estimate === null) return [];
    note(name, estimate.mean);
    return [{ label: name, ...estimate }];
  });
}

function pairFigures(
  context: StepContext,
  step: SwapStep,
  pair: RolePair,
  results: ReadonlyMap<string, CellResult>,
  values: Record<string, number>,
): BarPicture[] {
  const { task, seed } = context;
  const { heads, answers, to, conditions } = step;
  const cells = rowChunks(task.items.length).flatMap((chunk) => {
    const cell = results.get(swapCell(pair, chunk));
    return cell === undefined ? [] : [cell as unknown as SwapCellResult];
  });
  const note = (name: string) => (condition: string, mean: number) => {
    values[`${pair.name}.${name}.${condition}`] = mean;
  };
  const names = conditions.map(({ name }) => name).join(', ');
  const count = (bars: readonly { readonly n: number }[]) => Math.max(0, ...bars.map(({ n }) => n));
  const pictures = heads.flatMap((head, h) =>
    answers.map((answer, a): BarPicture => {
      const groups = to.map((role, r) => ({
        label: role,
        bars: barsOf(
          step,
          (c) => cells.flatMap((cell) => cell.attention[c][h][a][r]),
          seed,
          note(`${head.name}.${answer}.${role}`),
        ),
      }));
      return {
        ...{ type: 'bars', id: `${pair.name} ${head.name} ${answer}`, groups, unit: 'attention', spread: 'sd' },
        title: `${head.name} from ${answer}, ${pair.roles.join(' ↔ ')}`,
        subtitle: `mean attention and standard deviation over rows: ${names}; n = ${count(groups.flatMap(({ bars }) => bars))}`,
      };
    }),
  );
  const groups = answers.map((answer, a) => ({
    label: answer,
    bars: barsOf(step, (c) => cells.flatMap((cell) => cell.metric[c][a]), seed, note(answer)),
  }));
  const { label, unit } = metricWords({ ...step.metric, normalize: undefined });
  return [
    ...pictures,
    {
      ...{ type: 'bars', id: `${pair.name} metric`, groups, unit, spread: 'interval' },
      title: `${label}, ${pair.roles.join(' ↔ ')}`,
      subtitle: `mean and 95 % bootstrap interval: ${names}; n = ${count(groups.flatMap(({ bars }) => bars))}`,
    },
  ];
}

/** Puts a swap together: attention of each head and the metric, one bar for each condition. */
export function swapFigures(
  context: StepContext,
  step: SwapStep,
  results: ReadonlyMap<string, CellResult>,
  words: { readonly title: string; readonly intervention: string; readonly warnings: readonly string[] },
): StepResult {
  const values: Record<string, number> = {};
  const pictures = step.pairs.flatMap((pair) => pairFigures(context, step, pair, results, values));
  return {
    title: words.title,
    subtitle: `${words.intervention}; ${context.task.items.length} rows`,
    ...{ pictures, values, warnings: words.warnings, ablation: words.intervention },
  };
}
