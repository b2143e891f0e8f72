import { createReadStream } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { AnalysisEngine } from '../core/analyses/analysisEngine.ts';
import { readDataset } from '../core/tasks/dataset.ts';
import { loadTaskSet } from '../core/tasks/loadTaskSet.ts';
import { foilList } from '../core/tasks/tokenRefs.ts';
import { describeDatasetProblem } from '../shared/dataset.ts';
import { isCancelled, MechanistError } from '../shared/errors.ts';
import type { GridPrompt } from '../shared/gridDocument.ts';
import type { Surroundings } from './commands.ts';
import type { SweepCommand, SweepPrompts } from './parseSweep.ts';

/** The rows of a data set as prompts. @throws MechanistError `bad-input` at the first row that is wrong, with its place */
export async function readPrompts(
  prompts: SweepPrompts,
  { cwd, signal }: Surroundings,
): Promise<readonly GridPrompt[]> {
  if (prompts.kind === 'given') return prompts.prompts;
  const file = resolve(cwd, prompts.file);
  const found: GridPrompt[] = [];
  try {
    for await (const entry of readDataset(createReadStream(file, 'utf8'), { signal })) {
      const error = entry.problems.find(({ severity }) => severity === 'error');
      if (error !== undefined)
        throw new MechanistError('bad-input', `${prompts.file}:${describeDatasetProblem(error)}`);
      if (entry.row === null) continue;
      const { id, clean, corrupted, answers, tags } = entry.row;
      const place = `${prompts.file}:${entry.line + 1}: the row "${id}"`;
      const refuse = (why: string) => {
        throw new MechanistError('bad-input', `${place}: ${why}`);
      };
      const [first, ...rest] = answers.map((answer) => ({
        answer: answer.token,
        foils: foilList(answer, entry.header, refuse),
        also: answer.also,
        position: answer.pos,
      }));
      if (first === undefined) {
        throw new MechanistError('bad-input', `${place} has no answer.`);
      }
      found.push({ id, clean, ...(corrupted !== undefined && { corrupted }), ...first, more: rest, tags });
    }
  } catch (error) {
    if (error instanceof MechanistError || isCancelled(error)) throw error;
    throw new MechanistError('bad-input', `${prompts.file} cannot be read: ${(error as Error).message}`);
  }
  return found;
}

/**
 * The prompts with their rows' corruption of a name as the corrupted prompts. A corruption is of tokens; a prompt is a text, so
 * that the text must give these tokens again.
 * @throws MechanistError `bad-input`: no such corruption, or a text that gives other tokens
 */
export async function withCorruption(
  prompts: readonly GridPrompt[],
  { prompts: from, question }: Pick<SweepCommand, 'prompts' | 'question'>,
  { model }: Pick<AnalysisEngine, 'model'>,
  { cwd, signal }: Pick<Surroundings, 'cwd' | 'signal'>,
): Promise<readonly GridPrompt[]> {
  if (from.kind === 'given' || from.corruption === null) return prompts;
  const { file, corruption } = from;
  const refuse = (why: string): never => {
    throw new MechanistError('bad-input', `${file}${why}`);
  };
  const { tokenizer, config } = model;
  const lines = createReadStream(resolve(cwd, file), 'utf8');
  const { seed } = question;
  const options = { corruptions: [corruption], signal, ...(seed !== undefined && { seed }) };
  const { items, problems, corruptions } = await loadTaskSet(
    { name: basename(file), lines },
    tokenizer,
    config.nCtx,
    options,
  ).finally(() => lines.destroy());
  const error = problems.find(({ severity }) => severity === 'error');
  if (error !== undefined) refuse(`:${describeDatasetProblem(error)}`);
  if (items.length !== prompts.length)
    refuse(`: ${prompts.length - items.length} rows are refused; run "mechanist dataset check" for their places.`);
  const [name, ...others] = corruptions;
  if (others.length > 0)
    refuse(`: ${corruption} is a corruption for each answer; a sweep has one. Name one of ${corruptions.join(', ')}.`);
  return prompts.map((prompt, i) => {
    const ids = items[i].corrupted[name];
    const corrupted = tokenizer.decode(tokenizer.addsBos ? ids.slice(1) : ids);
    const again = tokenizer.encode(corrupted).map(({ id }) => id);
    if (again.join() === ids.join()) return { ...prompt, corrupted };
    return refuse(
      `: the row "${items[i].id}" corrupted by ${name} is "${corrupted}", which has other tokens when it is read as text. Patch it in an experiment (patch-residual, patch-heads).`,
    );
  });
}
