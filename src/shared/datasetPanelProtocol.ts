import type { DatasetRowView, DatasetSummary } from './datasetView.ts';

/** Which rows are listed. */
export type DatasetFilter = 'all' | 'refused';

/** A stretch of the listed rows. */
export interface DatasetWindow {
  readonly filter: DatasetFilter;
  /** Counted over the listed rows. */
  readonly from: number;
  readonly rows: readonly DatasetRowView[];
}

/** What the dataset panel shows, whole, each time; of the rows those around what is in sight. */
export interface DatasetPanelState {
  /** File name. */
  readonly title: string;
  /** `200 rows, 3 refused`, or what is being done. */
  readonly finding: string;
  readonly summary: DatasetSummary | null;
  /** Of the state of the file that `summary` tells of; null while it is read. */
  readonly window: DatasetWindow | null;
  /** Why rows are not shown, or only their form is checked. */
  readonly notice: string | null;
}

export type ToDatasetPanel = { readonly type: 'state'; readonly state: DatasetPanelState };

export type FromDatasetPanel =
  | { readonly type: 'ready' | 'showLog' | 'openAsText' }
  /** Rows that are in sight, or soon will be. */
  | { readonly type: 'window'; readonly filter: DatasetFilter; readonly from: number; readonly count: number }
  /** 0-based line of the file, and the UTF-16 column. */
  | { readonly type: 'openLine'; readonly line: number; readonly column: number }
  | { readonly type: 'copy'; readonly text: string };
