import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPanelState, GridPlace } from '../../shared/gridPanelProtocol.ts';
import type { TableSort } from '../figures/DataTable.tsx';
import type { Theme } from '../figures/theme.ts';
import type { Chosen, GridView } from './gridView.ts';

/** What a person can do in the panel. */
export interface GridActions {
  readonly select: (place: GridPlace) => void;
  readonly selectItem: (item: number) => void;
  readonly openItem: (item: number) => void;
  readonly setView: (change: Partial<GridView>) => void;
  readonly sort: (table: string, sort: TableSort) => void;
  readonly copy: (text: string) => void;
  readonly exportAs: (id: string) => void;
  readonly tell: (type: 'cancel' | 'resume' | 'runAgain' | 'save' | 'compare' | 'endComparison' | 'showLog') => void;
}

export interface GridPanelProps {
  readonly state: GridPanelState;
  readonly view: GridView;
  readonly theme: Theme;
  /** Width of the panel in px. */
  readonly width: number;
  readonly actions: GridActions;
  /** Something that failed in the page itself, e.g. an export. */
  readonly problem?: string | null;
}

/** What every part of a document's panel gets. */
export interface GridPartProps extends GridPanelProps {
  readonly document: GridDocument;
  readonly chosen: Chosen;
}
