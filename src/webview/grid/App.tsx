import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FromGridPanel, GridPanelState, GridPlace, ToGridPanel } from '../../shared/gridPanelProtocol.ts';
import type { Theme } from '../figures/theme.ts';
import { GridPanel } from './GridPanel.tsx';
import { exportMessage } from './gridExport.ts';
import type { GridActions } from './gridProps.ts';
import { adoptState, chosenIn, type GridView, restoreView } from './gridView.ts';

/** What VS Code gives a webview. */
export interface GridHostApi {
  postMessage(message: FromGridPanel): void;
  getState(): unknown;
  setState(state: GridView): void;
}

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

interface AppProps {
  readonly host: GridHostApi;
  readonly theme: Theme;
  readonly width: number;
}

/** Host state and the person's view, kept together so that one message changes both at once. */
function useHostState(host: GridHostApi) {
  const [all, setAll] = useState(() => ({ state: empty, view: restoreView(host.getState()) }));
  const latest = useRef(all);
  const put = (next: typeof all): void => {
    latest.current = next;
    host.setState(next.view);
    setAll(next);
  };
  useEffect(() => {
    const onMessage = ({ data }: MessageEvent<ToGridPanel | undefined>): void => {
      if (data?.type !== 'state') return;
      const { state, view } = latest.current;
      put({ state: data.state, view: adoptState(view, state === empty ? null : state, data.state) });
    };
    window.addEventListener('message', onMessage);
    host.postMessage({ type: 'ready' });
    return () => window.removeEventListener('message', onMessage);
  }, []);
  const setView = (change: Partial<GridView>): void => {
    const { state, view } = latest.current;
    put({ state, view: adoptState({ ...view, ...change }, state, state) });
  };
  return { ...all, latest, setView };
}

/** Tells the host which cell and item are looked at, so that it computes the attention. While cells arrive it waits. */
function useSelectionTold(host: GridHostApi, state: GridPanelState, view: GridView): void {
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
  api: ReturnType<typeof useHostState>,
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

function useScroll(api: ReturnType<typeof useHostState>, ready: boolean): void {
  useEffect(() => {
    if (!ready) return;
    window.scrollTo(0, api.latest.current.view.scroll);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onScroll = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => api.setView({ scroll: window.scrollY }), 200);
    };
    window.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      clearTimeout(timer);
      window.removeEventListener('scroll', onScroll);
    };
  }, [ready]);
}

/** The heat-map panel with its host: messages in, messages out, kept view. */
export function App(props: AppProps): VNode {
  const api = useHostState(props.host);
  const [problem, setProblem] = useState<string | null>(null);
  const actions = useActions(props, api, setProblem);
  const { state, view } = api;
  useSelectionTold(props.host, state, view);
  useScroll(api, state.document !== null);
  return (
    <GridPanel state={state} view={view} theme={props.theme} width={props.width} actions={actions} problem={problem} />
  );
}
