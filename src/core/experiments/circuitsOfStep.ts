import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { CircuitFile } from '../../shared/circuit.ts';
import { MechanistError } from '../../shared/errors.ts';
import type { ExperimentStep } from '../tasks/experiment/experimentTypes.ts';
import { textsIn } from './stepPlan.ts';

/** How circuit files end. */
export const circuitEnding = '.circuit.json';

/** The circuit an earlier step found, or why there is none yet. */
export type FoundCircuit = { readonly circuit: CircuitFile } | { readonly error: MechanistError };

/** Says that a step has to wait for an earlier one. */
export class WaitingError extends MechanistError {}

function isCircuit(value: unknown): value is CircuitFile {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'circuit' && 'nodes' in value;
}

async function readCircuit(path: string, name: string): Promise<FoundCircuit> {
  const refuse = (why: string) => ({ error: new MechanistError('bad-input', `The circuit ${name} ${why}`) });
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isCircuit(value) ? { circuit: value } : refuse('is not a circuit file: its kind is not "circuit".');
  } catch (error) {
    if (error instanceof SyntaxError) return refuse(`is not JSON: ${error.message}`);
    return refuse(`cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The circuits that a step may ask for: files beside the experiment, and what earlier steps found. */
export class CircuitsOfStep {
  readonly #known = new Map<string, FoundCircuit>();
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
    found: (step: string) => Promise<FoundCircuit>,
  ): Promise<CircuitsOfStep> {
    const circuits = new CircuitsOfStep(earlier);
    for (const name of new Set(textsIn(step.params))) {
      if (earlier.includes(name)) circuits.#known.set(name, await found(name));
      else if (name.endsWith(circuitEnding)) circuits.#known.set(name, await readCircuit(resolve(folder, name), name));
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

  /** What to say of circuits that were made with another model. */
  warnings(modelHash: string, model: string): readonly string[] {
    return [...this.available].flatMap(([name, { model: made }]) =>
      made.hash === undefined || made.hash === modelHash
        ? []
        : [
            `The circuit ${name} was made with other weights (${made.ref}, #${made.hash.slice(0, 7)}); here it is run on ${model}.`,
          ],
    );
  }
}
