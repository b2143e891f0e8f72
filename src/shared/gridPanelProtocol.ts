import type { GridDocument } from './gridDocument.ts';
import type { Progress } from './progress.ts';
import type { HeadDetail } from './traceDocument.ts';
import type { ExportFormat } from './tracePanelProtocol.ts';

/** A cell of a grid, 0-based. */
export interface GridPlace {
  readonly row: number;
  readonly column: number;
}

/** A second result that the panel is compared with. */
export interface GridCompared {
  /** File name. */
  readonly name: string;
  readonly document: GridDocument;
}

/** The attention of a head on one item of the data. */
export interface GridHead {
  readonly place: GridPlace;
  readonly item: number;
  /** Null while it is computed. */
  readonly detail: HeadDetail | null;
  readonly error: string | null;
}

/** What the panel shows, whole, each time: a hidden panel may miss messages, so there are no deltas. */
export interface GridPanelState {
  /** `ioi.prompt` */
  readonly title: string;
  /** `loading`: asked, no document yet. `running`: cells arrive. `partial`: stopped with cells missing. */
  readonly status: 'empty' | 'loading' | 'running' | 'partial' | 'ready' | 'error';
  readonly progress: Progress | null;
  /** Milliseconds since the first cell of this run, and how many cells it has brought; null before that. */
  readonly pace: { readonly milliseconds: number; readonly cells: number } | null;
  /** What happened and what to do. A document may be there all the same. */
  readonly error: string | null;
  readonly document: GridDocument | null;
  /** The prompt file asks something else by now. */
  readonly stale: boolean;
  readonly canResume: boolean;
  readonly canRunAgain: boolean;
  /** Name of the file that holds this document; null while it is in no file. */
  readonly saved: string | null;
  readonly compared: GridCompared | null;
  readonly head: GridHead | null;
  /** Cells that somebody asked for, as by *Ablate These Heads*; the first one is selected. */
  readonly marked: readonly GridPlace[];
}

export type ToGridPanel = { readonly type: 'state'; readonly state: GridPanelState };

export type FromGridPanel =
  | { readonly type: 'ready' }
  /** The person looks at a cell, and at one item of it. */
  | { readonly type: 'select'; readonly place: GridPlace; readonly item: number }
  | { readonly type: 'openItem'; readonly item: number }
  | {
      readonly type: 'cancel' | 'resume' | 'runAgain' | 'save' | 'compare' | 'endComparison' | 'showLog';
    }
  | { readonly type: 'copy'; readonly text: string }
  /** The host asks where to save. `data` is text, or PNG bytes. */
  | {
      readonly type: 'export';
      readonly format: ExportFormat;
      readonly name: string;
      readonly data: string | Uint8Array;
    };
