import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CircuitFile } from '../../shared/circuit.ts';
import { stepEvaluationName, stepResultName, stepVectorsName } from '../../shared/experimentRun.ts';
import type { FiguresDocument } from '../../shared/figures.ts';
import { resultToJson } from '../../shared/resultJson.ts';
import { modelProvenance } from '../analyses/provenance.ts';
import { circuitToText } from '../circuits/circuitFile.ts';
import { writeFileAtomically } from '../models/writeFileAtomically.ts';
import { writeSafetensors } from '../models/writeSafetensors.ts';
import { checkNumbers } from '../tasks/experiment/checkNumbers.ts';
import { requestOf } from '../tasks/experiment/experimentRequest.ts';
import type { Expectation, ExperimentFile } from '../tasks/experiment/experimentTypes.ts';
import type { StoredCell } from './cellStore.ts';
import type { StoredCheckpoint } from './checkpointStore.ts';
import { circuitEnding } from './circuitsOfStep.ts';
import type { CellResult, StepResult, StepVector } from './stepKind.ts';
import type { StepPlan } from './stepPlan.ts';

/** A step's result as its files have it. */
export interface StepDocuments {
  readonly figures: FiguresDocument;
  readonly result: StepResult;
}

/** Cells of a step as far as they are. */
export interface StepCells {
  readonly done: ReadonlyMap<string, StoredCell>;
  /** Checkpoints of cells that are not finished. */
  readonly unfinished: ReadonlyMap<string, StoredCheckpoint>;
}

function costOf({ cells, context }: StepPlan, { done, unfinished }: StepCells): FiguresDocument['cost'] {
  let forwardPasses = 0;
  let seconds = 0;
  for (const { id, passes } of cells) {
    const [stored, left] = [done.get(id), unfinished.get(id)];
    const counted = stored?.result.forwardPasses ?? left?.state.forwardPasses;
    const usual = stored === undefined ? 0 : passes * context.task.items.length;
    forwardPasses += typeof counted === 'number' ? counted : usual;
    seconds += stored?.seconds ?? left?.seconds ?? 0;
  }
  return { forwardPasses: Math.round(forwardPasses * 100) / 100, seconds };
}

/**
 * Puts a step's finished cells together. Equal cells give an equal document, whoever ran them; `cost` says what
 * they took, which is less when neighbours ran together.
 * Expectations are checked once every cell is there.
 */
export function assembleStep(
  plan: StepPlan,
  stored: StepCells,
  about: {
    readonly file: ExperimentFile;
    readonly model: string;
    /** Names that expectations may call the model by. */
    readonly modelNames: readonly string[];
    readonly warnings: readonly string[];
  },
): StepDocuments {
  const { kind, step, context, cells, key } = plan;
  const { task } = context;
  const results = new Map<string, CellResult>();
  const unfinished = new Map<string, CellResult>();
  for (const { id } of cells) {
    const [done, left] = [stored.done.get(id), stored.unfinished.get(id)];
    if (done !== undefined) results.set(id, done.result);
    else if (left !== undefined) unfinished.set(id, left.state);
  }
  const result = kind.assemble(context, step.params, results, unfinished);
  const complete = results.size === cells.length;
  const expect: readonly Expectation[] = complete ? about.file.expect.filter((own) => own.step === step.name) : [];
  const provenance = modelProvenance(context, about.model, result.ablation, key.slice(0, 7));
  const cost = costOf(plan, stored);
  const figures: FiguresDocument = {
    schemaVersion: 1,
    kind: 'figures',
    analysis: kind.name,
    title: result.title,
    subtitle: result.subtitle,
    complete,
    cells: { done: results.size, total: cells.length },
    warnings: [...about.warnings, ...result.warnings],
    provenance,
    request: {
      ...requestOf(about.file, step, about.model),
      step: step.name,
      dataHash: task.hash,
      rows: task.items.length,
      refused: task.refused,
      circuits: Object.fromEntries([...plan.circuits].map(([name, circuit]) => [name, circuit.name])),
    },
    pictures: result.pictures,
    values: result.values,
    checks: checkNumbers(result.values, expect, { ref: about.model, names: about.modelNames }),
    cost,
  };
  const { evaluation } = result;
  if (evaluation === undefined) return { figures, result };
  return { figures, result: { ...result, evaluation: { ...evaluation, complete, provenance, cost } } };
}

/** A circuit file that somebody may have edited since this very step wrote it is left alone. */
async function writeCircuit(path: string, circuit: CircuitFile, key: string, fresh: boolean): Promise<void> {
  const there = fresh ? null : await readFile(path, 'utf8').catch(() => null);
  const same = there !== null && new RegExp(`"cellsKey":\\s*"${key}"`).test(there);
  if (same) return;
  const own = { ...circuit, provenance: { ...circuit.provenance, cellsKey: key } };
  await writeFileAtomically(path, circuitToText(own));
}

/**
 * Vectors as float32 tensors, each with where it comes from under its name in the header's metadata, beside the provenance and the
 * request of the whole step.
 */
async function writeVectors(path: string, vectors: readonly StepVector[], figures: FiguresDocument): Promise<void> {
  const { provenance, request, analysis } = figures;
  const metadata: Record<string, string> = { format: 'mechanist-vectors', schemaVersion: '1', analysis };
  for (const [key, value] of Object.entries({ provenance, request })) metadata[key] = JSON.stringify(value);
  for (const { name, about } of vectors) metadata[`vector ${name}`] = JSON.stringify(about);
  const tensors = vectors.map(({ name, values }) => ({
    ...{ name, shape: [values.length] },
    chunks: async function* () {
      yield Float32Array.from(values);
    },
  }));
  await writeSafetensors(path, tensors, { metadata });
}

/**
 * Writes the files of a step: its figures, and once it is complete the circuit it found or the vectors it made.
 * @param data what the circuit was found on, relative to `results`: the circuit's panel opens it
 * @returns absolute path of the figures
 * @throws MechanistError `disk-full`, `bad-input` (no permission)
 */
export async function writeStep(
  results: string,
  { step, key }: StepPlan,
  { figures, result }: StepDocuments,
  { fresh, data }: { readonly fresh: boolean; readonly data: CircuitFile['data'] },
): Promise<string> {
  const path = join(results, stepResultName(step.name));
  await writeFileAtomically(path, resultToJson(figures));
  if (result.evaluation !== undefined) {
    await writeFileAtomically(join(results, stepEvaluationName(step.name)), resultToJson(result.evaluation));
  }
  // An evaluation carries the circuit it is of; that one has a file already.
  if (result.circuit !== undefined && result.evaluation === undefined && figures.complete) {
    const circuit = { ...result.circuit, ...(data && { data: result.circuit.data ?? data }) };
    await writeCircuit(join(results, `${step.name}${circuitEnding}`), circuit, key, fresh);
  }
  if (result.vectors !== undefined && figures.complete) {
    await writeVectors(join(results, stepVectorsName(step.name)), result.vectors, figures);
  }
  return path;
}
