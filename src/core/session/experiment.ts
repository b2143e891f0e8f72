import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { isCancelled, MechanistError } from '../../shared/errors.ts';
import { type ExperimentOutcome, resultsFolder } from '../../shared/experimentRun.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import type { AnalysisEngine } from '../analyses/analysisEngine.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import type { ExperimentOptions } from '../experiments/runExperiment.ts';
import { stepKinds } from '../experiments/stepKinds.ts';
import { describeExperimentProblem, ExperimentParser } from '../tasks/experiment/experimentFile.ts';
import type { ExperimentData, ExperimentFile } from '../tasks/experiment/experimentTypes.ts';
import { withSharedObservables } from '../tasks/experiment/observableRefs.ts';
import { loadTaskSet } from '../tasks/loadTaskSet.ts';
import { resolveModelName } from '../tasks/modelName.ts';
import type { NamedSpecs } from '../tasks/namedObservables.ts';

/** What an experiment is run with; the rest stands in its file. */
export interface ExperimentRequest {
  /** Absolute. */
  readonly path: string;
  /** The file as it is in an editor; absent: as it is on disk. */
  readonly text?: string;
  /** Instead of the model that the file names. */
  readonly model?: string;
  /** Absolute; absent: beside the file. */
  readonly results?: string;
  /** Observables of the settings, by name; those of the file go before them. */
  readonly observables?: NamedSpecs;
}

/** An experiment whose file has been read and is in order. */
export interface OpenExperiment extends Pick<ExperimentOptions, 'file' | 'path' | 'folder' | 'results' | 'model'> {
  readonly data: ExperimentData;
  /** What a model store is asked for. */
  readonly modelRef: string;
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MechanistError('bad-input', `The experiment file cannot be read: ${reason}`);
  });
}

function refuse(path: string, text: string, { problems }: ExperimentFile): void {
  const errors = problems.filter(({ severity }) => severity === 'error');
  const [first] = errors;
  if (first === undefined) return;
  const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
  throw new MechanistError('bad-input', `${basename(path)}:${describeExperimentProblem(text, first)}${more}`);
}

/** @throws MechanistError `bad-input` with file, line and column of the first mistake */
export async function readExperiment(request: ExperimentRequest): Promise<OpenExperiment> {
  const { path } = request;
  const text = request.text ?? (await readText(path));
  const parsed = new ExperimentParser(stepKinds).parse(text);
  refuse(path, text, parsed);
  const file = withSharedObservables(parsed, request.observables ?? {});
  const model = request.model ?? file.model?.value;
  if (model === undefined || file.data === undefined) {
    throw new MechanistError('internal', 'An experiment without model or data passed its parser.');
  }
  const folder = dirname(path);
  const modelRef = request.model ?? resolveModelName(model, folder);
  return {
    file,
    path,
    folder,
    results: request.results ?? resultsFolder(path),
    model,
    modelRef,
    data: file.data.value,
  };
}

/** @throws MechanistError `bad-input` for a file that cannot be read, and as `loadTaskSet` */
async function loadTask(
  { data, folder, file }: OpenExperiment,
  { model }: AnalysisEngine,
  signal: AbortSignal | undefined,
): Promise<TaskSet> {
  const lines = createReadStream(resolve(folder, data.file), 'utf8');
  const source = { name: basename(data.file), lines };
  const { rows } = data;
  try {
    return await loadTaskSet(source, model.tokenizer, model.config.nCtx, { rows, seed: file.seed, signal });
  } catch (error) {
    if (error instanceof MechanistError || isCancelled(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new MechanistError('bad-input', `The data cannot be read: ${reason}`);
  } finally {
    lines.destroy();
  }
}

/**
 * Runs an experiment on an open model: its data is read in the model's tokens, then its steps in their order.
 * @throws MechanistError as `loadTaskSet` and `runExperiment`
 */
export async function runOpenExperiment(
  engine: AnalysisEngine,
  open: OpenExperiment,
  options: Omit<ExperimentOptions, 'kinds' | keyof OpenExperiment> & { readonly memoryBytes: number },
  context: ClimbContext,
): Promise<ExperimentOutcome> {
  const { memoryBytes, ...rest } = options;
  const task = await loadTask(open, engine, context.signal);
  return await engine.experiment({ ...open, ...rest, kinds: stepKinds }, { task, memoryBytes }, context);
}
