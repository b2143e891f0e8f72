import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { signed } from '../../shared/format.ts';
import { headOfCell } from '../../shared/gridCells.ts';
import type { GridPlace } from '../../shared/gridPanelProtocol.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { AttentionFigure } from '../figures/AttentionFigure.tsx';
import { LinkButton } from '../figures/Button.tsx';
import { DataTable } from '../figures/DataTable.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { DotPlot } from '../figures/DotPlot.tsx';
import { attentionId, attentionKeyOf, attentionModel } from '../trace/attentionModel.ts';
import { cellDots } from './gridDots.ts';
import { placeName, rowLabel, rowsAreHeads } from './gridNames.ts';
import { largestCells } from './gridNumbers.ts';
import type { GridPartProps } from './gridProps.ts';
import { changedTable, itemLine, largestTable } from './gridTables.ts';
import { cellNote } from './gridText.ts';

interface PlacedProps extends GridPartProps {
  readonly place: GridPlace;
  readonly detailWidth: number;
}

function Dots({ document, state, theme, place, detailWidth }: PlacedProps): VNode {
  const { compared } = state;
  const model = useMemo(() => cellDots(document, place, compared), [document, place.row, place.column, compared]);
  return (
    <figure class="m-figure" aria-label={model.title}>
      <p class="m-caption m-right">
        {document.items.length > 1 ? 'one dot a prompt; bar: mean, 95 % bootstrap' : 'one prompt: no interval'}
      </p>
      <DotPlot theme={theme} model={model} width={detailWidth} />
    </figure>
  );
}

function MostChanged(props: PlacedProps): VNode | null {
  const { document, theme, place, chosen, view, actions, detailWidth } = props;
  // The other columns need some 210 px; a letter of the code font is 6.7 px wide.
  const letters = Math.max(12, Math.min(60, Math.floor((detailWidth - 210) / 6.7)));
  const { table, items } = changedTable(document, place, letters);
  if (items.length === 0) return null;
  return (
    <section class="m-detail-part">
      <DataTable
        theme={theme}
        table={table}
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
        selected={items.indexOf(chosen.item)}
        onSelect={(row) => actions.selectItem(items[row])}
      />
    </section>
  );
}

/** The cells with the largest change, as a table that selects. */
function Largest({ document, state, theme, chosen, view, actions }: GridPartProps): VNode | null {
  const { table, places } = largestTable(document, state.compared, chosen.item);
  if (places.length === 0) return null;
  const selected = places.findIndex(({ row, column }) => row === chosen.place?.row && column === chosen.place.column);
  return (
    <section class="m-detail-part">
      <h2>{table.caption}</h2>
      <DataTable
        theme={theme}
        table={table}
        hideCaption
        sort={view.sorts[table.id] ?? null}
        onSort={(sort) => actions.sort(table.id, sort)}
        selected={selected}
        onSelect={(row) => actions.select(places[row])}
      />
    </section>
  );
}

const readLater = ({ request }: PlacedProps['document']): boolean =>
  request.analysis === 'patch' && (request.site === 'k' || request.site === 'v');

function Attention(props: PlacedProps): VNode {
  const { document, state, theme, place, chosen, view, actions } = props;
  const item = document.items[chosen.item];
  const last = Math.max(0, (item?.tokens.length ?? 1) - 1);
  // A head by position: the query that was patched. Keys and values are read by later ones.
  const position = rowsAreHeads(document) && !readLater(document) ? Math.min(last, place.column) : last;
  const { head } = state;
  const own =
    head?.place.row === place.row && head.place.column === place.column && head.item === chosen.item ? head : null;
  const pattern = own?.detail?.pattern ?? null;
  const contrast = isHighContrast(theme.palette);
  const name = rowsAreHeads(document) ? rowLabel(document, place.row) : placeName(document, place);
  const tokens = item?.tokens ?? [];
  const model = useMemo(
    () => attentionModel({ tokens, position }, pattern, name, contrast),
    [tokens, position, pattern, name, contrast],
  );
  if (own?.error)
    return <p class="m-detail-part m-caption">{`The attention pattern could not be read: ${own.error}`}</p>;
  return (
    <section class="m-detail-part">
      <AttentionFigure
        theme={theme}
        model={model}
        marks={{ selected: attentionId(position, position), row: `q${position}` }}
        numbers={contrast && tokens.length <= 24}
        heading={
          <>
            <h3>{`Attention of ${name} on prompt ${chosen.item + 1}, unmodified run`}</h3>
            <DivergingKey theme={theme} max={1} unit="" scale="sequential" />
          </>
        }
        caption={
          <span class="m-axes">
            <span>query ↓</span>
            <span>key →</span>
          </span>
        }
        onSelect={(cell) => actions.copy(tokens[attentionKeyOf(cell.id)]?.text ?? '')}
        onCopy={actions.copy}
        onTable={() => actions.setView({ table: !view.table })}
      />
    </section>
  );
}

/** Which prompt the attention and the position labels are of: a native list, so that the keyboard has it too. */
function ItemChoice({ document, chosen, actions }: GridPartProps): VNode | null {
  if (document.items.length < 2) return null;
  // A list of ten thousand options stalls the page; the table selects those beyond.
  const most = Math.min(document.items.length, 500);
  const options = [...new Set([...Array.from({ length: most }, (_, i) => i), chosen.item])];
  return (
    <label class="m-choice">
      <span>Prompt</span>
      <select
        value={chosen.item}
        onChange={(event) => actions.selectItem(Number((event.currentTarget as HTMLSelectElement).value))}
      >
        {options.map((item) => (
          <option key={item} value={item} selected={item === chosen.item}>
            {itemLine(document, item)}
          </option>
        ))}
      </select>
    </label>
  );
}

function Placed(props: PlacedProps): VNode {
  const { document, place, chosen, state, actions } = props;
  const effect = largestCells(document).find(({ row, column }) => row === place.row && column === place.column)?.effect;
  const value = effect === undefined ? '' : `${signed(effect)} ${document.metric.unit}`.trim();
  const run = (document.values[place.row]?.[place.column] ?? null) !== null;
  return (
    <>
      <div class="m-heading">
        <h2>{`${placeName(document, place, chosen.item)}  ${run ? value || 'NaN' : 'not run yet'}`}</h2>
        {state.canRunAgain ? <LinkButton label="Open Prompt" onClick={() => actions.openItem(chosen.item)} /> : null}
      </div>
      <p class="m-caption">{cellNote(document, place)}</p>
      {run ? <Dots {...props} /> : null}
      {run ? <MostChanged {...props} /> : null}
      <ItemChoice {...props} />
      {headOfCell(document, place.row, place.column) ? <Attention {...props} /> : null}
    </>
  );
}

/** The selected cell: its prompts one by one, those it changes most, and where its head looks. */
export function CellDetail(props: GridPartProps & { detailWidth: number }): VNode | null {
  const { place } = props.chosen;
  if (place === null) return null;
  return (
    <section class="m-detail" aria-label={placeName(props.document, place, props.chosen.item)}>
      <Placed {...props} place={place} />
      <Largest {...props} />
    </section>
  );
}
