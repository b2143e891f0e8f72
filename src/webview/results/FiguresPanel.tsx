import type { VNode } from 'preact';
import type { FiguresDocument } from '../../shared/figures.ts';
import type { FiguresPanelState } from '../../shared/figuresPanelProtocol.ts';
import { LinkButton } from '../figures/Button.tsx';
import type { MenuItem } from '../figures/Menu.tsx';
import { PanelHeader } from '../figures/PanelHeader.tsx';
import { Notice, ProgressLine } from '../figures/States.tsx';
import type { Theme } from '../figures/theme.ts';
import { asFigures, partialText, subtitleOf } from './figuresText.ts';
import type { FiguresView } from './figuresView.ts';
import { type PictureActions, PictureView, ScrollTable } from './PictureView.tsx';
import { isWide, layoutPage } from './pictureDrawing.tsx';
import { brokenCell, sizeMatrix } from './pictureMatrix.ts';
import { checksTable, checksTitle, pictureTable } from './pictureTables.ts';

/** What a person can do in the panel. */
export interface FiguresActions extends PictureActions {
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

function exportItems({ pictures, checks }: FiguresDocument): MenuItem[] {
  return [
    { id: 'svg', label: 'SVG' },
    { id: 'png', label: 'PNG' },
    ...pictures.map(({ id, title }) => ({
      id: `csv:${id}`,
      label: `CSV: ${title.length > 40 ? `${title.slice(0, 39)}…` : title}`,
    })),
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
          <PictureView {...props} picture={picture} width={layout.widthOf(picture)} />
        </section>
      ))}
    </div>
  );
}

function Tables(props: LoadedProps): VNode {
  return (
    <div class="m-tables">
      {props.document.pictures.map((picture) => (
        <ScrollTable key={picture.id} {...props} table={pictureTable(picture)} />
      ))}
    </div>
  );
}

/** Whether cells have their numbers printed; null where there is no matrix. */
function numbersOn({ document, view, width }: LoadedProps): boolean | null {
  const layout = layoutPage(innerWidth(width));
  const matrices = document.pictures.filter((picture) => picture.type === 'matrix');
  if (matrices.length === 0) return null;
  return view.numbers ?? matrices.some((picture) => sizeMatrix(picture, layout.widthOf(picture)).cellWidth >= 36);
}

function Loaded(props: LoadedProps): VNode {
  const { document, view, actions } = props;
  return (
    <>
      <PanelHeader
        title={document.title}
        subtitle={subtitleOf(document)}
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
