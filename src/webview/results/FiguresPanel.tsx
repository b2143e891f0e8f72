import type { VNode } from 'preact';
import type { FiguresDocument, Picture } from '../../shared/figures.ts';
import type { FiguresPanelState } from '../../shared/figuresPanelProtocol.ts';
import { CouplingModes } from '../coupling/CouplingModes.tsx';
import { CouplingView } from '../coupling/CouplingView.tsx';
import { couplingSize } from '../coupling/couplingMatrix.ts';
import { type CouplingActions, couplingLayout } from '../coupling/couplingProps.ts';
import { LinkButton } from '../figures/Button.tsx';
import type { MenuItem } from '../figures/Menu.tsx';
import { PanelHeader } from '../figures/PanelHeader.tsx';
import { Notice, ProgressLine } from '../figures/States.tsx';
import type { Theme } from '../figures/theme.ts';
import { asFigures, partialText, subtitleOf } from './figuresText.ts';
import type { FiguresView } from './figuresView.ts';
import { PictureView, ScrollTable } from './PictureView.tsx';
import { isWide, layoutPage } from './pictureDrawing.tsx';
import { brokenCell, sizeMatrix } from './pictureMatrix.ts';
import { checksTable, checksTitle, tablesOf } from './pictureTables.ts';

/** What a person can do in the panel. */
export interface FiguresActions extends CouplingActions {
  readonly setView: (change: Partial<FiguresView>) => void;
  readonly exportAs: (id: string) => void;
  readonly tell: (type: 'showLog' | 'openAsText') => void;
}

export interface FiguresPanelProps {
  readonly state: FiguresPanelState;
  readonly view: FiguresView;
  readonly theme: Theme;
  readonly width: number;
  readonly actions: FiguresActions;
  /** Something that failed in the page itself, e.g. an export. */
  readonly problem?: string | null;
}

type LoadedProps = FiguresPanelProps & { readonly document: FiguresDocument };

const csvLabel = (title: string): string => `CSV: ${title.length > 40 ? `${title.slice(0, 39)}…` : title}`;

function exportItems({ pictures, checks }: FiguresDocument): MenuItem[] {
  return [
    { id: 'svg', label: 'SVG' },
    { id: 'png', label: 'PNG' },
    ...pictures.flatMap((picture) =>
      tablesOf(picture).map(({ id, caption }, i) => ({
        id: `csv:${id}`,
        label: csvLabel(i === 0 ? picture.title : caption),
      })),
    ),
    ...(checks.length > 0 ? [{ id: 'csv-checks', label: 'CSV: Checks' }] : []),
    { id: 'json', label: 'JSON' },
    { id: 'html', label: 'HTML Report' },
    { id: 'citation', label: 'Copy Citation' },
  ];
}

function Notices({ document, state, problem, actions }: LoadedProps): VNode {
  const partial = partialText(document);
  const broken = brokenCell(document);
  return (
    <>
      {state.error ? (
        <Notice icon="error">
          {`${state.error} What is shown is the last state that could be read. `}
          <LinkButton label="Open as Text" onClick={() => actions.tell('openAsText')} />
        </Notice>
      ) : null}
      {problem ? <Notice icon="error">{problem}</Notice> : null}
      {partial ? <Notice icon="history">{partial}</Notice> : null}
      {document.warnings.map((warning) => (
        <Notice key={warning} icon="warning">
          {warning}
        </Notice>
      ))}
      {broken ? <Notice icon="warning">{broken}</Notice> : null}
    </>
  );
}

function Checks(props: LoadedProps): VNode | null {
  const { document } = props;
  if (document.checks.length === 0) return null;
  return (
    <section class="m-checks">
      <div class="m-heading">
        <h2>{checksTitle(document.checks)}</h2>
      </div>
      <ScrollTable {...props} table={checksTable(document.checks)} bare />
    </section>
  );
}

/** Without the panel's padding. */
const innerWidth = (width: number): number => Math.max(260, width - (width < 600 ? 24 : 36));

function Pictures(props: LoadedProps): VNode {
  const { document, width } = props;
  const layout = layoutPage(innerWidth(width));
  return (
    <div class={layout.columns === 2 ? 'm-pictures m-two' : 'm-pictures'}>
      {document.pictures.map((picture) => (
        <section key={picture.id} class={isWide(picture) ? 'm-picture m-whole' : 'm-picture'}>
          {picture.type === 'coupling' ? (
            <CouplingView {...props} picture={picture} width={innerWidth(width)} />
          ) : (
            <PictureView {...props} picture={picture} width={layout.widthOf(picture)} />
          )}
        </section>
      ))}
    </div>
  );
}

function Tables(props: LoadedProps): VNode {
  return (
    <div
      class={props.document.pictures.some(({ type }) => type === 'coupling') ? 'm-tables m-wide-tables' : 'm-tables'}
    >
      {props.document.pictures.flatMap(tablesOf).map((table) => (
        <ScrollTable key={table.id} {...props} table={table} />
      ))}
    </div>
  );
}

/** Whether cells have their numbers printed; null where there is no matrix. */
function numbersOn({ document, view, width }: LoadedProps): boolean | null {
  const layout = layoutPage(innerWidth(width));
  const fits = (picture: Picture): boolean[] => {
    if (picture.type === 'matrix') return [sizeMatrix(picture, layout.widthOf(picture)).cellWidth >= 36];
    if (picture.type !== 'coupling') return [];
    const { matrix } = couplingLayout(innerWidth(width));
    return [couplingSize(picture, { ...view, width: matrix }).numbersFit];
  };
  const all = document.pictures.flatMap(fits);
  return all.length === 0 ? null : (view.numbers ?? all.includes(true));
}

function Loaded(props: LoadedProps): VNode {
  const { document, view, actions } = props;
  return (
    <>
      <PanelHeader
        title={document.title}
        subtitle={subtitleOf(document)}
        modes={
          document.pictures.some(({ type }) => type === 'coupling') ? (
            <CouplingModes view={view} setView={actions.setView} />
          ) : null
        }
        numbers={numbersOn(props)}
        table={view.table}
        exports={exportItems(document)}
        onNumbers={(on) => actions.setView({ numbers: on })}
        onTable={(on) => actions.setView({ table: on })}
        onExport={actions.exportAs}
      />
      <Notices {...props} />
      <Checks {...props} />
      {view.table ? <Tables {...props} /> : <Pictures {...props} />}
    </>
  );
}

function Unloaded({ state, actions }: FiguresPanelProps): VNode {
  if (state.error === null) {
    return (
      <>
        <h1>{state.title}</h1>
        <ProgressLine
          progress={{ done: 0, total: 0, label: 'Reading the file' }}
          label="Reading the file"
          onCancel={() => actions.tell('openAsText')}
        />
      </>
    );
  }
  return (
    <>
      <h1>{state.title}</h1>
      <div class="m-error" role="alert">
        <p>
          <span class="codicon codicon-error" aria-hidden="true" /> <strong>This file cannot be shown</strong>
        </p>
        <p>{state.error}</p>
        <p>
          <LinkButton label="Open as Text" onClick={() => actions.tell('openAsText')} />
        </p>
      </div>
    </>
  );
}

/** The panel of an experiment's step: a pure function of the document, the person's view, the theme and the width. */
export function FiguresPanel(props: FiguresPanelProps): VNode {
  const { document } = props.state;
  return (
    <main class="m-panel" data-status={document === null ? 'empty' : 'ready'}>
      {document === null ? <Unloaded {...props} /> : <Loaded {...props} document={asFigures(document)} />}
    </main>
  );
}
