import type { DatasetFilter } from '../../shared/datasetPanelProtocol.ts';

/** What a person has set; kept by VS Code over reload and theme change. */
export interface DatasetPanelView {
  readonly filter: DatasetFilter;
  /** Corruption that is shown under the clean tokens; null: none. */
  readonly corruption: string | null;
  /** Selected row, counted over the listed ones, and its token; −1: the row's own head. */
  readonly row: number;
  readonly token: number;
  /** Of the list, in px. */
  readonly scroll: number;
  readonly keys: boolean;
}

const initialView: DatasetPanelView = {
  filter: 'all',
  corruption: null,
  row: 0,
  token: -1,
  scroll: 0,
  keys: false,
};

/** Reads a view that an earlier page (perhaps an older version) has kept; anything odd falls back. */
export function restoreView(kept: unknown): DatasetPanelView {
  if (typeof kept !== 'object' || kept === null) return initialView;
  const { filter, corruption, row, token, scroll } = kept as Partial<Record<keyof DatasetPanelView, unknown>>;
  const number = (value: unknown, least: number) =>
    typeof value === 'number' && Number.isSafeInteger(value) ? Math.max(least, value) : least;
  return {
    filter: filter === 'refused' ? 'refused' : 'all',
    corruption: typeof corruption === 'string' ? corruption : null,
    row: number(row, 0),
    token: number(token, -1),
    scroll: typeof scroll === 'number' && Number.isFinite(scroll) ? Math.max(0, scroll) : 0,
    keys: false,
  };
}
