import type { Progress } from './progress.ts';
import type { AttributionMethod, HeadDetail, LensTable, TraceDocument } from './traceDocument.ts';

/** A head, or the MLP of a layer. */
export interface ComponentRef {
  readonly layer: number;
  readonly kind: 'head' | 'mlp';
  /** Undefined for an MLP. */
  readonly head?: number;
}

/** What the panel shows, whole, each time: a hidden panel may miss messages, so there are no deltas. */
export interface TracePanelState {
  /** `pronouns.prompt:15` */
  readonly title: string;
  readonly status: 'empty' | 'loading' | 'ready' | 'stale' | 'error';
  readonly progress: Progress | null;
  /** What happened and what to do; only with status `error`. */
  readonly error: string | null;
  readonly document: TraceDocument | null;
  /** Arrives after the document. */
  readonly lens: LensTable | null;
  readonly lensError: string | null;
  /** Detail of the selected head; null while it is computed or when an MLP is selected. */
  readonly head: HeadDetail | null;
  readonly headError: string | null;
  readonly selection: { readonly token: number | null; readonly component: ComponentRef | null };
}

export type ToTracePanel = { readonly type: 'state'; readonly state: TracePanelState };

export type ExportFormat = 'svg' | 'png' | 'csv' | 'json' | 'html';

export type FromTracePanel =
  | { readonly type: 'ready' }
  | { readonly type: 'selectToken'; readonly position: number }
  | { readonly type: 'selectComponent'; readonly component: ComponentRef }
  /** Ablate the heads of the prompt one by one, and look at this one. */
  | { readonly type: 'ablate'; readonly layer: number; readonly head: number }
  | { readonly type: 'changeMethod'; readonly method: AttributionMethod }
  | { readonly type: 'runAgain' }
  | { readonly type: 'cancel' }
  | { readonly type: 'showLog' }
  | { readonly type: 'copy'; readonly text: string }
  /** The host asks where to save. `data` is text, or PNG bytes. */
  | {
      readonly type: 'export';
      readonly format: ExportFormat;
      readonly name: string;
      readonly data: string | Uint8Array;
    };
