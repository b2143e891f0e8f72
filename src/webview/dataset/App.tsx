import type { VNode } from 'preact';
import type { DatasetPanelState, FromDatasetPanel } from '../../shared/datasetPanelProtocol.ts';
import { type PanelHost, type PanelRules, usePanel } from '../figures/panelHost.ts';
import { type DatasetActions, DatasetPanel } from './DatasetPanel.tsx';
import { type DatasetPanelView, restoreView } from './datasetPanelView.ts';

/** The page's VS Code, as this panel uses it. */
export type DatasetHost = PanelHost<FromDatasetPanel, DatasetPanelView>;

const empty: DatasetPanelState = {
  title: 'Dataset',
  finding: 'reading tokens…',
  summary: null,
  window: null,
  notice: null,
};

const rules: PanelRules<DatasetPanelState, DatasetPanelView> = {
  empty,
  restore: restoreView,
  adopt: (view, _before, { summary }) => {
    if (summary === null) return view;
    const total = view.filter === 'all' ? summary.good + summary.refused : summary.refused;
    const known = view.corruption !== null && summary.corruptions.includes(view.corruption);
    return { ...view, row: Math.max(0, Math.min(view.row, total - 1)), corruption: known ? view.corruption : null };
  },
};

/** The dataset panel with its host: messages in, messages out, kept view. */
export function App({ host, height }: { host: DatasetHost; height: number }): VNode {
  const { state, view, setView } = usePanel(host, rules);
  const actions: DatasetActions = {
    setView,
    ask: (filter, from, count) => host.postMessage({ type: 'window', filter, from, count }),
    openLine: (line, column) => host.postMessage({ type: 'openLine', line, column }),
    copy: (text) => host.postMessage({ type: 'copy', text }),
    tell: (type) => host.postMessage({ type }),
  };
  return <DatasetPanel state={state} view={view} height={height} actions={actions} />;
}
