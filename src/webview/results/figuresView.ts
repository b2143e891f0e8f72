import { type CouplingMeasure, couplingMeasures } from '../../shared/couplingPicture.ts';
import type { CouplingGrouping } from '../coupling/couplingOrder.ts';
import type { TableSort } from '../figures/DataTable.tsx';

/** What a person has set; kept by VS Code over reload and theme change. */
export interface FiguresView {
  /** Selected mark of each picture, by picture id. */
  readonly selected: Readonly<Record<string, string>>;
  /** Null: on when cells are wide enough. */
  readonly numbers: boolean | null;
  readonly table: boolean;
  readonly sorts: Readonly<Record<string, TableSort>>;
  readonly scroll: number;
  /** What the matrix of a coupling shows, and what stands together in it. */
  readonly measure: CouplingMeasure;
  readonly grouping: CouplingGrouping;
}

export const initialView: FiguresView = {
  ...{ selected: {}, numbers: null, table: false, sorts: {}, scroll: 0 },
  ...{ measure: 'C', grouping: 'observable' },
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a view that an earlier page (perhaps an older version) has kept; anything odd falls back. */
export function restoreView(kept: unknown): FiguresView {
  if (!isRecord(kept)) return initialView;
  const texts = isRecord(kept.selected)
    ? Object.entries(kept.selected).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    : [];
  return {
    selected: Object.fromEntries(texts),
    numbers: typeof kept.numbers === 'boolean' ? kept.numbers : null,
    table: kept.table === true,
    sorts: isRecord(kept.sorts) ? (kept.sorts as FiguresView['sorts']) : {},
    scroll: typeof kept.scroll === 'number' && Number.isFinite(kept.scroll) ? kept.scroll : 0,
    measure: couplingMeasures.find((measure) => measure === kept.measure) ?? 'C',
    grouping: kept.grouping === 'node' ? 'node' : 'observable',
  };
}
