import type { CircuitEvaluation, CircuitFile, NodeName } from './circuit.ts';
import type { CircuitGain, CircuitRead, CircuitSetting, PanelMetric } from './circuitPanelProtocol.ts';
import type { SimplePicture } from './figures.ts';

/** A circuit with the model and the data it is to be scored on. Equal models, data and ablations share their clean runs. */
export interface CircuitQuestion {
  /** Catalogue id, absolute folder, or absolute `.gguf` path. */
  readonly model: string;
  readonly data: { /** Absolute. */ readonly path: string; readonly rows?: number };
  readonly circuit: CircuitFile;
  /** Of the corruptions, the bootstrap and the random circuits. */
  readonly seed: number;
  /** Absent: the first that the data allow. */
  readonly metric?: PanelMetric;
}

/** What is known of model and data before anything is scored. */
export interface OpenedCircuit {
  readonly setting: CircuitSetting;
  readonly reads: readonly CircuitRead[];
}

/** An evaluation, and what each node outside would change. */
export interface ScoredCircuit {
  readonly evaluation: CircuitEvaluation;
  readonly gains: readonly CircuitGain[];
}

/** Formats of other tools. */
export type ForeignFormat = 'eap-ig' | 'attribution-graph';

/** Requests of the circuit panel; part of `EngineRequests`. */
export interface CircuitRequests {
  /** The circuit as other tools read it. */
  'circuit.convert': { params: { question: CircuitQuestion; to: ForeignFormat }; result: string };
  /** A graph of EAP-IG as the text of a circuit file. */
  'circuit.import': { params: { model: string; name: string; text: string }; result: string };
  'circuit.open': { params: CircuitQuestion; result: OpenedCircuit };
  /** Scores a circuit: faithfulness at once, the rest in parts; while it runs, `circuit.scored` carries `token`. */
  'circuit.evaluate': { params: { question: CircuitQuestion; token: string }; result: ScoredCircuit };
  /** Attention by role and OV circuit of a head. */
  'circuit.detail': {
    params: { question: CircuitQuestion; node: NodeName; answer: string | null };
    result: readonly SimplePicture[];
  };
}

/** One-way messages of the engine while it scores a circuit: whole states, never deltas. */
export interface CircuitNotifications {
  'circuit.scored': { token: string; scored: ScoredCircuit };
}
