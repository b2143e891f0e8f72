import { createHash } from 'node:crypto';
import { describeDatasetProblem } from '../../shared/dataset.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { TaskItem, TaskSet } from '../../shared/taskSet.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import { corruptTask } from './taskCorruptions.ts';
import { readTaskRows, type TaskRows, type TaskSetOptions, type TaskSource, withOthersAsFoils } from './taskRows.ts';

/** Names in the order of their mean first position. */
function inOrderOfPosition(items: readonly TaskItem[]): readonly string[] {
  const places = new Map<string, { sum: number; n: number }>();
  for (const { roles } of items) {
    for (const [name, at] of Object.entries(roles)) {
      const { sum, n } = places.get(name) ?? { sum: 0, n: 0 };
      places.set(name, { sum: sum + Math.min(...at), n: n + 1 });
    }
  }
  return [...places].sort(([, a], [, b]) => a.sum / a.n - b.sum / b.n).map(([name]) => name);
}

function hashOf(items: readonly TaskItem[]): string {
  const hash = createHash('sha256');
  for (const { ids, roles, answers, corrupted } of items) {
    const targets = answers.map(({ name, position, answer, foils, also }) => [name, position, answer, foils, also]);
    hash.update(`${JSON.stringify([ids, Object.entries(roles), targets, Object.entries(corrupted)])}\n`);
  }
  return hash.digest('hex');
}

function refuseEmpty(source: TaskSource, { problems, refused }: TaskRows): never {
  const list = problems.list();
  const first = list.find(({ severity }) => severity === 'error');
  const why =
    first === undefined
      ? 'It is empty: a row is one JSON object on one line, {"clean": "…", "answers": […]}.'
      : `All ${refused} rows are refused; the first reason: ${describeDatasetProblem(first)}`;
  throw new MechanistError('bad-input', `${source.name} has no row that can be run. ${why}`, {
    refused,
    problems: list,
  });
}

/**
 * Reads a dataset in the tokens of a model, with its corruptions. A row that is wrong is refused with a problem at the word;
 * every item has all of `answerNames`, in that order, and ids for all of `corruptions`; a role may be missing in some items.
 * The file is streamed; the rows that are kept are in memory. No forward passes.
 * @param nCtx the model's context, in tokens
 * @throws MechanistError `bad-input` when no row is left (with the `problems` in its data) or a wanted corruption is in none, `cancelled`
 */
export async function loadTaskSet(
  source: TaskSource,
  tokenizer: Tokenizer,
  nCtx: number,
  options: TaskSetOptions,
): Promise<TaskSet> {
  const task = await readTaskRows(source, tokenizer, nCtx, options);
  withOthersAsFoils(task);
  if (task.rows.length === 0) refuseEmpty(source, task);
  const answerNames = task.rows[0].item.answers.map(({ name }) => name);
  const seed = options.seed ?? task.header?.seed ?? 0;
  const corrupted = corruptTask(task, seed, tokenizer, options);
  if (task.rows.length === 0) refuseEmpty(source, task);
  const items = task.rows.map(
    ({ row, item }, index): TaskItem => ({
      id: item.id,
      text: row.clean,
      ids: item.clean.map(({ id }) => id),
      tokens: item.clean.map(({ text }) => text),
      roles: item.roles,
      answers: answerNames.flatMap((name) => item.answers.filter((answer) => answer.name === name)),
      tags: item.tags,
      corrupted: Object.fromEntries(corrupted.map(({ name, ids }) => [name, ids[index]])),
    }),
  );
  return {
    name: task.header?.name ?? source.name,
    items,
    roles: inOrderOfPosition(items),
    answerNames,
    corruptions: corrupted.map(({ name }) => name),
    seed,
    hash: hashOf(items),
    refused: task.refused,
    problems: task.problems.list(),
  };
}
