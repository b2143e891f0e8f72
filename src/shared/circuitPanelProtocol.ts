import type { AblationValue, CircuitEvaluation, CircuitFile, NodeName } from './circuit.ts';
import type { SimplePicture } from './figures.ts';
import type { Progress } from './progress.ts';
import type { ExportFormat } from './tracePanelProtocol.ts';

/** A token position of the example row, as a column of the diagram. */
export interface CircuitColumn {
  /** 0-based. */
  readonly position: number;
  readonly token: string;
  /** Role of the data that stands here, if one does. */
  readonly role: string | null;
}

/** How answers are scored: against the largest or the mean foil, or by ln p. */
export type PanelMetric = 'max' | 'mean' | 'log-prob';

/** What a circuit is drawn on and scored with: its model and data, opened. */
export interface CircuitSetting {
  readonly modelLabel: string;
  readonly modelHash: string;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Heads and the MLP of a layer read the same stream: no edge leads from one to the other. */
  readonly parallelResidual: boolean;
  /** Positions of the first row. */
  readonly columns: readonly CircuitColumn[];
  /** Roles in the order of their positions. */
  readonly roles: readonly string[];
  readonly corruptions: readonly string[];
  /** What the answers can be scored by; the first unless somebody chooses. */
  readonly metrics: readonly PanelMetric[];
  /** 0-based positions of the first row's answers, in the order of `answerNames`. */
  readonly answers: readonly { readonly name: string; readonly position: number }[];
  /** Rows that are run, and rows that were left out. */
  readonly rows: number;
  readonly refused: number;
}

/** Where a head of the circuit looks most, from the position at which it is drawn: mean over the rows. */
export interface CircuitRead {
  readonly node: NodeName;
  /** 0-based position of the example row. */
  readonly from: number;
  readonly attention: number;
}

/** The selected node. */
export interface CircuitDetail {
  readonly node: NodeName;
  /** Attention by role, OV circuit, copying; null while they are computed. */
  readonly pictures: readonly SimplePicture[] | null;
  readonly error: string | null;
}

/** What becomes of the metric when one node is put in, for nodes outside, in units of the metric. */
export interface CircuitGain {
  readonly node: NodeName;
  readonly gain: number;
}

/** Something wrong with the file's text; line and column from 1. */
export interface CircuitFault {
  readonly line: number;
  readonly column: number;
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

/** What the circuit panel shows, whole, each time. */
export interface CircuitPanelState {
  /** File name. */
  readonly title: string;
  /** The last circuit that could be read from the text; null when none could yet. */
  readonly circuit: CircuitFile | null;
  readonly faults: readonly CircuitFault[];
  /** The text is a graph of EAP-IG, which can be made a circuit. */
  readonly foreign: boolean;
  /** Null until model and data are open. */
  readonly setting: CircuitSetting | null;
  /** How answers are scored; null: by the setting's first. */
  readonly metric: PanelMetric | null;
  /** Numbers of `evaluation.circuit`, which may be the circuit before the last edit. Parts may still be missing. */
  readonly evaluation: CircuitEvaluation | null;
  /** `old`: the numbers are those of the circuit before the last edit. `filling`: parts of them are still computed. */
  readonly freshness: 'fresh' | 'filling' | 'old';
  readonly progress: Progress | null;
  readonly reads: readonly CircuitRead[];
  readonly gains: readonly CircuitGain[];
  readonly detail: CircuitDetail | null;
  /** The circuit was made with other weights: nothing is computed until somebody says to go on. */
  readonly otherModel: { readonly expected: string; readonly found: string } | null;
  /** Why there are no numbers, and what to do. */
  readonly error: string | null;
}

/** A change of the circuit that the page asks for; it becomes an edit of the file's text. */
export type CircuitEdit =
  | { readonly kind: 'add'; readonly node: NodeName; readonly at?: readonly string[] }
  | { readonly kind: 'remove'; readonly node: NodeName }
  | { readonly kind: 'place'; readonly node: NodeName; readonly at: readonly string[] }
  | { readonly kind: 'role'; readonly node: NodeName; readonly role: string | undefined }
  | { readonly kind: 'label'; readonly node: NodeName; readonly label: string | undefined }
  | { readonly kind: 'order'; readonly nodes: readonly NodeName[] }
  | { readonly kind: 'ablation'; readonly ablation: AblationValue };

export type ToCircuitPanel = { readonly type: 'state'; readonly state: CircuitPanelState };

export type FromCircuitPanel =
  | { readonly type: 'ready' | 'showLog' | 'openAsText' | 'goOn' | 'chooseData' | 'retry' | 'cancel' | 'importGraph' }
  | { readonly type: 'edit'; readonly edit: CircuitEdit }
  | { readonly type: 'metric'; readonly metric: PanelMetric }
  /** Asks the person for a role, a name, or a node to add, in VS Code's own boxes. */
  | { readonly type: 'ask'; readonly what: 'role' | 'label'; readonly node: NodeName }
  | { readonly type: 'ask'; readonly what: 'add' }
  | { readonly type: 'select'; readonly node: NodeName | null; readonly answer: number | 'all' }
  | { readonly type: 'copy'; readonly text: string }
  /** Written by the engine, as other tools read it. */
  | { readonly type: 'convert'; readonly to: 'eap-ig' | 'attribution-graph' }
  | {
      readonly type: 'export';
      readonly format: ExportFormat;
      readonly name: string;
      readonly data: string | Uint8Array;
    };

/** A panel that shows nothing yet. */
export const emptyCircuitPanel: Omit<CircuitPanelState, 'title'> = {
  circuit: null,
  faults: [],
  foreign: false,
  setting: null,
  metric: null,
  evaluation: null,
  freshness: 'fresh',
  progress: null,
  reads: [],
  gains: [],
  detail: null,
  otherModel: null,
  error: null,
};
