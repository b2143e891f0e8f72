import type { VNode } from 'preact';
import { useMemo } from 'preact/hooks';
import { KeyList } from './KeyList.tsx';
import { Hatch, hatchId } from './Mark.tsx';
import { CellOutline, MatrixFrame, MatrixRows, SelectedCell } from './MatrixDrawing.tsx';
import { RowLabels } from './MatrixRowLabels.tsx';
import { MenuList } from './Menu.tsx';
import { matrixKeys } from './matrixKeyboard.ts';
import { boxOf, cellAt, findCell, type MatrixModel } from './matrixModel.ts';
import type { MatrixFigureProps } from './matrixProps.ts';
import { describeMatrix } from './matrixText.ts';
import { HoverBox, Readout } from './Readout.tsx';
import { type MatrixBehaviour, useMatrix } from './useMatrix.ts';

const gridRole = (model: MatrixModel) =>
  ({ role: 'grid', 'aria-rowcount': model.rows.length, 'aria-colcount': model.columns.length }) as const;
const groupRole = { role: 'group' as const };

function Drawing({ props, does }: { props: MatrixFigureProps; does: MatrixBehaviour }): VNode {
  const { theme, model, marks, numbers } = props;
  const { geometry, active } = does;
  // Hovering redraws the outlines only; the cells are kept.
  const rows = useMemo(
    () => (
      <MatrixRows theme={theme} model={model} marks={marks} numbers={numbers} geometry={geometry} active={active} />
    ),
    [theme, model, marks.selected, marks.row, numbers, geometry, active.row, active.col],
  );
  const outline = { theme, model, geometry };
  return (
    <svg
      class="m-matrix"
      width={geometry.width}
      height={geometry.height}
      {...gridRole(model)}
      aria-label={model.title}
      data-matrix={model.id}
    >
      <Hatch theme={theme} id={hatchId(model)} />
      {rows}
      <MatrixFrame theme={theme} model={model} marks={marks} numbers={numbers} geometry={geometry} />
      <CellOutline {...outline} at={does.pinned} kind="pinned" />
      <SelectedCell {...outline} at={findCell(model, marks.selected)} />
      <CellOutline {...outline} at={active} kind="focused" />
    </svg>
  );
}

/** Hover box and context menu, above the drawing. */
function Overlays({ model, does }: { model: MatrixModel; does: MatrixBehaviour }): VNode {
  const { boxed } = does.hover;
  const cell = boxed ? cellAt(model, boxed.at) : undefined;
  return (
    <>
      {boxed && cell ? (
        <HoverBox
          model={model}
          cell={cell}
          x={boxed.left + boxOf(model, does.geometry, boxed.at).width + 6}
          y={boxed.top + model.rowHeight + 4}
        />
      ) : null}
      {does.menu ? (
        <MenuList
          label={cellAt(model, does.menu.at)?.name ?? ''}
          items={cellMenu}
          at={does.menu}
          onPick={does.onPick}
          onClose={does.closeMenu}
        />
      ) : null}
      {does.keysShown ? <KeyList keys={matrixKeys} /> : null}
    </>
  );
}

const cellMenu = [
  { id: 'value', label: 'Copy Value' },
  { id: 'row', label: 'Copy Row' },
  { id: 'open', label: 'Open' },
];

/**
 * A grid of numbers: mouse, keyboard, read-out, hover. One tab stop; see `matrixKeys` for what keys do.
 */
export function MatrixFigure(props: MatrixFigureProps): VNode {
  const { theme, model, marks } = props;
  const does = useMatrix(props);
  const about = `${model.id}-about`;
  const cell = does.shown ? cellAt(model, does.shown) : undefined;
  return (
    <figure ref={does.host} class="m-figure" {...groupRole} aria-label={model.title} aria-describedby={about}>
      {props.heading ? <div class="m-heading">{props.heading}</div> : null}
      <p id={about} class="m-hidden">
        {describeMatrix(model)}
      </p>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the grid inside is what is focused; events bubble to here. */}
      <div
        class="m-scroll"
        onMouseMove={does.hover.onMove}
        onMouseLeave={does.hover.clear}
        onClick={does.onClick}
        onKeyDown={does.onKeyDown}
        onContextMenu={does.onContextMenu}
        onFocusIn={() => does.onFocus(true)}
        onFocusOut={() => does.onFocus(false)}
      >
        {model.labelWidth > 0 ? <RowLabels theme={theme} model={model} marks={marks} /> : null}
        <Drawing props={props} does={does} />
      </div>
      <Overlays model={model} does={does} />
      {props.caption ? <p class="m-caption">{props.caption}</p> : null}
      <Readout model={model} cell={cell} pinned={does.pinned ? cellAt(model, does.pinned) : undefined} />
    </figure>
  );
}
