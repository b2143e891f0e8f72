import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { sequentialColor } from '../../shared/color.ts';
import { MatrixFigure } from './MatrixFigure.tsx';
import { matrixKey } from './matrixKeyboard.ts';
import { type CellAt, cellAt, findCell, geometryOf, nearestCell } from './matrixModel.ts';
import type { MatrixFigureProps } from './matrixProps.ts';
import { copyOfCell, describeMatrix } from './matrixText.ts';
import { Readout } from './Readout.tsx';

/** Above this many positions one element a cell is too much: the pattern is painted on a canvas. */
const canvasAbove = 64;

function paint(canvas: HTMLCanvasElement, { theme, model, marks }: MatrixFigureProps, active: CellAt | null): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const geometry = geometryOf(model);
  const ratio = globalThis.devicePixelRatio || 1;
  canvas.width = Math.round(geometry.width * ratio);
  canvas.height = Math.round(geometry.height * ratio);
  context.scale(ratio, ratio);
  context.fillStyle = theme.palette.background;
  context.fillRect(0, 0, geometry.width, geometry.height);
  // 256 shades are as many as the eye needs; mixing once each keeps large patterns fast.
  const shades = Array.from({ length: 256 }, (_, i) => sequentialColor(theme.palette, i / 255, 1));
  model.rows.forEach((row, r) => {
    row.cells.forEach((cell, c) => {
      if (cell === undefined) return;
      context.fillStyle =
        cell.value === null ? theme.palette.grid : shades[Math.round(255 * Math.min(1, Math.max(0, cell.value)))];
      context.fillRect(geometry.x[c], geometry.y[r], model.columns[c].width, model.rowHeight);
    });
  });
  const outline = (at: CellAt | null): void => {
    if (at === null) return;
    context.strokeStyle = theme.palette.focus;
    context.lineWidth = 2;
    context.strokeRect(
      geometry.x[at.col] - 1,
      geometry.y[at.row] - 1,
      model.columns[at.col].width + 2,
      model.rowHeight + 2,
    );
  };
  outline(findCell(model, marks.selected));
  outline(active);
}

function AttentionCanvas(props: MatrixFigureProps): VNode {
  const { model, marks } = props;
  const geometry = geometryOf(model);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState<CellAt | null>(null);
  useEffect(() => {
    if (canvas.current) paint(canvas.current, props, at);
  }, [props.theme, model, marks.selected, at]);
  const selected = findCell(model, marks.selected);
  const shown = (at && cellAt(model, at) ? at : null) ?? selected;
  const cell = shown ? cellAt(model, shown) : undefined;
  const point = (event: MouseEvent): CellAt | null => {
    const rect = canvas.current?.getBoundingClientRect();
    return rect ? nearestCell(model, geometry, event.clientX - rect.left, event.clientY - rect.top) : null;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const from = shown ?? { row: model.rows.length - 1, col: 0 };
    const action = matrixKey(model, from, { key: event.key, ctrl: event.ctrlKey || event.metaKey, alt: event.altKey });
    if (action === null) return;
    event.preventDefault();
    event.stopPropagation();
    if (action.type === 'move') setAt(action.to);
    if (action.type === 'open' && cell) props.onSelect(cell);
    if (action.type === 'copy') props.onCopy(copyOfCell(model, from));
    if (action.type === 'table') props.onTable();
    if (action.type === 'dismiss') setAt(null);
  };
  return (
    <figure class="m-figure" aria-label={model.title}>
      {props.heading ? <div class="m-heading">{props.heading}</div> : null}
      <div class="m-scroll">
        <canvas
          ref={canvas}
          class="m-canvas"
          role="img"
          tabIndex={0}
          aria-label={describeMatrix(model)}
          style={{ width: `${geometry.width}px`, height: `${geometry.height}px` }}
          onMouseMove={(event) => setAt(point(event))}
          onMouseLeave={() => setAt(null)}
          onClick={(event) => {
            const hit = point(event);
            const picked = hit ? cellAt(model, hit) : undefined;
            if (picked) props.onSelect(picked);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      {props.caption ? <p class="m-caption">{props.caption}</p> : null}
      <Readout model={model} cell={cell} pinned={undefined} />
    </figure>
  );
}

/** An attention pattern: query downward, key to the right, background → one colour. */
export function AttentionFigure(props: MatrixFigureProps): VNode {
  return props.model.rows.length > canvasAbove ? <AttentionCanvas {...props} /> : <MatrixFigure {...props} />;
}
