import type { TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef, TracePanelState } from '../../shared/tracePanelProtocol.ts';
import {
  componentsBySize,
  defaultComponent,
  defaultToken,
  effectOf,
  sameComponent,
} from '../../shared/traceSelection.ts';
import type { TableSort } from '../figures/DataTable.tsx';
import { windowWith } from '../figures/OverviewBar.tsx';

/** More positions than this are shown through a window. */
export const windowSize = 24;

/** What a person has set in the panel. Kept across reload and theme change. */
export interface TraceView {
  readonly token: number | null;
  readonly component: ComponentRef | null;
  /** Null: on when cells are wide enough. */
  readonly numbers: boolean | null;
  readonly table: boolean;
  /** Table id → order. */
  readonly sorts: Readonly<Record<string, TableSort>>;
  readonly windowStart: number;
  readonly scroll: number;
}

export const initialView: TraceView = {
  token: null,
  component: null,
  numbers: null,
  table: false,
  sorts: {},
  windowStart: 0,
  scroll: 0,
};

/** Reads a view that an earlier page (perhaps an older version) has kept; anything odd falls back. */
export function restoreView(kept: unknown): TraceView {
  if (typeof kept !== 'object' || kept === null) return initialView;
  const view = kept as Partial<Record<keyof TraceView, unknown>>;
  const numberOr = <T>(value: unknown, other: T): number | T =>
    typeof value === 'number' && Number.isFinite(value) ? value : other;
  return {
    token: numberOr(view.token, null),
    component: isComponent(view.component) ? view.component : null,
    numbers: typeof view.numbers === 'boolean' ? view.numbers : null,
    table: view.table === true,
    sorts: typeof view.sorts === 'object' && view.sorts !== null ? (view.sorts as TraceView['sorts']) : {},
    windowStart: numberOr(view.windowStart, 0),
    scroll: numberOr(view.scroll, 0),
  };
}

function isComponent(value: unknown): value is ComponentRef {
  if (typeof value !== 'object' || value === null) return false;
  const { layer, kind, head } = value as Partial<Record<keyof ComponentRef, unknown>>;
  return Number.isInteger(layer) && (kind === 'mlp' || (kind === 'head' && Number.isInteger(head)));
}

/** What is selected: the person's choice where the document has it, else the largest token and head. */
export function selectionIn(
  document: TraceDocument,
  view: TraceView,
): { token: number | null; component: ComponentRef | null } {
  const { token, component } = view;
  const hasToken = token !== null && Number.isInteger(token) && token >= 0 && token < document.tokens.length;
  const hasComponent = component !== null && !Number.isNaN(effectOf(document, component));
  return {
    token: hasToken ? token : defaultToken(document),
    component: hasComponent ? component : defaultComponent(document),
  };
}

/** The window of positions that the strip and the lens show. */
export function windowIn(document: TraceDocument, view: TraceView): { start: number; end: number } {
  const total = document.tokens.length;
  const start = Math.min(Math.max(0, view.windowStart), Math.max(0, total - windowSize));
  return { start, end: Math.min(total, start + windowSize) };
}

/** Selects a token and brings it into the window. */
export function withToken(view: TraceView, document: TraceDocument, token: number): TraceView {
  return { ...view, token, windowStart: windowWith(token, view.windowStart, windowSize, document.tokens.length) };
}

/**
 * Takes over a selection that the host has changed (the cursor moved in the editor). New results never move it: only a
 * selection that differs from the host's last one counts.
 */
export function adoptState(view: TraceView, before: TracePanelState | null, after: TracePanelState): TraceView {
  let next = view;
  const { token, component } = after.selection;
  if (after.document !== null && token !== null && token !== before?.selection.token && token !== view.token)
    next = withToken(next, after.document, token);
  if (component !== null && !sameComponent(component, before?.selection.component ?? null))
    next = { ...next, component };
  const first = before?.document === null || before === null;
  if (first && after.document !== null) {
    const shown = selectionIn(after.document, next).token;
    const windowStart = windowWith(shown, next.windowStart, windowSize, after.document.tokens.length);
    next = { ...next, windowStart };
  }
  return next;
}

/** The head that comes after (`1`) or before (`-1`) the selected component in order of |effect|. */
export function neighbourHead(
  document: TraceDocument,
  selected: ComponentRef | null,
  direction: 1 | -1,
): ComponentRef | null {
  const heads = componentsBySize(document)
    .map(({ component }) => component)
    .filter((component) => component.kind === 'head' || sameComponent(component, selected));
  const at = heads.findIndex((component) => sameComponent(component, selected));
  for (let i = at + direction; i >= 0 && i < heads.length; i += direction)
    if (heads[i].kind === 'head') return heads[i];
  return selected;
}
