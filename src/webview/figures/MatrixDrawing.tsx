import { Fragment, type VNode } from 'preact';
import { signed } from '../../shared/format.ts';
import { BarFill, BarNumber, barScale, CellFill, CellText, cellNumber, Hatch, hatchId } from './Mark.tsx';
import { HeadLabels } from './MatrixHeads.tsx';
import { RowLabels } from './MatrixRowLabels.tsx';
import {
  boxOf,
  type CellAt,
  findCell,
  type Geometry,
  geometryOf,
  type MatrixCell,
  type MatrixModel,
} from './matrixModel.ts';
import { numberWidth } from './text.ts';
import type { Theme } from './theme.ts';

/** Said by the cells' names already. */
const hidden = { 'aria-hidden': true } as const;
const gridCell = (selected: boolean) => ({ role: 'gridcell', 'aria-selected': selected }) as const;

/** What is marked in a matrix besides its values. */
export interface MatrixMarks {
  /** Cell id, outlined, its number printed. */
  readonly selected: string | null;
  readonly pinned?: string | null;
  /** Cell ids with a thin outline, beside the selected one. */
  readonly also?: readonly string[];
  /** Row id: dashed outline over the whole row, its label strong. */
  readonly row?: string | null;
  /** Column index: solid outline, its label strong. */
  readonly column?: number | null;
}

interface DrawingProps {
  readonly theme: Theme;
  readonly model: MatrixModel;
  readonly marks: MatrixMarks;
  /** Print every number. */
  readonly numbers: boolean;
}

/** The value as it is said in words: three digits and the unit, `NaN`, or `not run yet`. */
export function valueInWords(model: MatrixModel, cell: MatrixCell): string {
  if (cell.value === null) return 'not run yet';
  if (model.scale === 'sequential') return `${cell.value.toPrecision(3)} ${model.unit}`.trim();
  return `${model.measure ?? ''} ${signed(cell.value)} ${model.unit}`.trim();
}

function Outlines({ theme, model, marks, geometry }: DrawingProps & { geometry: Geometry }): VNode {
  const { focus } = theme.palette;
  const line = { fill: 'none', stroke: focus, 'pointer-events': 'none' };
  const row = model.rows.findIndex(({ id }) => id === marks.row);
  const column = marks.column ?? -1;
  const last = model.rows.length - 1;
  return (
    <g {...hidden}>
      {row >= 0 && (
        <rect
          {...line}
          x={0.5}
          y={geometry.y[row] - 0.5}
          width={geometry.width - 1}
          height={model.rowHeight}
          stroke-dasharray="3 2"
        />
      )}
      {column >= 0 && column < model.columns.length && last >= 0 && (
        <rect
          {...line}
          x={geometry.x[column] - 0.5}
          y={geometry.y[0] - 0.5}
          width={model.columns[column].width}
          height={geometry.y[last] + model.rowHeight - geometry.y[0]}
        />
      )}
      {(marks.also ?? []).map((id) => {
        const at = findCell(model, id);
        const box = at && boxOf(model, geometry, at);
        return box ? (
          <rect key={id} {...line} x={box.x} y={box.y} width={box.width - 1} height={box.height - 1} />
        ) : null;
      })}
    </g>
  );
}

/** An outline of 2 px around one cell: pinned (dashed) or focused (`m-ring`, shown by CSS). */
export function CellOutline(props: {
  theme: Theme;
  model: MatrixModel;
  geometry: Geometry;
  at: CellAt | null;
  kind: 'pinned' | 'focused';
}): VNode | null {
  const { theme, model, geometry, at, kind } = props;
  if (at === null || model.rows[at.row]?.cells[at.col] === undefined) return null;
  const box = boxOf(model, geometry, at);
  const grow = kind === 'focused' ? 2 : 0.5;
  return (
    <rect
      class={kind === 'focused' ? 'm-ring' : undefined}
      x={box.x - grow}
      y={box.y - grow}
      width={box.width - 1 + 2 * grow}
      height={box.height - 1 + 2 * grow}
      fill="none"
      stroke={theme.palette.focus}
      stroke-width={2}
      stroke-dasharray={kind === 'pinned' ? '3 2' : undefined}
      pointer-events="none"
      {...hidden}
    />
  );
}

/** The selected cell over its neighbours: its number is always printed, and gets the room it needs. */
export function SelectedCell(props: {
  theme: Theme;
  model: MatrixModel;
  geometry: Geometry;
  at: CellAt | null;
}): VNode | null {
  const { theme, model, geometry, at } = props;
  const cell = at && model.rows[at.row]?.cells[at.col];
  if (!at || !cell || model.columns[at.col].kind === 'bar') return null;
  const plain = boxOf(model, geometry, at);
  const printed =
    cell.token === undefined && cell.value !== null ? (cell.text ?? cellNumber(model, cell.value, plain.width)) : '';
  const width = Math.max(plain.width, numberWidth(printed, 10) + 7);
  const x = Math.min(geometry.width - width, Math.max(0, plain.x - (width - plain.width) / 2));
  const height = Math.max(plain.height, 14);
  const box = { x, y: plain.y - (height - plain.height) / 2, width, height };
  const mark = { theme, model, cell, box, number: true };
  return (
    <g pointer-events="none" {...hidden}>
      <CellFill {...mark} />
      <CellText {...mark} />
      <rect
        x={x - 0.5}
        y={box.y - 0.5}
        width={width}
        height={height}
        fill="none"
        stroke={theme.palette.focus}
        stroke-width={2}
      />
    </g>
  );
}

/** `, 95 percent −2.15 to −1.73` */
function spokenNote(cell: MatrixCell): string {
  const note = cell.spokenNote ?? cell.note ?? '';
  return note === '' ? '' : `, ${note}`;
}

interface RowsProps extends DrawingProps {
  readonly geometry: Geometry;
  /** The one cell that Tab reaches; null in an export. */
  readonly active: CellAt | null;
}

/** Cells with their roles and names. Bars of one column share a scale. */
export function MatrixRows({ theme, model, marks, numbers, geometry, active }: RowsProps): VNode {
  const bars = model.columns.map((column, c) =>
    barScale(column.kind === 'bar' ? model.rows.map((row) => row.cells[c]?.value ?? null) : [], column.width),
  );
  return (
    <>
      {model.rows.map((row, r) => (
        <g key={row.id} role={active === null ? undefined : 'row'}>
          {row.cells.map((cell, c) => {
            if (cell === undefined) return null;
            const bar = model.columns[c].kind === 'bar';
            const chosen = cell.id === marks.selected;
            const number = bar ? numbers || row.id === marks.row : numbers || chosen;
            const mark = { theme, model, cell, box: boxOf(model, geometry, { row: r, col: c }), number };
            const fill = bar ? <BarFill {...mark} bars={bars[c]} /> : <CellFill {...mark} />;
            const text = bar ? number && <BarNumber {...mark} bars={bars[c]} /> : <CellText {...mark} />;
            const named = active !== null && {
              ...gridCell(chosen),
              'aria-label': `${cell.spoken}, ${valueInWords(model, cell)}${spokenNote(cell)}`,
              tabindex: active.row === r && active.col === c ? 0 : -1,
              'data-cell': `${r},${c}`,
            };
            return (
              <Fragment key={c}>
                <g {...named}>{fill}</g>
                {text}
              </Fragment>
            );
          })}
        </g>
      ))}
      {model.columns.map((column, c) => {
        if (column.kind !== 'bar' || model.rows.length === 0) return null;
        const x = geometry.x[c] + bars[c].zero;
        const y2 = geometry.y[model.rows.length - 1] + model.rowHeight;
        return (
          <line key={c} x1={x} x2={x} y1={geometry.y[0]} y2={y2} stroke={theme.palette.secondary} stroke-width={1} />
        );
      })}
    </>
  );
}

/** Column labels and outlines, under or over the cells. */
export function MatrixFrame(props: DrawingProps & { geometry: Geometry }): VNode {
  return (
    <>
      <HeadLabels theme={props.theme} model={props.model} column={props.marks.column} geometry={props.geometry} />
      <Outlines {...props} />
    </>
  );
}

/** A matrix as a picture without behaviour, for exports: the same marks, labels at the left. */
export function StillMatrix({ theme, model, marks, numbers, x, y }: DrawingProps & { x: number; y: number }): VNode {
  const geometry = geometryOf(model);
  return (
    <g transform={`translate(${x} ${y})`}>
      <Hatch theme={theme} id={hatchId(model)} />
      <RowLabels theme={theme} model={model} marks={marks} />
      <g transform={`translate(${model.labelWidth} 0)`}>
        <MatrixRows theme={theme} model={model} marks={marks} numbers={numbers} geometry={geometry} active={null} />
        <MatrixFrame theme={theme} model={model} marks={marks} numbers={numbers} geometry={geometry} />
        <SelectedCell theme={theme} model={model} geometry={geometry} at={findCell(model, marks.selected)} />
      </g>
    </g>
  );
}
