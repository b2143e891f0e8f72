import { MechanistError } from '../../shared/errors.ts';
import type { BarPicture, Estimate } from '../../shared/figures.ts';
import { signedFixed } from '../../shared/format.ts';
import type { MetricSpec } from '../../shared/metric.ts';
import { summarize } from '../../shared/statistics.ts';
import type { TaskItem } from '../../shared/taskSet.ts';
import { type LogitsRow, metricOfItem, metricWords } from '../tasks/metrics.ts';
import type { CellResult, StepCell, StepContext, StepKind, StepResult } from './stepKind.ts';

interface BaselineParams {
  readonly corruptions?: readonly string[];
  readonly metric: MetricSpec;
}

/** Prompts of one cell. */
const CHUNK = 16;
const CLEAN = 'clean';
/** All answers together. */
const ALL = 'all';

function runsOf({ task }: StepContext, { corruptions = task.corruptions }: BaselineParams): readonly string[] {
  const unknown = corruptions.find((name) => !task.corruptions.includes(name));
  if (unknown === undefined) return [CLEAN, ...corruptions];
  const known = task.corruptions.length === 0 ? 'The data has none.' : `The data has ${task.corruptions.join(', ')}.`;
  throw new MechanistError('bad-input', `There is no corruption "${unknown}". ${known}`);
}

function idsOf(item: TaskItem, run: string): readonly number[] {
  const ids = run === CLEAN ? item.ids : item.corrupted[run];
  if (ids !== undefined) return ids;
  throw new MechanistError('bad-input', `The row ${item.id} has no corruption "${run}".`);
}

/** Rows of a cell by their number of tokens, as indices into the data. */
function batchesOf({ task }: StepContext, chunk: number): readonly (readonly number[])[] {
  const byLength = new Map<number, number[]>();
  for (let i = chunk * CHUNK; i < Math.min(task.items.length, (chunk + 1) * CHUNK); i++) {
    const { length } = task.items[i].ids;
    byLength.set(length, [...(byLength.get(length) ?? []), i]);
  }
  return [...byLength.values()];
}

/** True when the answer's logit beats every foil's; every other entry's where there are no foils. */
function beatsFoils(row: LogitsRow, answer: number, foils: readonly number[]): boolean {
  if (foils.length > 0) return foils.every((foil) => row[answer] > row[foil]);
  for (let id = 0; id < row.length; id++) if (id !== answer && row[id] >= row[answer]) return false;
  return true;
}

interface Scored {
  /** `[row of the cell][answer]` */
  readonly values: readonly (readonly number[])[];
  readonly correct: readonly (readonly boolean[])[];
}

async function runCell(context: StepContext, { metric }: BaselineParams, cell: StepCell): Promise<CellResult> {
  const { task, runner, signal } = context;
  const cut = cell.id.lastIndexOf('/');
  const [run, chunk] = [cell.id.slice(0, cut), Number(cell.id.slice(cut + 1))];
  const values: number[][] = [];
  const correct: boolean[][] = [];
  let forwardPasses = 0;
  for (const indices of batchesOf(context, chunk)) {
    const items = indices.map((i) => task.items[i]);
    const positions = [...new Set(items.flatMap(({ answers }) => answers.map(({ position }) => position)))];
    const logitsOf = async (name: string) => {
      forwardPasses += items.length;
      return await runner.logits(
        items.map((item) => idsOf(item, name)),
        { positions, signal },
      );
    };
    const logits = await logitsOf(run);
    const reference = metric.kind === 'kl' && run !== CLEAN ? await logitsOf(CLEAN) : logits;
    const width = logits.dims[2];
    const rowOf = (all: typeof logits, item: number) => (position: number) => {
      const at = (item * positions.length + positions.indexOf(position)) * width;
      return all.data.subarray(at, at + width) as LogitsRow;
    };
    items.forEach(({ answers }, i) => {
      const at = indices[i] - chunk * CHUNK;
      values[at] = [...metricOfItem(metric, rowOf(logits, i), answers, rowOf(reference, i)).byAnswer];
      correct[at] = answers.map(({ position, answer, foils }) => beatsFoils(rowOf(logits, i)(position), answer, foils));
    });
  }
  return { values, correct, forwardPasses };
}

/** Everything that is known of one run: scores and hits by answer of the data. */
function gather({ task }: StepContext, run: string, results: ReadonlyMap<string, CellResult>) {
  const values = task.answerNames.map((): number[] => []);
  const correct = task.answerNames.map((): number[] => []);
  for (let chunk = 0; chunk * CHUNK < task.items.length; chunk++) {
    const scored = results.get(`${run}/${chunk}`) as unknown as Scored | undefined;
    scored?.values.forEach((row, i) => {
      task.items[chunk * CHUNK + i].answers.forEach(({ name }, a) => {
        const at = task.answerNames.indexOf(name);
        values[at]?.push(row[a]);
        correct[at]?.push(scored.correct[i][a] ? 1 : 0);
      });
    });
  }
  return { values, correct };
}

function estimate(values: readonly number[], seed: number): Estimate | null {
  if (values.length === 0) return null;
  const { mean, n, sd, interval } = summarize(values, { seed });
  return { mean, n, sd, interval: interval && [interval.low, interval.high] };
}

/** Bars of each run by answer, and the same numbers under their names. */
function barsOf(context: StepContext, runs: readonly string[], results: ReadonlyMap<string, CellResult>) {
  const { task, seed } = context;
  const named: Record<string, number> = {};
  const groups = (what: 'values' | 'correct') =>
    runs.map((run) => {
      const samples = gather(context, run, results)[what];
      const all = [
        ...task.answerNames.map((name, i) => ({ name, own: samples[i] })),
        { name: ALL, own: samples.flat() },
      ];
      const bars = all.flatMap(({ name, own }) => {
        const found = estimate(own, seed);
        if (found === null) return [];
        named[`${what === 'values' ? run : `accuracy.${run}`}.${name}`] = found.mean;
        return name === ALL && samples.length === 1 ? [] : [{ label: name, ...found }];
      });
      return { label: run, bars };
    });
  return { scores: groups('values'), accuracy: groups('correct'), named };
}

function assemble(context: StepContext, params: BaselineParams, results: ReadonlyMap<string, CellResult>): StepResult {
  const { task } = context;
  const runs = runsOf(context, params);
  const { scores, accuracy, named } = barsOf(context, runs, results);
  const { normalize, ...metric } = params.metric;
  const { label, unit } = metricWords(metric);
  const name = label[0].toUpperCase() + label.slice(1);
  const about = `${name} at the answers of ${task.name} · n = ${task.items.length} · no ablation`;
  const picture = (id: string, title: string, groups: BarPicture['groups'], of: string): BarPicture => ({
    ...{ type: 'bars', id, title, groups, unit: of, spread: 'interval' },
    subtitle: 'Groups: the clean run and each corruption. Bars: answers, and all of them; 95 % bootstrap interval.',
  });
  const clean = named[`${CLEAN}.${ALL}`];
  return {
    title: clean === undefined ? 'The task by the whole model' : `The whole model scores ${signedFixed(clean)} ${unit}`,
    subtitle: about,
    pictures: [
      picture('score', `${name}, clean and corrupted`, scores, unit),
      picture('accuracy', 'Share of answers that beat every foil', accuracy, 'share'),
    ],
    values: named,
    warnings: normalize === undefined ? [] : ['The baseline is not normalised: it is the scale itself.'],
    ablation: 'none',
  };
}

/** How the whole model does the task: metric and accuracy of the clean run and each corruption. One forward pass each. */
export const baseline: StepKind<BaselineParams> = {
  name: 'baseline',
  params: {
    type: 'object',
    description:
      'How the whole model does the task: metric and accuracy at each answer, on the clean prompts and on each corruption. One forward pass of the data for each.',
    properties: {
      metric: { type: 'object', description: 'How an answer is scored; default: the metric of the experiment.' },
      corruptions: {
        type: 'array',
        items: { type: 'string' },
        description: 'Corruptions of the data that are run as well; default: all.',
      },
    },
    additionalProperties: false,
  },
  cells: (context, params) => {
    const { length } = context.task.items;
    const chunks = Array.from({ length: Math.ceil(length / CHUNK) }, (_, i) => i);
    return runsOf(context, params).flatMap((run) =>
      chunks.map((i) => ({ id: `${run}/${i}`, passes: Math.min(CHUNK, length - i * CHUNK) / length })),
    );
  },
  run: runCell,
  assemble,
};
