import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import type { FiguresDocument, MatrixPicture, SimplePicture, TablePicture } from '../../shared/figures.ts';
import { beyondScale } from '../../shared/scale.ts';
import type { TreePicture } from '../../shared/treePicture.ts';
import type { BarColors } from '../charts/bars.tsx';
import { ChartFigure } from '../charts/ChartFigure.tsx';
import { LinkButton } from '../figures/Button.tsx';
import { DataTable, type TableModel, type TableSort } from '../figures/DataTable.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { MatrixFigure } from '../figures/MatrixFigure.tsx';
import { cellAt, cellsBySize, type MatrixModel } from '../figures/matrixModel.ts';
import type { Theme } from '../figures/theme.ts';
import { TreeFigure } from '../tree/TreeFigure.tsx';
import type { FiguresView } from './figuresView.ts';
import { type ChartPicture, chartDrawing, isEmpty, markNouns } from './pictureDrawing.tsx';
import { descents, pictureMatrix, scaleOf, sizeMatrix } from './pictureMatrix.ts';
import { pictureTable } from './pictureTables.ts';

/** What a person can do with a picture. */
export interface PictureActions {
  readonly select: (picture: string, mark: string) => void;
  readonly copy: (text: string) => void;
  readonly table: () => void;
  readonly sort: (table: string, sort: TableSort) => void;
  /** Absent where there is no experiment to change. */
  readonly descend?: (under: string) => void;
}

export interface PictureProps {
  readonly theme: Theme;
  readonly document: Pick<FiguresDocument, 'pictures'>;
  readonly view: Pick<FiguresView, 'selected' | 'numbers' | 'sorts'>;
  readonly width: number;
  readonly actions: PictureActions;
  /** Colours of bars by name. */
  readonly colors?: BarColors;
  /** Small matrices, beside other figures. */
  readonly compact?: boolean;
}

type Of<P extends SimplePicture> = PictureProps & { readonly picture: P };

function Heading({ picture }: { picture: SimplePicture }): VNode {
  return (
    <>
      <h2>{picture.title}</h2>
      {picture.subtitle === '' ? null : <h3>{picture.subtitle}</h3>}
    </>
  );
}

/** The cell that is selected until somebody chooses another one. */
function largestCell(model: MatrixModel): string | null {
  const [at] = cellsBySize(model);
  const cell = at && cellAt(model, at);
  return cell && cell.value !== null ? cell.id : null;
}

/** Where one goes down to from the selected head: each token that it may read. */
function Descend(props: {
  readonly picture: MatrixPicture;
  readonly selected: string | null;
  readonly onDescend: PictureActions['descend'];
}): VNode | null {
  const { picture, selected, onDescend } = props;
  const paths = descents(picture, selected);
  if (onDescend === undefined || paths.length === 0) return null;
  return (
    <span class="m-descend">
      {' Go down: '}
      {paths.map((path) => (
        <LinkButton key={path} label={path} onClick={() => onDescend(path)} />
      ))}
    </span>
  );
}

function MatrixView({ theme, document, picture, view, width, actions, compact = false }: Of<MatrixPicture>): VNode {
  const size = useMemo(
    () => sizeMatrix(picture, width, compact && picture.columns.labels.length > 8),
    [picture, width, compact],
  );
  const max = scaleOf(document.pictures, picture);
  const model = useMemo(() => pictureMatrix(picture, size, max), [picture, size, max]);
  const values = picture.values.flat().filter((value): value is number => value !== null);
  const { rows, columns } = picture;
  const selected = view.selected[picture.id] ?? largestCell(model);
  return (
    <MatrixFigure
      theme={theme}
      model={model}
      marks={{ selected }}
      numbers={view.numbers ?? size.cellWidth >= 36}
      heading={
        <>
          <Heading picture={picture} />
          <DivergingKey
            theme={theme}
            max={model.max}
            unit={picture.unit}
            scale={picture.scale}
            beyond={beyondScale(values, model.max)}
          />
        </>
      }
      caption={
        <>
          {[rows.name && `${rows.name} ${rows.name === 'layer' ? '↑' : '↓'}`, columns.name && `${columns.name} →`]
            .filter(Boolean)
            .join(' · ')}
          <Descend picture={picture} selected={selected} onDescend={actions.descend} />
        </>
      }
      onSelect={(cell) => actions.select(picture.id, cell.id)}
      onCopy={actions.copy}
      onTable={actions.table}
    />
  );
}

function ChartView({ theme, picture, view, width, actions, colors }: Of<ChartPicture>): VNode {
  const drawing = useMemo(() => chartDrawing(theme, picture, width, colors), [theme, picture, width, colors]);
  return (
    <ChartFigure
      theme={theme}
      title={picture.title}
      drawing={drawing}
      noun={markNouns[picture.type]}
      heading={<Heading picture={picture} />}
      selected={view.selected[picture.id] ?? null}
      onSelect={(mark) => actions.select(picture.id, mark.id)}
      onCopy={actions.copy}
      onTable={actions.table}
    />
  );
}

function TreeView({ theme, picture, view, width, actions }: Of<TreePicture>): VNode {
  return (
    <TreeFigure
      {...{ theme, picture, width }}
      heading={<Heading picture={picture} />}
      selected={view.selected[picture.id] ?? null}
      onSelect={(line) => actions.select(picture.id, line)}
      onCopy={actions.copy}
      onTable={actions.table}
    />
  );
}

interface ScrollTableProps {
  readonly theme: Theme;
  readonly table: TableModel;
  readonly view: Pick<FiguresView, 'sorts'>;
  readonly actions: Pick<PictureActions, 'sort'>;
  /** The heading over it says what it is. */
  readonly bare?: boolean;
}

/** A table that scrolls in itself, reachable by keyboard. */
export function ScrollTable({ theme, table, view, actions, bare }: ScrollTableProps): VNode {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable.
    <section class="m-table-scroll" tabIndex={0} aria-label={table.caption}>
      <DataTable
        theme={theme}
        table={table}
        hideCaption={bare}
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
      />
    </section>
  );
}

function TableView(props: Of<TablePicture>): VNode {
  const table = useMemo(() => pictureTable(props.picture), [props.picture]);
  return (
    <div class="m-figure">
      <div class="m-heading">
        <Heading picture={props.picture} />
      </div>
      <ScrollTable {...props} table={table} bare />
    </div>
  );
}

/** One picture with its heading; what is empty says so in its place. */
export function PictureView(props: Of<SimplePicture>): VNode {
  const { picture } = props;
  if (isEmpty(picture)) {
    return (
      <div class="m-figure">
        <div class="m-heading">
          <Heading picture={picture} />
        </div>
        <p class="m-caption">Nothing to draw: the step left no numbers here.</p>
      </div>
    );
  }
  if (picture.type === 'matrix') return <MatrixView {...props} picture={picture} />;
  if (picture.type === 'table') return <TableView {...props} picture={picture} />;
  if (picture.type === 'tree') return <TreeView {...props} picture={picture} />;
  return <ChartView {...props} picture={picture} />;
}
