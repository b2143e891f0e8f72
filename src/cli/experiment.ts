import { resolve } from 'node:path';
import { sweepMemory } from '../core/analyses/sweepMemory.ts';
import { importCells } from '../core/experiments/cellStore.ts';
import { readExperiment, runOpenExperiment } from '../core/session/experiment.ts';
import { readObservablesFile } from '../core/session/observablesFile.ts';
import { MechanistError } from '../shared/errors.ts';
import { type ExperimentOutcome, isFailure } from '../shared/experimentRun.ts';
import { count } from '../shared/format.ts';
import { type Output, print, pullIfMissing, type Surroundings, withModel } from './commands.ts';
import { experimentText } from './experimentOutput.ts';
import type { RunCommand } from './parseRun.ts';
import { ProgressLine } from './terminal.ts';
import { UsageError } from './usage.ts';

/** 1 when a number is not as expected, a step failed, or cells are missing that were asked for. */
function exitCode({ steps }: ExperimentOutcome, { share }: RunCommand): number {
  const good = steps.every(({ state, checks }) => {
    if (checks.some(isFailure) || state === 'failed') return false;
    return state === 'complete' || share !== null;
  });
  return good ? 0 : 1;
}

/** `mechanist run` and `mechanist merge`. @returns the exit code. */
export async function runExperimentFile(command: RunCommand & Output, surroundings: Surroundings): Promise<number> {
  const { terminal, signal, cwd, availableBytes } = surroundings;
  const { model, out, share, fresh, parts, threads } = command;
  const open = await readExperiment({
    path: resolve(cwd, command.file),
    ...(model !== null && { model }),
    ...(out !== null && { results: resolve(cwd, out) }),
    ...(command.observables !== null && { observables: await readObservablesFile(resolve(cwd, command.observables)) }),
  });
  const names = open.file.steps.map(({ name }) => name);
  const unknown = command.steps.find((step) => !names.includes(step));
  if (unknown !== undefined) throw new UsageError(`there is no step "${unknown}"; steps: ${names.join(', ')}`);
  if (parts !== null) {
    const folders = parts.map((part) => resolve(cwd, part));
    terminal.err(`${count(await importCells(open.results, names, folders))} cells are new.\n`);
  }
  await pullIfMissing(open.modelRef, surroundings);
  const line = new ProgressLine(terminal);
  const outcome = await withModel(open.modelRef, threads, surroundings, async (engine) => {
    const options = {
      ...(command.steps.length > 0 && { steps: command.steps }),
      ...(share !== null && { share }),
      ...{ fresh, mergeOnly: parts !== null, memoryBytes: sweepMemory(availableBytes()) },
      ...{ onStepProgress: line.followStep },
    };
    try {
      return await runOpenExperiment(engine, open, options, { signal });
    } catch (error) {
      if (error instanceof MechanistError && error.code === 'cancelled') {
        line.clear();
        terminal.err('mechanist: stopped; what is done is kept, and the same command goes on.\n');
      }
      throw error;
    } finally {
      line.clear();
    }
  });
  for (const warning of new Set(outcome.steps.flatMap(({ warnings }) => warnings)))
    terminal.err(`warning: ${warning}\n`);
  print(surroundings, command, outcome, experimentText(outcome));
  return exitCode(outcome, command);
}
