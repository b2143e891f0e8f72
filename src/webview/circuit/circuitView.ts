import type { CircuitFile } from '../../shared/circuit.ts';
import type { CircuitPanelState } from '../../shared/circuitPanelProtocol.ts';
import type { TableSort } from '../figures/DataTable.tsx';
import type { AnswerChoice } from './evaluationPictures.ts';

/** How nodes are put together when there are many. */
export type Grouping = 'none' | 'layer' | 'role';

/** What a person has set; kept by VS Code over reload and theme change. Membership, roles and names are in the file. */
export interface CircuitView {
  readonly node: string | null;
  readonly answer: AnswerChoice;
  readonly columns: 'positions' | 'roles';
  /** Null: by layer from 61 nodes on. */
  readonly group: Grouping | null;
  /** Share of the largest |effect| under which edges are hidden; null: so that at most 150 are drawn. */
  readonly threshold: number | null;
  readonly zoom: number;
  readonly table: boolean;
  readonly selected: Readonly<Record<string, string>>;
  readonly sorts: Readonly<Record<string, TableSort>>;
  readonly scroll: number;
}

export const initialView: CircuitView = {
  node: null,
  answer: 'all',
  columns: 'positions',
  group: null,
  threshold: null,
  zoom: 1,
  table: false,
  selected: {},
  sorts: {},
  scroll: 0,
};

const zooms = [0.5, 0.67, 0.8, 1, 1.25, 1.5, 2] as const;

/** The next zoom in a direction; 0 is the drawn size. */
export function zoomBy(zoom: number, step: 1 | -1 | 0): number {
  if (step === 0) return 1;
  const at = zooms.reduce((best, value, i) => (Math.abs(value - zoom) < Math.abs(zooms[best] - zoom) ? i : best), 0);
  return zooms[Math.min(zooms.length - 1, Math.max(0, at + step))];
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a view that an earlier page (perhaps an older version) has kept; anything odd falls back. */
export function restoreView(kept: unknown): CircuitView {
  if (!isRecord(kept)) return initialView;
  const oneOf = <T>(value: unknown, all: readonly T[]): T => all.find((one) => one === value) ?? all[0];
  const share = (value: unknown): number | null =>
    typeof value === 'number' && value >= 0 && value <= 1 ? value : null;
  const texts = isRecord(kept.selected)
    ? Object.entries(kept.selected).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    : [];
  return {
    ...initialView,
    node: typeof kept.node === 'string' ? kept.node : null,
    answer: Number.isInteger(kept.answer) && Number(kept.answer) >= 0 ? Number(kept.answer) : 'all',
    columns: oneOf(kept.columns, ['positions', 'roles'] as const),
    group: oneOf(kept.group, [null, 'none', 'layer', 'role'] as const),
    threshold: share(kept.threshold),
    zoom: oneOf(kept.zoom, [1, ...zooms]),
    table: kept.table === true,
    selected: Object.fromEntries(texts),
    sorts: isRecord(kept.sorts) ? (kept.sorts as CircuitView['sorts']) : {},
    scroll: typeof kept.scroll === 'number' && Number.isFinite(kept.scroll) ? kept.scroll : 0,
  };
}

/** The selected node while it is there: in the circuit, or among those outside. */
export function selectedNode(
  view: CircuitView,
  circuit: CircuitFile,
  state: Pick<CircuitPanelState, 'gains'>,
): string | null {
  const { node } = view;
  if (node !== null && (circuit.nodes.some((one) => one.node === node) || state.gains.some((one) => one.node === node)))
    return node;
  return circuit.nodes[0]?.node ?? null;
}

/** The answer that is shown; one that the data no longer has falls back to all. */
export function answerOf(view: CircuitView, state: Pick<CircuitPanelState, 'setting'>): AnswerChoice {
  const answers = state.setting?.answers.length ?? 0;
  return view.answer !== 'all' && view.answer < answers ? view.answer : 'all';
}
