import type { VNode } from 'preact';
import type { DatasetFilter, DatasetPanelState } from '../../shared/datasetPanelProtocol.ts';
import { count } from '../../shared/format.ts';
import { LinkButton } from '../figures/Button.tsx';
import { Segmented } from '../figures/PanelHeader.tsx';
import { Notice } from '../figures/States.tsx';
import type { DatasetPanelView } from './datasetPanelView.ts';
import { subtitleOf } from './datasetText.ts';
import { RowList } from './RowList.tsx';

/** What a person can do in the panel. */
export interface DatasetActions {
  readonly setView: (change: Partial<DatasetPanelView>) => void;
  readonly ask: (filter: DatasetFilter, from: number, count: number) => void;
  readonly openLine: (line: number, column: number) => void;
  readonly copy: (text: string) => void;
  readonly tell: (type: 'showLog' | 'openAsText') => void;
}

export interface DatasetPanelProps {
  readonly state: DatasetPanelState;
  readonly view: DatasetPanelView;
  /** Of the window, in px. */
  readonly height: number;
  readonly actions: DatasetActions;
}

function Corruptions({ names, props }: { names: readonly string[]; props: DatasetPanelProps }): VNode | null {
  const { view, actions } = props;
  if (names.length === 0) return null;
  const pick = (event: Event) => {
    const { value } = event.currentTarget as HTMLSelectElement;
    actions.setView({ corruption: value === '' ? null : value });
  };
  return (
    <label class="d-pick">
      Corrupted tokens{' '}
      <select value={view.corruption ?? ''} onChange={pick}>
        <option value="">none</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Header(props: DatasetPanelProps): VNode {
  const { state, view, actions } = props;
  const { summary } = state;
  const refused = summary?.refused ?? 0;
  return (
    <header class="m-header">
      <h1>{state.finding}</h1>
      <div class="m-switches d-switches">
        <Corruptions names={summary?.corruptions ?? []} props={props} />
        {refused > 0 ? (
          <Segmented
            label="Rows"
            choices={[
              { id: 'all', label: 'All Rows' },
              { id: 'refused', label: `Refused (${count(refused)})` },
            ]}
            value={view.filter}
            onChange={(filter) => actions.setView({ filter, row: 0, token: -1, scroll: 0 })}
          />
        ) : null}
        <LinkButton label="Open as Text" onClick={() => actions.tell('openAsText')} />
      </div>
      <p class="m-subtitle">{subtitleOf(state)}</p>
    </header>
  );
}

/** A note on what the selected corruption is known of. */
function CorruptionNote({ state, view }: DatasetPanelProps): VNode | null {
  const { summary } = state;
  if (summary === null || view.corruption === null) return null;
  const rows = `the first ${count(summary.corruptedRows)} rows`;
  const text = `${view.corruption}, as drawn among ${rows} with seed ${summary.seed}; a run draws among its own rows.`;
  return <p class="m-subtitle d-note">{text}</p>;
}

/** The rows of a dataset as token cells with their roles; refused rows with the reason. */
export function DatasetPanel(props: DatasetPanelProps): VNode {
  const { state, view } = props;
  const { summary } = state;
  const total = summary === null ? 0 : view.filter === 'all' ? summary.good + summary.refused : summary.refused;
  return (
    <main class="m-panel d-panel">
      <Header {...props} />
      {state.notice === null ? null : <Notice icon="warning">{state.notice}</Notice>}
      <CorruptionNote {...props} />
      {summary !== null && total === 0 ? <p class="m-empty">There is no row in this file.</p> : null}
      {total > 0 ? <RowList {...props} total={total} /> : null}
    </main>
  );
}
