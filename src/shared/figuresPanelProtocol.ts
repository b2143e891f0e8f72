import type { CircuitEvaluation } from './circuit.ts';
import type { CouplingRequest } from './couplingPicture.ts';
import type { FiguresDocument } from './figures.ts';
import type { ExportFormat } from './tracePanelProtocol.ts';

/** What the panel of an experiment's step shows, whole, each time. */
export interface FiguresPanelState {
  /** File name. */
  readonly title: string;
  readonly document: FiguresDocument | CircuitEvaluation | null;
  /** Why the file cannot be shown. What was shown before stays. */
  readonly error: string | null;
}

export type ToFiguresPanel = { readonly type: 'state'; readonly state: FiguresPanelState };

export type FromFiguresPanel =
  | { readonly type: 'ready' | 'showLog' | 'openAsText' }
  | { readonly type: 'copy'; readonly text: string }
  /** A change of the experiment that made the result, and a run of it. */
  | { readonly type: 'coupling'; readonly request: CouplingRequest }
  /** One more step of the experiment: the map of heads under a path. */
  | { readonly type: 'descend'; readonly under: string }
  /** The host asks where to save. `data` is text, or PNG bytes. */
  | {
      readonly type: 'export';
      readonly format: ExportFormat;
      readonly name: string;
      readonly data: string | Uint8Array;
    };
