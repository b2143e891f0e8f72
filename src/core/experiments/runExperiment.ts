import { basename, relative, resolve, sep } from 'node:path';
import type { CircuitFile } from '../../shared/circuit.ts';
import { describeDatasetProblem } from '../../shared/dataset.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { CellShare, ExperimentOutcome, StepOutcome, StepProgress } from '../../shared/experimentRun.ts';
import type { OnProgress } from '../../shared/progress.ts';
import type { TaskSet } from '../../shared/taskSet.ts';
import { progressSteps } from '../analyses/progressSteps.ts';
import { observablesOf, sharedWarnings } from '../tasks/experiment/experimentRequest.ts';
import type { ExperimentFile, ExperimentStep } from '../tasks/experiment/experimentTypes.ts';
import { partsFolder, readCells, removeCells } from './cellStore.ts';
import { readCheckpoints, removeCheckpoint } from './checkpointStore.ts';
import { CircuitsOfStep, type FoundCircuit, WaitingError } from './circuitsOfStep.ts';
import { runCells } from './runStep.ts';
import { FileHashes, noSources, SourcesOfStep, type StepSources } from './sourcesOfStep.ts';
import { assembleStep, type StepCells, type StepDocuments, writeStep } from './stepDocument.ts';
import type { StepCell, StepContext, StepKind } from './stepKind.ts';
import { planStep, type StepPlan, shareOf, weightOf } from './stepPlan.ts';

export interface ExperimentOptions {
  /** Without problems that are errors. */
  readonly file: ExperimentFile;
  /** Absolute path of the experiment file. */
  readonly path: string;
  /** Absolute folder of the experiment: circuits lie relative to it. */
  readonly folder: string;
  /** Absolute folder of the results. */
  readonly results: string;
  /** As results name it. */
  readonly model: string;
  readonly kinds: readonly StepKind[];
  /** Names of the steps to run; absent: all. */
  readonly steps?: readonly string[];
  /** Only a share of every step's cells. */
  readonly share?: CellShare;
  /** Forget the cells that are there. */
  readonly fresh?: boolean;
  /** Run nothing: put together what is there. */
  readonly mergeOnly?: boolean;
  readonly onStepProgress?: (progress: StepProgress) => void;
  readonly onStep?: (outcome: StepOutcome) => void;
}

/** What ends the whole experiment; anything else a person can put right ends its step only. */
const endsAll = new Set(['cancelled', 'disk-full', 'engine-stopped', 'internal']);

/** What to say of rows that were left out. */
function refusedRows({ refused, items, problems }: TaskSet): readonly string[] {
  if (refused === 0) return [];
  const first = problems.find(({ severity }) => severity === 'error');
  const why = first === undefined ? '' : ` The first: line ${describeDatasetProblem(first)}`;
  return [`${refused} of ${items.length + refused} rows are left out.${why}`];
}

/** Length of the bar of a step, beside the passes of its cells: putting it together and writing it. */
const WRITING = 0.01;

/** The steps of one experiment, in their order. */
class ExperimentRun {
  readonly #found = new Map<string, FoundCircuit>();
  readonly #hashes = new FileHashes();

  constructor(
    private readonly context: StepContext,
    private readonly options: ExperimentOptions,
  ) {}

  async plan(step: ExperimentStep): Promise<{ plan: StepPlan; warnings: readonly string[] }> {
    const { file, folder, kinds } = this.options;
    const kind = kinds.find(({ name }) => name === step.run);
    if (kind === undefined) throw new MechanistError('bad-input', `There is no analysis "${step.run}".`);
    const earlier = file.steps.slice(0, file.steps.indexOf(step)).map(({ name }) => name);
    const { config, info } = this.context.model;
    const model = { ...config, label: info.label, hash: info.hash };
    const circuits = await CircuitsOfStep.read(step, folder, earlier, model, (name) => this.circuitOf(name));
    const sources = await SourcesOfStep.read(step.params, kind.files?.(step.params) ?? [], {
      ...{ named: observablesOf(file), tokenizer: this.context.model.tokenizer },
      ...{ folder, hashes: this.#hashes },
    });
    const { observable, file: fileOf } = sources;
    const context = { ...this.context, circuit: circuits.get, observable, file: fileOf };
    const plan = planStep(step, kind, context, circuits.available, sources.key);
    return { plan, warnings: [...refusedRows(context.task), ...circuits.warnings, ...sharedWarnings(file, step)] };
  }

  /** The circuit that a step found, from its finished cells. */
  async circuitOf(name: string): Promise<FoundCircuit> {
    const known = this.#found.get(name);
    if (known !== undefined) return known;
    const found = await this.#circuitFromCells(name);
    this.#found.set(name, found);
    return found;
  }

  async #circuitFromCells(name: string): Promise<FoundCircuit> {
    const step = this.options.file.steps.find((own) => own.name === name);
    if (step === undefined) return { error: new MechanistError('internal', `There is no step "${name}".`) };
    try {
      const { plan } = await this.plan(step);
      const done = await readCells(partsFolder(this.options.results), name, plan.key);
      const missing = plan.cells.filter(({ id }) => !done.has(id)).length;
      if (missing > 0) {
        const left = `${plan.cells.length - missing} of ${plan.cells.length} cells`;
        const message = `The circuit of the step ${name} is not there yet: ${left} are done. Run it to the end, or merge its parts, first.`;
        return { error: new WaitingError('bad-input', message) };
      }
      return this.#foundIn(name, this.assemble(plan, { done, unfinished: new Map() }, []));
    } catch (error) {
      if (error instanceof MechanistError && !endsAll.has(error.code)) return { error };
      throw error;
    }
  }

  #foundIn(name: string, { result }: StepDocuments): FoundCircuit {
    if (result.circuit !== undefined) return { circuit: result.circuit };
    return { error: new MechanistError('bad-input', `The step ${name} finds no circuit.`) };
  }

  assemble(plan: StepPlan, cells: StepCells, warnings: readonly string[]): StepDocuments {
    const { file, model } = this.options;
    const names = [model, file.model?.value ?? model, plan.context.model.info.ref];
    return assembleStep(plan, cells, { file, model, modelNames: names, warnings });
  }

  #wanted({ cells }: StepPlan): readonly StepCell[] {
    const { share, mergeOnly } = this.options;
    if (mergeOnly) return [];
    return share === undefined ? cells : shareOf(cells, share);
  }

  /** Passes that a step has still to run; null for one that cannot be planned before its turn. */
  async lengthOf(step: ExperimentStep): Promise<number | null> {
    try {
      const { plan } = await this.plan(step);
      const { results, fresh } = this.options;
      const done = fresh ? new Map() : await readCells(partsFolder(results), step.name, plan.key);
      const missing = this.#wanted(plan).filter(({ id }) => !done.has(id));
      return missing.reduce((sum, cell) => sum + weightOf(cell), 0);
    } catch (error) {
      if (error instanceof MechanistError && !endsAll.has(error.code)) return null;
      throw error;
    } finally {
      // What was waited for may be there when the step's turn comes.
      this.#found.clear();
    }
  }

  /** One bar over all steps, each as long as its missing cells; one that is not known yet is taken to be as the others. */
  async bars(steps: readonly ExperimentStep[]): Promise<OnProgress[]> {
    const lengths: (number | null)[] = [];
    for (const step of steps) lengths.push(await this.lengthOf(step));
    const known = lengths.filter((length) => length !== null);
    const usual = known.length === 0 ? 1 : known.reduce((sum, length) => sum + length, 0) / known.length;
    return progressSteps(
      this.context.onProgress,
      lengths.map((length) => (length ?? usual) + WRITING),
    );
  }

  /** The experiment's data as a circuit beside its results names them. */
  #data(): CircuitFile['data'] {
    const { file, folder, results } = this.options;
    const data = file.data?.value;
    if (data === undefined) return undefined;
    const path = relative(results, resolve(folder, data.file)).split(sep).join('/');
    return { path, ...(data.rows !== undefined && { rows: data.rows }) };
  }

  async #forget({ step, key }: StepPlan, cells: readonly StepCell[]): Promise<void> {
    const parts = partsFolder(this.options.results);
    await removeCells(parts, step.name, this.options.share);
    const left = await readCheckpoints(parts, step.name, key);
    for (const { id } of cells) if (left.has(id)) await removeCheckpoint(parts, step.name, { key, cell: id });
  }

  /** Runs a step as far as was asked and writes its files. */
  async run(step: ExperimentStep, onProgress: OnProgress): Promise<StepOutcome> {
    const { results, share, fresh = false, onStepProgress } = this.options;
    const { plan, warnings } = await this.plan(step);
    const parts = partsFolder(results);
    const wanted = this.#wanted(plan);
    if (fresh) await this.#forget(plan, wanted);
    const done = await readCells(parts, step.name, plan.key);
    const unfinished = await readCheckpoints(parts, step.name, plan.key);
    const reused = plan.cells.filter(({ id }) => done.has(id)).length;
    const save = async () => {
      // Other processes may have filled in their shares meanwhile.
      const theirs = share === undefined ? [] : await readCells(parts, step.name, plan.key);
      for (const [id, stored] of theirs) if (!done.has(id)) done.set(id, stored);
      const documents = this.assemble(plan, { done, unfinished }, warnings);
      return { documents, path: await writeStep(results, plan, documents, { fresh, data: this.#data() }) };
    };
    const job = { results, share, done, unfinished, onProgress, save: async () => void (await save()) };
    try {
      await runCells(plan, wanted, { ...job, onStepProgress: (progress) => onStepProgress?.(progress) });
    } catch (error) {
      // What is done is kept and shown; why the run ended matters more than a second failure.
      await save().catch(() => undefined);
      throw error;
    }
    const { documents, path } = await save();
    onProgress({ done: 1, total: 1, label: step.name });
    if (documents.figures.complete) this.#found.set(step.name, this.#foundIn(step.name, documents));
    return outcomeOf(step, documents, reused, path);
  }
}

function outcomeOf(step: ExperimentStep, { figures }: StepDocuments, reused: number, file: string): StepOutcome {
  const { complete, cells, warnings, checks, values, cost } = figures;
  const state = complete ? 'complete' : 'partial';
  return {
    step: step.name,
    analysis: step.run,
    state,
    message: null,
    cells,
    reused,
    file,
    warnings,
    checks,
    values,
    cost,
  };
}

function failedOutcome(step: ExperimentStep, error: MechanistError): StepOutcome {
  return {
    ...{ step: step.name, analysis: step.run, message: error.message, file: null },
    state: error instanceof WaitingError ? 'waiting' : 'failed',
    ...{ cells: { done: 0, total: 0 }, reused: 0, warnings: [], checks: [], values: {} },
    cost: { forwardPasses: 0, seconds: 0 },
  };
}

function wantedSteps({ file, steps }: ExperimentOptions): readonly ExperimentStep[] {
  if (steps === undefined) return file.steps;
  const names = file.steps.map(({ name }) => name);
  const unknown = steps.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new MechanistError('bad-input', `There is no step "${unknown}". Steps: ${names.join(', ')}.`);
  }
  return file.steps.filter(({ name }) => steps.includes(name));
}

/**
 * Runs the steps of an experiment in their order, cell by cell, and writes their results. Each finished cell is kept at once:
 * a run that is cancelled, killed or edited goes on with the cells that are still right. A step that cannot be run ends
 * alone; the others go on. Costs what the steps' cells cost.
 * @throws MechanistError `cancelled`, `disk-full`; `bad-input` for a step that is not in the file
 */
export async function runExperiment(
  context: Omit<StepContext, 'circuit' | 'seed' | keyof StepSources>,
  options: ExperimentOptions,
): Promise<ExperimentOutcome> {
  const { file, path, results, model, onStep } = options;
  const steps = wantedSteps(options);
  const circuit = (name: string) => {
    throw new MechanistError('internal', `The circuit "${name}" was asked for outside of a step.`);
  };
  const run = new ExperimentRun(
    { ...context, ...noSources(context.model.tokenizer), seed: file.seed, circuit },
    options,
  );
  const bars = await run.bars(steps);
  const outcomes: StepOutcome[] = [];
  for (const [i, step] of steps.entries()) {
    const outcome = await run.run(step, bars[i]).catch((error: unknown) => {
      if (error instanceof MechanistError && !endsAll.has(error.code)) return failedOutcome(step, error);
      throw error;
    });
    outcomes.push(outcome);
    onStep?.(outcome);
  }
  const { items, refused } = context.task;
  return { experiment: basename(path), model, results, rows: items.length, refused, steps: outcomes };
}
