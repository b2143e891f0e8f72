import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { FromTracePanel, TracePanelState } from '../../shared/tracePanelProtocol.ts';
import { sameComponent } from '../../shared/traceSelection.ts';
import { type Panel, type PanelHost, type PanelRules, useKeptScroll, usePanel } from '../figures/panelHost.ts';
import type { Theme } from '../figures/theme.ts';
import { TracePanel } from './TracePanel.tsx';
import { exportMessage } from './traceExport.ts';
import type { TraceActions } from './traceProps.ts';
import { adoptState, neighbourHead, restoreView, selectionIn, type TraceView, withToken } from './viewState.ts';

/** The page's VS Code, as this panel uses it. */
export type TraceHost = PanelHost<FromTracePanel, TraceView>;

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

const rules: PanelRules<TracePanelState, TraceView> = { empty, restore: restoreView, adopt: adoptState };

interface AppProps {
  readonly host: TraceHost;
  readonly theme: Theme;
  readonly width: number;
  readonly height: number;
}

/** Tells the host which head is shown when nobody has chosen one, once a result, so that it computes the detail. */
function useDefaultHead(host: TraceHost, state: TracePanelState, view: TraceView): void {
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
  api: Panel<TracePanelState, TraceView>,
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
function useShortcuts(api: Panel<TracePanelState, TraceView>, actions: TraceActions): void {
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

/** The trace panel with its host: messages in, messages out, kept view. */
export function App(props: AppProps): VNode {
  const api = usePanel(props.host, rules);
  const [problem, setProblem] = useState<string | null>(null);
  const actions = useActions(props, api, setProblem);
  const { state, view } = api;
  useDefaultHead(props.host, state, view);
  useShortcuts(api, actions);
  useKeptScroll(api, state.document !== null);
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
