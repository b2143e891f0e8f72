import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CircuitFile } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import { type CircuitModel, readCircuit } from '../circuits/circuitFile.ts';
import type { ExperimentStep } from '../tasks/experiment/experimentTypes.ts';
import { textsIn } from '../tasks/experiment/textsIn.ts';

/** How circuit files end. */
export const circuitEnding = '.circuit.json';

/** The circuit an earlier step found, or why there is none yet. */
export type FoundCircuit = { readonly circuit: CircuitFile } | { readonly error: MechanistError };

/** Says that a step has to wait for an earlier one. */
export class WaitingError extends MechanistError {}

/** A file's circuit, checked against the model it is to be used on. */
async function readFound(path: string, name: string, model: CircuitModel): Promise<ReadFile> {
  const refuse = (why: string): ReadFile => ({
    found: { error: new MechanistError('bad-input', `The circuit ${name} ${why}`) },
    warnings: [],
  });
  try {
    const { circuit, problems } = readCircuit(await readFile(path, 'utf8'), model);
    const [error] = problems.filter(({ severity }) => severity === 'error');
    if (circuit === null) return refuse(`cannot be used: ${error?.message ?? 'it is no circuit file.'}`);
    return { found: { circuit }, warnings: problems.map(({ message }) => `${name}: ${message}`) };
  } catch (error) {
    return refuse(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

interface ReadFile {
  readonly found: FoundCircuit;
  readonly warnings: readonly string[];
}

/** The circuits that a step may ask for: files beside the experiment, and what earlier steps found. */
export class CircuitsOfStep {
  readonly #known = new Map<string, FoundCircuit>();
  readonly #warnings: string[] = [];
  readonly #earlier: readonly string[];

  private constructor(earlier: readonly string[]) {
    this.#earlier = earlier;
  }

  /**
   * Reads the circuits that the parameters of `step` name.
   * @param folder that of the experiment
   * @param found by name of the earlier step
   */
  static async read(
    step: ExperimentStep,
    folder: string,
    earlier: readonly string[],
    model: CircuitModel,
    found: (step: string) => Promise<FoundCircuit>,
  ): Promise<CircuitsOfStep> {
    const circuits = new CircuitsOfStep(earlier);
    for (const name of new Set(textsIn(step.params))) {
      if (earlier.includes(name)) circuits.#known.set(name, await found(name));
      else if (name.endsWith(circuitEnding)) {
        const file = await readFound(resolve(folder, name), name, model);
        circuits.#known.set(name, file.found);
        circuits.#warnings.push(...file.warnings);
      }
    }
    return circuits;
  }

  /** Those that could be read: the step's numbers depend on them. */
  get available(): ReadonlyMap<string, CircuitFile> {
    return new Map(
      [...this.#known].flatMap(([name, found]) => ('circuit' in found ? [[name, found.circuit] as const] : [])),
    );
  }

  /** @throws MechanistError `bad-input` when there is no such circuit, or its step is not complete yet */
  readonly get = (name: string): CircuitFile => {
    const found = this.#known.get(name);
    if (found !== undefined && 'circuit' in found) return found.circuit;
    if (found !== undefined) throw found.error;
    const steps = this.#earlier.length === 0 ? '' : `: ${this.#earlier.join(', ')}`;
    const message = `There is no circuit "${name}". Name a file that ends in ${circuitEnding}, or an earlier step that finds one${steps}.`;
    throw new MechanistError('bad-input', message);
  };

  /** What is doubtful about the files: made with another model, keys that nobody knows. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }
}
