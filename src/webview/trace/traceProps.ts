import type { AttributionMethod, TraceDocument } from '../../shared/traceDocument.ts';
import type { ComponentRef, TracePanelState } from '../../shared/tracePanelProtocol.ts';
import type { TableSort } from '../figures/DataTable.tsx';
import type { Theme } from '../figures/theme.ts';
import type { TraceView } from './viewState.ts';

/** What a person can do in the panel. */
export interface TraceActions {
  readonly selectToken: (position: number) => void;
  readonly selectComponent: (component: ComponentRef) => void;
  readonly ablate: (layer: number, head: number) => void;
  readonly changeMethod: (method: AttributionMethod) => void;
  readonly setView: (change: Partial<TraceView>) => void;
  readonly sort: (table: string, sort: TableSort) => void;
  readonly copy: (text: string) => void;
  readonly exportAs: (id: string) => void;
  readonly runAgain: () => void;
  readonly cancel: () => void;
  readonly showLog: () => void;
}

export interface TracePanelProps {
  readonly state: TracePanelState;
  readonly view: TraceView;
  readonly theme: Theme;
  /** Width of the panel in px. */
  readonly width: number;
  /** Height that is seen of it, in px; undefined where nothing scrolls. */
  readonly height?: number;
  readonly actions: TraceActions;
  /** Something that failed in the page itself, e.g. an export. */
  readonly problem?: string | null;
}

/** What every part of a traced document's panel gets. */
export interface TracePartProps extends TracePanelProps {
  readonly document: TraceDocument;
  readonly selection: { readonly token: number | null; readonly component: ComponentRef | null };
}
