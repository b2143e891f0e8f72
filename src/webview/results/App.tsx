import type { VNode } from 'preact';
import { useState } from 'preact/hooks';
import type { FiguresPanelState, FromFiguresPanel } from '../../shared/figuresPanelProtocol.ts';
import { type PanelHost, type PanelRules, useKeptScroll, usePanel } from '../figures/panelHost.ts';
import type { Theme } from '../figures/theme.ts';
import { type FiguresActions, FiguresPanel } from './FiguresPanel.tsx';
import { exportMessage } from './figuresExport.tsx';
import { asFigures } from './figuresText.ts';
import { type FiguresView, restoreView } from './figuresView.ts';

/** The page's VS Code, as this panel uses it. */
export type FiguresHost = PanelHost<FromFiguresPanel, FiguresView>;

const empty: FiguresPanelState = { title: 'Result', document: null, error: null };

const rules: PanelRules<FiguresPanelState, FiguresView> = { empty, restore: restoreView, adopt: (view) => view };

interface AppProps {
  readonly host: FiguresHost;
  readonly theme: Theme;
  readonly width: number;
}

/** The figures panel with its host: messages in, messages out, kept view. */
export function App({ host, theme, width }: AppProps): VNode {
  const api = usePanel(host, rules);
  const [problem, setProblem] = useState<string | null>(null);
  const { state, view, latest, setView } = api;
  useKeptScroll(api, state.document !== null);
  const actions: FiguresActions = {
    setView,
    select: (picture, mark) => setView({ selected: { ...latest.current.view.selected, [picture]: mark } }),
    copy: (text) => host.postMessage({ type: 'copy', text }),
    table: () => setView({ table: !latest.current.view.table }),
    sort: (table, sort) => setView({ sorts: { ...latest.current.view.sorts, [table]: sort } }),
    exportAs: (id) => {
      const { document } = latest.current.state;
      if (document === null) return;
      setProblem(null);
      const shown = { document: asFigures(document), view: latest.current.view, theme, width: Math.max(width, 960) };
      exportMessage(id, shown, document)
        .then((message) => host.postMessage(message))
        .catch((error: unknown) =>
          setProblem(`Not exported: ${error instanceof Error ? error.message : String(error)}`),
        );
    },
    request: (request) => host.postMessage({ type: 'coupling', request }),
    descend: (under) => host.postMessage({ type: 'descend', under }),
    tell: (type) => host.postMessage({ type }),
  };
  return <FiguresPanel state={state} view={view} theme={theme} width={width} actions={actions} problem={problem} />;
}
