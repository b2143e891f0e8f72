import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { writeFileAtomically } from '../core/models/writeFileAtomically.ts';
import { checkDataset } from '../core/tasks/checkDataset.ts';
import { datasetLine, ProblemList } from '../core/tasks/dataset.ts';
import { headerLine } from '../core/tasks/datasetHeader.ts';
import { reporter } from '../core/tasks/datasetReport.ts';
import { formatOfFile, importDataset } from '../core/tasks/importDataset.ts';
import { acronymWordsOf, makeAcronyms } from '../core/tasks/make/acronyms.ts';
import type { MadeDataset } from '../core/tasks/make/drawRows.ts';
import { makeGreaterThan } from '../core/tasks/make/greaterThan.ts';
import { makeIoi } from '../core/tasks/make/ioi.ts';
import { makePairs } from '../core/tasks/make/pairs.ts';
import { readPairsFile } from '../core/tasks/make/pairsFile.ts';
import { type DatasetEntry, type DatasetProblem, describeDatasetProblem } from '../shared/dataset.ts';
import { isCancelled, MechanistError } from '../shared/errors.ts';
import { count } from '../shared/format.ts';
import { type Output, print, pullIfMissing, type Surroundings } from './commands.ts';
import type { DatasetCommand } from './parseDataset.ts';

type Action<A extends DatasetCommand['action']> = Extract<DatasetCommand, { readonly action: A }> & Output;

const rowsOf = (n: number) => `${count(n)} ${n === 1 ? 'row' : 'rows'}`;

function unreadable(file: string, error: unknown): never {
  if (error instanceof MechanistError || isCancelled(error)) throw error;
  throw new MechanistError('bad-input', `${file} cannot be read: ${(error as Error).message}`);
}

function tell({ terminal }: Surroundings, file: string, problem: DatasetProblem): void {
  const { severity } = problem;
  terminal.err(`${file}:${describeDatasetProblem({ ...problem, message: `${severity}: ${problem.message}` })}\n`);
}

async function readText(file: string, { cwd }: Surroundings): Promise<string> {
  return await readFile(resolve(cwd, file), 'utf8').catch((error) => unreadable(file, error));
}

async function tokenizerOf(model: string, surroundings: Surroundings) {
  await pullIfMissing(model, surroundings);
  return await surroundings.store.tokenizer(model);
}

async function make(command: Action<'make'>, surroundings: Surroundings): Promise<number> {
  const { tokenizer } = await tokenizerOf(command.model, surroundings);
  const { task, rows, seed, letters, collisions, before } = command;
  const words = command.words === null ? {} : { words: acronymWordsOf(await readText(command.words, surroundings)) };
  const source = command.from === null ? '' : await readText(command.from, surroundings);
  const makers: Readonly<Record<typeof task, () => MadeDataset>> = {
    acronyms: () => makeAcronyms(tokenizer, { rows, seed, letters, collisions, before, ...words }),
    ioi: () => makeIoi(tokenizer, { rows, seed }),
    'greater-than': () => makeGreaterThan(tokenizer, { rows, seed }),
    pairs: () => makePairs(tokenizer, readPairsFile(source), { rows, seed }),
  };
  const made = makers[task]();
  const text = headerLine({ ...made.header, model: command.model }) + made.rows.map(datasetLine).join('');
  await writeFileAtomically(resolve(surroundings.cwd, command.out), text);
  const reasons = Object.entries(made.refused).map(([reason, times]) => `  ${count(times)}: ${reason}\n`);
  const short = made.rows.length < rows ? ` (${count(rows)} were asked for; there are no more)` : '';
  const refused = reasons.length === 0 ? '' : `Draws that were refused:\n${reasons.join('')}`;
  const report = { file: command.out, rows: made.rows.length, refused: made.refused };
  print(surroundings, command, report, `${rowsOf(made.rows.length)} in ${command.out}${short}.\n${refused}`);
  return 0;
}

/** A warning on the header's line when the file was made for another model than the one it is held against. */
function otherModel({ header, line, text }: DatasetEntry, model: string): DatasetProblem[] {
  if (header?.line !== line || header.model === undefined || header.model === model) return [];
  const problems: DatasetProblem[] = [];
  const message = `This file was made for ${header.model}; it is checked for ${model}. Tokens may be others.`;
  reporter(text, line, problems)(['dataset', 'model'], 'other-model', message, 'warning');
  return problems;
}

async function check(command: Action<'check'>, surroundings: Surroundings): Promise<number> {
  const { tokenizer, nCtx } = await tokenizerOf(command.model, surroundings);
  const { file } = command;
  const counts = { rows: 0, refused: 0, warnings: 0 };
  const list = new ProblemList();
  try {
    const chunks = createReadStream(resolve(surroundings.cwd, file), 'utf8');
    for await (const { entry, item, problems } of checkDataset(chunks, tokenizer, nCtx, surroundings)) {
      list.push(...problems, ...otherModel(entry, command.model));
      counts.warnings += problems.filter(({ severity }) => severity === 'warning').length;
      if (item !== null) counts.rows++;
      else if (problems.some(({ severity }) => severity === 'error')) counts.refused++;
    }
  } catch (error) {
    unreadable(file, error);
  }
  for (const problem of list.list()) tell(surroundings, file, problem);
  const empty = counts.rows === 0;
  if (empty && counts.refused === 0) surroundings.terminal.err(`${file}: error: There is no row in this file.\n`);
  const text = `${rowsOf(counts.rows)} can be run on ${command.model}, ${count(counts.refused)} refused.\n`;
  print(surroundings, command, { file, model: command.model, ...counts }, text);
  return empty || counts.refused > 0 ? 1 : 0;
}

async function importFile(command: Action<'import'>, surroundings: Surroundings): Promise<number> {
  const { file, model } = command;
  const tokenizer = model === null ? null : (await tokenizerOf(model, surroundings)).tokenizer;
  const source = await readText(file, surroundings);
  const format = command.format ?? formatOfFile(file);
  const { rows, problems, header } = importDataset(source, format, tokenizer);
  for (const problem of problems) tell(surroundings, file, problem);
  if (rows.length === 0) throw new MechanistError('bad-input', `${file} has no row that can be imported as ${format}.`);
  const given = { name: basename(file), ...(model !== null && { model }), sets: {}, roles: {}, corruptions: {} };
  const first = headerLine({ ...given, ...header, made: { by: 'import', from: basename(file), format } });
  await writeFileAtomically(resolve(surroundings.cwd, command.out), first + rows.map(datasetLine).join(''));
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  const report = { file: command.out, format, rows: rows.length, problems: problems.length };
  print(surroundings, command, report, `${rowsOf(rows.length)} in ${command.out}.\n`);
  return errors > 0 ? 1 : 0;
}

/** `mechanist dataset …`. @returns the exit code: 1 when a row was refused. */
export async function runDataset(command: DatasetCommand & Output, surroundings: Surroundings): Promise<number> {
  switch (command.action) {
    case 'make':
      return await make(command, surroundings);
    case 'check':
      return await check(command, surroundings);
    case 'import':
      return await importFile(command, surroundings);
  }
}
