import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FromGridPanel, GridPanelState, GridPlace } from '../../shared/gridPanelProtocol.ts';
import { type Panel, type PanelHost, type PanelRules, useKeptScroll, usePanel } from '../figures/panelHost.ts';
import type { Theme } from '../figures/theme.ts';
import { GridPanel } from './GridPanel.tsx';
import { exportMessage } from './gridExport.ts';
import type { GridActions } from './gridProps.ts';
import { adoptState, chosenIn, type GridView, restoreView } from './gridView.ts';

/** The page's VS Code, as this panel uses it. */
export type GridHost = PanelHost<FromGridPanel, GridView>;

const empty: GridPanelState = {
  title: 'Sweep',
  status: 'loading',
  progress: null,
  pace: null,
  error: null,
  document: null,
  stale: false,
  canResume: false,
  canRunAgain: false,
  saved: null,
  compared: null,
  head: null,
  marked: [],
};

const rules: PanelRules<GridPanelState, GridView> = {
  empty,
  restore: restoreView,
  adopt: adoptState,
  settle: (view, state) => adoptState(view, state, state),
};

interface AppProps {
  readonly host: GridHost;
  readonly theme: Theme;
  readonly width: number;
}

/** Tells the host which cell and item are looked at, so that it computes the attention. While cells arrive it waits. */
function useSelectionTold(host: GridHost, state: GridPanelState, view: GridView): void {
  const told = useRef('');
  useEffect(() => {
    // While cells arrive only what the person chose is worth an interruption.
    if (state.document === null || (state.status === 'running' && view.place === null)) return;
    const { place, item } = chosenIn(state.document, view, state);
    const key = `${state.document.provenance.hash} ${JSON.stringify([place, item])}`;
    if (place === null || told.current === key) return;
    told.current = key;
    host.postMessage({ type: 'select', place, item });
  }, [state, view.place, view.item]);
}

function useActions(
  props: AppProps,
  api: Panel<GridPanelState, GridView>,
  setProblem: (problem: string | null) => void,
): GridActions {
  const { host } = props;
  const { latest, setView } = api;
  const select = (place: GridPlace): void => setView({ place });
  return {
    select,
    selectItem: (item) => setView({ item }),
    openItem: (item) => host.postMessage({ type: 'openItem', item }),
    setView,
    sort: (table, sort) => setView({ sorts: { ...latest.current.view.sorts, [table]: sort } }),
    copy: (text) => host.postMessage({ type: 'copy', text }),
    exportAs: (id) => {
      const { state, view } = latest.current;
      if (state.document === null) return;
      setProblem(null);
      const shown = { document: state.document, state, view, theme: props.theme, width: Math.max(props.width, 960) };
      exportMessage(id, shown)
        .then((message) => host.postMessage(message))
        .catch((error: unknown) =>
          setProblem(`Not exported: ${error instanceof Error ? error.message : String(error)}`),
        );
    },
    tell: (type) => host.postMessage({ type }),
  };
}

/** The heat-map panel with its host: messages in, messages out, kept view. */
export function App(props: AppProps): VNode {
  const api = usePanel(props.host, rules);
  const [problem, setProblem] = useState<string | null>(null);
  const actions = useActions(props, api, setProblem);
  const { state, view } = api;
  useSelectionTold(props.host, state, view);
  useKeptScroll(api, state.document !== null);
  return (
    <GridPanel state={state} view={view} theme={props.theme} width={props.width} actions={actions} problem={problem} />
  );
}
