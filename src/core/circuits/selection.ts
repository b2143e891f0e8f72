import type { CircuitFile, NodeName } from '../../shared/circuit.ts';
import type { Random } from '../../shared/statistics.ts';
import type { RunContext } from '../engine/modelRunner.ts';
import type { Scores } from './circuitMetric.ts';

/** Neurons of one layer, as `Selection` has nodes. */
export interface NeuronChoice {
  readonly keep: Uint8Array;
  readonly at: ReadonlyMap<number, readonly string[]>;
}

/** What of the model keeps its own outputs. */
export interface Selection {
  /** By node (or edge) of the space: 0 replaced, 1 kept, 2 kept at the places of `at` only, 3 kept everywhere else. */
  readonly keep: Uint8Array;
  /** Roles or positions, by index. */
  readonly at?: ReadonlyMap<number, readonly string[]>;
  /** By layer, where some of an MLP's neurons are kept and others replaced. Its MLP counts as kept. */
  readonly neurons?: ReadonlyMap<number, NeuronChoice>;
}

/** The parts of a model that may be in or out of a circuit. */
export interface SelectionSpace {
  readonly full: Selection;
  readonly empty: Selection;
  /** The circuit, or only some of its nodes. @throws MechanistError `bad-input` for a node that the model does not have */
  of(circuit: CircuitFile, only?: ReadonlySet<NodeName>): Selection;
  /** What is not in it. */
  complement(selection: Selection): Selection;
  /** The whole model but for some nodes. */
  without(nodes: Iterable<NodeName>): Selection;
  /** A circuit of the same size at random. */
  random(circuit: CircuitFile, random: Random): Selection;
}

/** Runs selections on the data. */
export interface Scorer {
  /** What has run so far, in positions × blocks. */
  readonly blocks: number;
  scores(selections: readonly Selection[], context: RunContext): Promise<Scores[]>;
  release(): Promise<void>;
}
