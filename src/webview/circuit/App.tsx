import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type CircuitPanelState, emptyCircuitPanel, type FromCircuitPanel } from '../../shared/circuitPanelProtocol.ts';
import { type PanelHost, type PanelRules, useKeptScroll, usePanel } from '../figures/panelHost.ts';
import type { Theme } from '../figures/theme.ts';
import { CircuitPanel } from './CircuitPanel.tsx';
import { exportMessage } from './circuitExport.tsx';
import type { CircuitActions } from './circuitProps.ts';
import { answerOf, type CircuitView, restoreView, selectedNode } from './circuitView.ts';

/** The page's VS Code, as this panel uses it. */
export type CircuitHost = PanelHost<FromCircuitPanel, CircuitView>;

const empty: CircuitPanelState = { title: 'Circuit', ...emptyCircuitPanel };

const rules: PanelRules<CircuitPanelState, CircuitView> = { empty, restore: restoreView, adopt: (view) => view };

interface AppProps {
  readonly host: CircuitHost;
  readonly theme: Theme;
  readonly width: number;
}

/** Tells the host which node and answer are looked at, so that it computes their detail. */
function useSelectionTold(host: CircuitHost, state: CircuitPanelState, view: CircuitView): void {
  const told = useRef('');
  useEffect(() => {
    if (state.circuit === null || state.setting === null) return;
    const node = selectedNode(view, state.circuit, state);
    const answer = answerOf(view, state);
    const key = JSON.stringify([node, answer, state.setting.modelHash, state.circuit.data]);
    if (told.current === key) return;
    told.current = key;
    host.postMessage({ type: 'select', node, answer });
  }, [state, view.node, view.answer]);
}

/** The circuit panel with its host: messages in, messages out, kept view. */
export function App({ host, theme, width }: AppProps): VNode {
  const api = usePanel(host, rules);
  const [problem, setProblem] = useState<string | null>(null);
  const { state, view, latest, setView } = api;
  useSelectionTold(host, state, view);
  useKeptScroll(api, state.setting !== null);
  const actions: CircuitActions = {
    setView,
    select: (picture, mark) => setView({ selected: { ...latest.current.view.selected, [picture]: mark } }),
    copy: (text) => host.postMessage({ type: 'copy', text }),
    table: () => setView({ table: !latest.current.view.table }),
    sort: (table, sort) => setView({ sorts: { ...latest.current.view.sorts, [table]: sort } }),
    edit: (edit) => host.postMessage({ type: 'edit', edit }),
    score: (metric) => host.postMessage({ type: 'metric', metric }),
    ask: (message) => host.postMessage(message),
    tell: (type) => host.postMessage({ type }),
    exportAs: (id) => {
      const { state: now, view: shown } = latest.current;
      const { circuit, setting } = now;
      if (circuit === null || setting === null) return setProblem('There is nothing to export yet.');
      setProblem(null);
      const what = { state: now, circuit, setting, view: shown, answer: answerOf(shown, now), theme, width };
      exportMessage(id, what)
        .then((message) => host.postMessage(message))
        .catch((error: unknown) =>
          setProblem(`Not exported: ${error instanceof Error ? error.message : String(error)}`),
        );
    },
  };
  return <CircuitPanel state={state} view={view} theme={theme} width={width} actions={actions} problem={problem} />;
}
