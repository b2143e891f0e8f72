import type { Estimate } from './figures.ts';
import type { Provenance } from './traceDocument.ts';

/**
 * A part of the model that can be in a circuit, by name: head `L9.H6`, `MLP 3`, neuron `N3.1207`, and the ends `emb` and `logits`.
 * Parsed and written by `core/circuits/nodeNames.ts` alone.
 */
export type NodeName = string;

/** What reads: a head's query, key or value input; an MLP's input; the logits. */
export type Channel = 'q' | 'k' | 'v' | 'mlp' | 'logits';

export interface CircuitNode {
  readonly node: NodeName;
  /** `letter mover`: groups nodes in the figure. */
  readonly role?: string;
  /** A person's own name for it. */
  readonly label?: string;
  /** Roles of the data (`A2`) or positions at which it matters; absent: all. */
  readonly at?: readonly string[];
  /** Score by the method that found it, in units of the metric. */
  readonly effect?: number;
}

export interface CircuitEdge {
  readonly from: NodeName;
  readonly to: NodeName;
  readonly channel: Channel;
  /** Score by the method that found it, in units of the metric; its sign is the sign of what the edge does. */
  readonly effect?: number;
}

/** What stands in for what is not in the circuit. `corruption` names one of the data. */
export type AblationValue =
  | { readonly kind: 'zero' }
  /** Mean over the rows, at each position, of the corrupted run (absent: of the clean run). */
  | { readonly kind: 'mean'; readonly corruption?: string }
  /** The same row's corrupted run. */
  | { readonly kind: 'resample'; readonly corruption: string };

/** What may be in or out. Everything else always stays. */
export type CircuitScope = 'heads' | 'heads+mlps' | 'edges';

/** A file `*.circuit.json`. */
export interface CircuitFile {
  readonly schemaVersion: 1;
  readonly kind: 'circuit';
  readonly name: string;
  readonly model: { readonly ref: string; readonly hash?: string };
  readonly scope: CircuitScope;
  /** In the order in which they are added back. */
  readonly nodes: readonly CircuitNode[];
  readonly edges?: readonly CircuitEdge[];
  /** Dataset, relative to the file. */
  readonly data?: { readonly path: string; readonly rows?: number; readonly hash?: string };
  readonly ablation: AblationValue;
  /** How it came about: `by hand`, `eap-ig`, …, with parameters. */
  readonly provenance: Readonly<Record<string, unknown>>;
  readonly notes?: string;
}

/** A measure for each answer of the data (`L1`, `L2` …) and over all of them. */
export interface ByAnswer {
  readonly answers: readonly Estimate[];
  readonly overall: Estimate;
}

/** Faithfulness F = (M(C) − M(∅)) / (M(full) − M(∅)); M is the metric, ∅ ablates all of the scope. */
export interface CircuitEvaluation {
  readonly schemaVersion: 1;
  readonly kind: 'circuit-evaluation';
  readonly circuit: CircuitFile;
  readonly metric: { readonly label: string; readonly unit: string };
  readonly answerNames: readonly string[];
  readonly n: number;
  readonly full: ByAnswer;
  readonly empty: ByAnswer;
  readonly inCircuit: ByAnswer;
  /** Only the circuit ablated. */
  readonly complement: ByAnswer;
  readonly faithfulness: ByAnswer;
  /** Faithfulness of the complement alone. */
  readonly complementFaithfulness: ByAnswer;
  /** Share of rows and answers whose answer beats every foil. */
  readonly accuracy: { readonly full: ByAnswer; readonly circuit: ByAnswer };
  /** M(C) − M(C without the node), by node in the circuit's order. */
  readonly minimality: readonly { readonly node: NodeName; readonly loss: ByAnswer }[];
  /** |M(C∖K) − M(full∖K)| for sets K of circuit nodes. */
  readonly completeness: readonly {
    readonly label: string;
    readonly removed: readonly NodeName[];
    readonly difference: number;
  }[];
  /** M after adding back the first k nodes, k = 0 … nodes: `[k]`. */
  readonly addBack: {
    readonly given: readonly ByAnswer[];
    readonly greedy: {
      readonly order: readonly NodeName[];
      readonly overall: readonly number[];
      readonly answers: readonly (readonly number[])[];
    } | null;
    /** `[draw][k]`, overall and by answer `[draw][k][answer]`. */
    readonly random: readonly {
      readonly overall: readonly number[];
      readonly answers: readonly (readonly number[])[];
    }[];
  };
  /** Size-matched random circuits: faithfulness of each draw. */
  readonly random: {
    readonly seed: number;
    readonly overall: readonly number[];
    readonly answers: readonly (readonly number[])[];
  };
  readonly warnings: readonly string[];
  readonly complete: boolean;
  readonly provenance: Provenance;
  readonly cost: { readonly forwardPasses: number; readonly seconds: number };
}
