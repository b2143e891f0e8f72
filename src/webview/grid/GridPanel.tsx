import type { VNode } from 'preact';
import { count } from '../../shared/format.ts';
import { cellCount, doneCount, gridDifference } from '../../shared/gridCells.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPanelState } from '../../shared/gridPanelProtocol.ts';
import { Button, LinkButton } from '../figures/Button.tsx';
import { DataTable, type TableModel } from '../figures/DataTable.tsx';
import type { MenuItem } from '../figures/Menu.tsx';
import { PanelHeader } from '../figures/PanelHeader.tsx';
import { EmptyState, ErrorState, Notice, ProgressLine } from '../figures/States.tsx';
import { CellDetail } from './CellDetail.tsx';
import { GridFigure, panelLayout } from './GridFigure.tsx';
import { cellNoun, placeName } from './gridNames.ts';
import { firstBroken } from './gridNumbers.ts';
import type { GridPanelProps, GridPartProps } from './gridProps.ts';
import { cellsTable, itemsTable } from './gridTables.ts';
import { belowNoise, progressWords, subtitleOf, titleOf } from './gridText.ts';
import { chosenIn } from './gridView.ts';

const exportItems: readonly MenuItem[] = [
  { id: 'svg', label: 'SVG' },
  { id: 'png', label: 'PNG' },
  { id: 'csv-cells', label: 'CSV: Cells' },
  { id: 'csv-prompts', label: 'CSV: Prompts of the Cell' },
  { id: 'json', label: 'JSON' },
  { id: 'html', label: 'HTML Report' },
  { id: 'citation', label: 'Copy Citation' },
];

function Header(props: GridPartProps): VNode {
  const { document, state, view, chosen, actions } = props;
  const layout = panelLayout(props);
  const done = state.status !== 'running' && doneCount(document) > 0;
  return (
    <PanelHeader
      title={titleOf(document, chosen.item)}
      subtitle={subtitleOf(document)}
      modes={
        <>
          {done && state.saved === null ? (
            <LinkButton label="Save Result" onClick={() => actions.tell('save')} />
          ) : null}
          {state.compared === null ? (
            <LinkButton label="Compare With…" onClick={() => actions.tell('compare')} />
          ) : (
            <LinkButton label="End Comparison" onClick={() => actions.tell('endComparison')} />
          )}
        </>
      }
      numbers={layout.numbers}
      table={view.table}
      exports={exportItems}
      onNumbers={(numbers) => actions.setView({ numbers })}
      onTable={(table) => actions.setView({ table })}
      onExport={actions.exportAs}
    />
  );
}

/** What an open run, a stopped one, or a changed prompt file has to say. */
function RunNotices({ document, state, actions }: GridPartProps): VNode {
  const total = cellCount(document);
  const { provenance } = document;
  return (
    <>
      {state.stale ? (
        <Notice icon="history">
          {`Made with ${provenance.modelLabel} #${provenance.hash}; the prompt file has changed. `}
          {state.canRunAgain ? <LinkButton label="Run Again" onClick={() => actions.tell('runAgain')} /> : null}
        </Notice>
      ) : null}
      {state.error ? (
        <Notice icon="error">
          {`${state.error} `}
          <LinkButton label="Show Log" onClick={() => actions.tell('showLog')} />
        </Notice>
      ) : null}
      {state.status === 'partial' || (state.status === 'error' && !document.complete) ? (
        <div class="m-resume">
          <span>{`Stopped: ${count(doneCount(document))} of ${count(total)} ${cellNoun(document, total)} are done; the others are hatched.`}</span>
          {state.canResume ? <Button label="Resume" primary onClick={() => actions.tell('resume')} /> : null}
        </div>
      ) : null}
      {state.saved !== null ? <Notice icon="info">{`In the file ${state.saved}.`}</Notice> : null}
    </>
  );
}

function Notices(props: GridPartProps): VNode {
  const { document, state, chosen, problem } = props;
  const broken = firstBroken(document);
  const { compared } = state;
  const difference = compared ? gridDifference(document, compared.document) : null;
  return (
    <>
      <RunNotices {...props} />
      {problem ? <Notice icon="error">{problem}</Notice> : null}
      {document.warnings.map((warning) => (
        <Notice key={warning} icon="warning">
          {warning}
        </Notice>
      ))}
      {broken ? <Notice icon="warning">{`Not a number at ${placeName(document, broken, chosen.item)}.`}</Notice> : null}
      {compared ? (
        <Notice icon={difference?.kind === 'refused' ? 'warning' : 'info'}>
          {difference?.kind === 'refused'
            ? `${compared.name} cannot be compared with this result: ${difference.why}.`
            : `Compared with ${compared.name}: ${compared.document.intervention} · #${compared.document.provenance.hash}`}
        </Notice>
      ) : null}
      {belowNoise(document) ? (
        <Notice icon="info">Every change may be chance: the 95 % interval of the largest one has 0 in it.</Notice>
      ) : null}
    </>
  );
}

/** The numbers of the figures, as tables in their place. */
function Tables({ document, state, theme, chosen, view, actions }: GridPartProps): VNode {
  const one = (table: TableModel): VNode => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable.
    <section class="m-table-scroll" tabIndex={0} aria-label={table.caption}>
      <DataTable
        theme={theme}
        table={table}
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
      />
    </section>
  );
  return (
    <div class="m-tables">
      {one(cellsTable(document, state.compared))}
      {chosen.place ? one(itemsTable(document, chosen.place)) : null}
    </div>
  );
}

function Figures(props: GridPartProps): VNode {
  const layout = panelLayout(props);
  const detailWidth = layout.beside ? layout.inner - layout.figureWidth - 30 : layout.inner;
  return (
    <div class={layout.beside ? 'm-split' : 'm-column'}>
      <GridFigure {...props} />
      <CellDetail {...props} detailWidth={Math.min(detailWidth, 720)} />
    </div>
  );
}

function Progress({
  document,
  state,
  actions,
}: { document: GridDocument; state: GridPanelState } & Pick<GridPanelProps, 'actions'>): VNode {
  const total = cellCount(document);
  return (
    <ProgressLine
      progress={{ done: doneCount(document), total, label: '' }}
      delay={0}
      label="Running the sweep"
      words={progressWords(document, state)}
      cancelLabel="Cancel, Keep What Is Done"
      onCancel={() => actions.tell('cancel')}
    />
  );
}

function Loaded(props: GridPartProps): VNode {
  const { state, document, view, actions } = props;
  return (
    <>
      <Header {...props} />
      {state.status === 'running' ? <Progress document={document} state={state} actions={actions} /> : null}
      <Notices {...props} />
      {view.table ? <Tables {...props} /> : <Figures {...props} />}
    </>
  );
}

function Unloaded({ state, actions }: GridPanelProps): VNode {
  if (state.status === 'error') {
    const message = state.error ?? 'The engine gave no reason.';
    return (
      <>
        <h1>{state.title}</h1>
        <ErrorState what="There is no result" message={message} onShowLog={() => actions.tell('showLog')} />
      </>
    );
  }
  if (state.status === 'loading') {
    return (
      <>
        <h1>{state.title}</h1>
        <ProgressLine progress={state.progress} label="Starting the sweep" onCancel={() => actions.tell('cancel')} />
      </>
    );
  }
  return (
    <>
      <h1>{state.title}</h1>
      <EmptyState
        text="A sweep changes one site after another and shows what each change does to a metric. Nothing has been run."
        action="Run"
        onAction={() => actions.tell('runAgain')}
      />
    </>
  );
}

/** The heat-map panel: a pure function of what the host sent, what the person set, the theme and the width. */
export function GridPanel(props: GridPanelProps): VNode {
  const { state, view } = props;
  const { document } = state;
  return (
    <main class="m-panel" data-status={state.status}>
      {document && cellCount(document) > 0 ? (
        <Loaded {...props} document={document} chosen={chosenIn(document, view, state)} />
      ) : (
        <Unloaded {...props} />
      )}
    </main>
  );
}
