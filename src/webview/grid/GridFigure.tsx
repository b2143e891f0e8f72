import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { signedFixed } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { beyondScale } from '../../shared/scale.ts';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { MatrixFigure } from '../figures/MatrixFigure.tsx';
import { type Choice, Segmented } from '../figures/PanelHeader.tsx';
import { alignedTokens, captionOf, type GridLayout, gridMatrix, layoutGrid } from './gridMatrix.ts';
import { columnKind, placeId, placeOf, rowsAreHeads } from './gridNames.ts';
import { type Shown, type Side, shownChoices } from './gridNumbers.ts';
import type { GridPartProps } from './gridProps.ts';
import { afterWord, liveRow } from './gridText.ts';
import { scaleFor } from './gridView.ts';

const shownNames: Readonly<Record<Shown, string>> = { effect: 'Change', value: 'Value', normalised: 'Normalised' };
const sides: readonly Choice<Side>[] = [
  { id: 'this', label: 'This' },
  { id: 'other', label: 'Other' },
  { id: 'difference', label: 'Difference' },
];
const orders = (heads: boolean): readonly Choice<'layer' | 'size'>[] => [
  { id: 'layer', label: heads ? 'As named' : 'Layer order' },
  { id: 'size', label: 'By size' },
];

/** Layout of the grid for this document, view, theme and panel width. */
export function panelLayout({ document, view, theme, width }: GridPartProps): GridLayout {
  return layoutGrid({ document, view, width, contrast: isHighContrast(theme.palette) });
}

/** A slider that hides marks, never data; its value is said in the figure's unit. */
function Threshold({ view, actions, max, unit }: GridPartProps & { max: number; unit: string }): VNode {
  const value = view.threshold * max;
  const said = view.threshold === 0 ? 'all drawn' : `from ${signedFixed(value).replace('+', '')} ${unit}`;
  return (
    <label class="m-choice">
      <span>Threshold</span>
      <input
        type="range"
        min={0}
        max={100}
        value={Math.round(view.threshold * 100)}
        aria-valuetext={said}
        onInput={(event) =>
          actions.setView({ threshold: Number((event.currentTarget as HTMLInputElement).value) / 100 })
        }
      />
      <span class="m-quiet">{said}</span>
    </label>
  );
}

function Controls(props: GridPartProps & { max: number; unit: string }): VNode {
  const { document, state, view, chosen, actions } = props;
  const choices = shownChoices(document).map((id) => ({ id, label: shownNames[id] }));
  return (
    <div class="m-controls">
      {state.compared === null ? null : (
        <Segmented label="Result" choices={sides} value={chosen.side} onChange={(side) => actions.setView({ side })} />
      )}
      <Segmented
        label="Number"
        choices={choices}
        value={chosen.shown}
        onChange={(shown) => actions.setView({ shown })}
      />
      <Segmented
        label="Order"
        choices={orders(rowsAreHeads(document))}
        value={view.order}
        onChange={(order) => actions.setView({ order })}
      />
      <Threshold {...props} />
    </div>
  );
}

/** Clean and corrupted prompt over each other, position by position, where the columns are not positions. */
function AlignedPrompts({ document, chosen }: GridPartProps): VNode | null {
  const tokens = alignedTokens(document, chosen.item);
  if (tokens.length === 0 || columnKind(document) === 'position') return null;
  const differing = tokens.filter(({ differs }) => differs).length;
  const line = (name: 'clean' | 'corrupted'): VNode => (
    <tr>
      <th scope="row">{name}</th>
      {tokens.map((token, i) => (
        <td key={i} class={token.differs ? 'm-differs' : ''}>
          {token[name]}
        </td>
      ))}
    </tr>
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable.
    <section class="m-aligned" tabIndex={0} aria-label="Clean and corrupted prompt">
      <table>
        <caption class="m-hidden">{`${differing} of ${tokens.length} positions differ`}</caption>
        <tbody>
          {line('clean')}
          {line('corrupted')}
        </tbody>
      </table>
    </section>
  );
}

/** The heat-map with its switches. */
export function GridFigure(props: GridPartProps): VNode {
  const { document, state, theme, view, width, chosen, actions } = props;
  const layout = useMemo(() => panelLayout(props), [document, view.numbers, theme, width]);
  const { max } = scaleFor(document, view, state);
  const model = useMemo(
    () => gridMatrix(document, state.compared, view, chosen, layout, max),
    [document, state.compared, layout, max, chosen.shown, chosen.side, chosen.item, view.order, view.threshold],
  );
  const values = model.rows.flatMap(({ cells }) => cells.map((cell) => cell?.value ?? Number.NaN));
  const live = state.status === 'running' ? liveRow(document) : null;
  const selected = chosen.place ? placeId(chosen.place) : null;
  return (
    <div class="m-grid-figure" style={layout.beside ? { width: `${layout.figureWidth}px` } : {}}>
      <Controls {...props} max={model.max} unit={model.unit} />
      <AlignedPrompts {...props} />
      <MatrixFigure
        theme={theme}
        model={model}
        marks={{
          selected,
          row: live === null ? null : `r${live}`,
          also: state.marked.map(placeId).filter((id) => id !== selected),
        }}
        numbers={layout.numbers}
        heading={
          <>
            <h2>{model.title}</h2>
            <DivergingKey theme={theme} max={model.max} unit={model.unit} beyond={beyondScale(values, model.max)} />
          </>
        }
        caption={`${captionOf(document, chosen)}${document.method === 'screened' ? ` · corner dot: ${afterWord(document)} exactly` : ''}`}
        onSelect={(cell) => {
          const place = placeOf(cell.id);
          if (place) actions.select(place);
        }}
        onCopy={actions.copy}
        onTable={() => actions.setView({ table: !view.table })}
      />
    </div>
  );
}
