import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FromTracePanel, ToTracePanel, TracePanelState } from '../../shared/tracePanelProtocol.ts';
import { sameComponent } from '../../shared/traceSelection.ts';
import type { Theme } from '../figures/theme.ts';
import { TracePanel } from './TracePanel.tsx';
import { exportMessage } from './traceExport.ts';
import type { TraceActions } from './traceProps.ts';
import { adoptState, neighbourHead, restoreView, selectionIn, type TraceView, withToken } from './viewState.ts';

/** What VS Code gives a webview. */
export interface HostApi {
  postMessage(message: FromTracePanel): void;
  getState(): unknown;
  setState(state: TraceView): void;
}

const empty: TracePanelState = {
  title: 'Trace',
  status: 'empty',
  progress: null,
  error: null,
  document: null,
  lens: null,
  lensError: null,
  head: null,
  headError: null,
  selection: { token: null, component: null },
};

interface AppProps {
  readonly host: HostApi;
  readonly theme: Theme;
  readonly width: number;
  readonly height: number;
}

/** Host state and the person's view, kept together so that one message changes both at once. */
function useHostState(host: HostApi) {
  const [all, setAll] = useState(() => ({ state: empty, view: restoreView(host.getState()) }));
  const latest = useRef(all);
  const put = (next: typeof all): void => {
    latest.current = next;
    host.setState(next.view);
    setAll(next);
  };
  useEffect(() => {
    const onMessage = ({ data }: MessageEvent<ToTracePanel | undefined>): void => {
      if (data?.type !== 'state') return;
      const { state, view } = latest.current;
      put({ state: data.state, view: adoptState(view, state === empty ? null : state, data.state) });
    };
    window.addEventListener('message', onMessage);
    host.postMessage({ type: 'ready' });
    return () => window.removeEventListener('message', onMessage);
  }, []);
  const setView = (change: Partial<TraceView>): void => {
    const { state, view } = latest.current;
    put({ state, view: { ...view, ...change } });
  };
  return { ...all, latest, setView };
}

/** Tells the host which head is shown when nobody has chosen one, once a result, so that it computes the detail. */
function useDefaultHead(host: HostApi, state: TracePanelState, view: TraceView): void {
  const told = useRef('');
  useEffect(() => {
    if (state.document === null) return;
    const { component } = selectionIn(state.document, view);
    const key = `${state.document.provenance.hash} ${JSON.stringify(component)}`;
    if (component === null || told.current === key || sameComponent(component, state.selection.component)) return;
    told.current = key;
    host.postMessage({ type: 'selectComponent', component });
  }, [state.document, state.selection.component, view.component]);
}

function useActions(
  props: AppProps,
  api: ReturnType<typeof useHostState>,
  setProblem: (problem: string | null) => void,
): TraceActions {
  const { host } = props;
  const { latest, setView } = api;
  return {
    selectToken: (position) => {
      const { state, view } = latest.current;
      if (state.document === null) return;
      setView(withToken(view, state.document, position));
      host.postMessage({ type: 'selectToken', position });
    },
    selectComponent: (component) => {
      setView({ component });
      host.postMessage({ type: 'selectComponent', component });
    },
    ablate: (layer, head) => host.postMessage({ type: 'ablate', layer, head }),
    changeMethod: (method) => host.postMessage({ type: 'changeMethod', method }),
    setView,
    sort: (table, sort) => setView({ sorts: { ...latest.current.view.sorts, [table]: sort } }),
    copy: (text) => host.postMessage({ type: 'copy', text }),
    exportAs: (id) => {
      const { state, view } = latest.current;
      const { document, lens, head } = state;
      if (document === null) return;
      setProblem(null);
      exportMessage(id, { document, lens, head, view, theme: props.theme, width: Math.max(props.width, 960) })
        .then((message) => host.postMessage(message))
        .catch((error: unknown) =>
          setProblem(`Not exported: ${error instanceof Error ? error.message : String(error)}`),
        );
    },
    runAgain: () => host.postMessage({ type: 'runAgain' }),
    cancel: () => host.postMessage({ type: 'cancel' }),
    showLog: () => host.postMessage({ type: 'showLog' }),
  };
}

const steps: Readonly<Record<string, -1 | 1>> = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 };

/** Alt+↑/↓: next head by effect. Alt+←/→: next token. Anywhere in the panel. */
function useShortcuts(api: ReturnType<typeof useHostState>, actions: TraceActions): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent): void => {
      const step = steps[event.key];
      const { state, view } = api.latest.current;
      if (!event.altKey || event.ctrlKey || event.metaKey || step === undefined || state.document === null) return;
      event.preventDefault();
      event.stopPropagation();
      const { token, component } = selectionIn(state.document, view);
      if (event.key === 'ArrowUp' || event.key === 'ArrowDown') {
        const next = neighbourHead(state.document, component, step);
        if (next && !sameComponent(next, component)) actions.selectComponent(next);
        return;
      }
      const next = (token ?? 0) + step;
      if (next >= 0 && next < state.document.tokens.length) actions.selectToken(next);
    };
    document.addEventListener('keydown', onKeyDown, true);
    return () => document.removeEventListener('keydown', onKeyDown, true);
  });
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

/** The trace panel with its host: messages in, messages out, kept view. */
export function App(props: AppProps): VNode {
  const api = useHostState(props.host);
  const [problem, setProblem] = useState<string | null>(null);
  const actions = useActions(props, api, setProblem);
  const { state, view } = api;
  useDefaultHead(props.host, state, view);
  useShortcuts(api, actions);
  useScroll(api, state.document !== null);
  return (
    <TracePanel
      state={state}
      view={view}
      theme={props.theme}
      width={props.width}
      height={props.height}
      actions={actions}
      problem={problem}
    />
  );
}
