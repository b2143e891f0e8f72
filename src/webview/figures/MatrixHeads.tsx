import type { VNode } from 'preact';
import { fitText } from '../charts/chartText.ts';
import type { Geometry, MatrixColumn, MatrixModel } from './matrixModel.ts';
import { wrapText } from './stillSvg.tsx';
import { fitToken } from './text.ts';
import type { Theme } from './theme.ts';
import { unspoken } from './unspoken.ts';

/** Px from one line of tokens to the next. */
export const headLine = 15;

/** Baseline of a line of column labels: the last one is nearest to the cells. */
export function headLabelY({ headHeight }: MatrixModel, line: number, lines: number): number {
  return headHeight - 6 - (lines - 1 - line) * headLine;
}

/** Lines of tokens over a column, the last one nearest to the cells. */
function TokenHeads(props: { theme: Theme; model: MatrixModel; column: MatrixColumn; x: number }): VNode {
  const { theme, model, column, x } = props;
  const heads = column.heads ?? [];
  return (
    <g font-family={theme.codeFont} font-size={10} fill={theme.palette.foreground}>
      {heads.map(({ text, differs }, line) => (
        <text
          key={line}
          x={x + 4}
          y={headLabelY(model, line, heads.length)}
          {...(differs ? { 'text-decoration': 'underline', 'font-weight': 600 } : {})}
        >
          {fitToken(text, column.width - 5, 10)}
        </text>
      ))}
    </g>
  );
}

/** Px of one of the at most two lines that a group's name takes. */
const groupLine = 14;
const groupRule = 2 * groupLine + 2.5;

/** Names of groups of columns with a line over all their columns. */
function ColumnGroups({ theme, model, geometry }: { theme: Theme; model: MatrixModel; geometry: Geometry }): VNode {
  const { columns } = model;
  const starts = columns.flatMap(({ group }, c) => (group !== undefined && group !== columns[c - 1]?.group ? [c] : []));
  return (
    <g font-family={theme.uiFont} font-size={11} font-weight={600} fill={theme.palette.foreground} text-anchor="middle">
      {starts.map((first, i) => {
        const last = (starts[i + 1] ?? columns.length) - 1;
        const left = geometry.x[first];
        const right = geometry.x[last] + columns[last].width;
        // The labels lean to the right, and so does what stands over them.
        const [x1, x2] = [left + tiltShift, right + tiltShift - 4];
        const lines = wrapText(columns[first].group ?? '', x2 - x1, 11).slice(0, 2);
        return (
          <g key={first}>
            {lines.map((line, l) => (
              <text key={l} x={(x1 + x2) / 2} y={11 + (l + 2 - lines.length) * groupLine}>
                {fitText(line, x2 - x1 + 10, 11)}
              </text>
            ))}
            <line x1={x1} x2={x2} y1={groupRule} y2={groupRule} stroke={theme.palette.tableRule} />
          </g>
        );
      })}
    </g>
  );
}

const tiltShift = 20;
/** Degrees that labels run upward. */
const tilt = 52;

/** Height that tilted labels of a length need, with the names of groups over them. */
export function tiltedHeight(longest: number): number {
  return Math.ceil(longest * Math.sin((tilt * Math.PI) / 180)) + 14 + 2 * groupLine;
}

/** Px that the last of them reaches beyond its column. */
export function tiltedOverhang(longest: number): number {
  return Math.max(tiltShift, Math.ceil(longest * Math.cos((tilt * Math.PI) / 180)) - 8);
}

/** Labels that run upward to the right. */
function TiltedHeads({ theme, model, geometry }: { theme: Theme; model: MatrixModel; geometry: Geometry }): VNode {
  return (
    <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary} {...unspoken}>
      <ColumnGroups theme={theme} model={model} geometry={geometry} />
      {model.columns.map(({ label, width }, c) => {
        const [x, y] = [geometry.x[c] + width / 2 + 2, model.headHeight - 5];
        return (
          <text key={c} transform={`translate(${x} ${y}) rotate(${-tilt})`}>
            {label}
          </text>
        );
      })}
    </g>
  );
}

/** Labels over the columns: the marked one is strong. */
export function HeadLabels(props: {
  theme: Theme;
  model: MatrixModel;
  column: number | null | undefined;
  geometry: Geometry;
}): VNode {
  const { theme, model, geometry } = props;
  const { palette } = theme;
  if (model.overhang !== undefined) return <TiltedHeads {...props} />;
  return (
    <g {...unspoken}>
      {model.columns.map((column, c) => {
        const strong = props.column === c;
        if (column.heads) return <TokenHeads key={c} theme={theme} model={model} column={column} x={geometry.x[c]} />;
        return (
          <text
            key={c}
            x={column.isToken ? geometry.x[c] + 4 : geometry.x[c] + (column.width - 1) / 2}
            y={model.headHeight - 6}
            text-anchor={column.isToken ? 'start' : 'middle'}
            font-family={column.isToken ? theme.codeFont : theme.uiFont}
            font-size={column.isToken ? 10 : 11}
            font-weight={strong ? 600 : 400}
            fill={strong ? palette.foreground : palette.secondary}
          >
            {column.isToken ? fitToken(column.label, column.width - 5, 10) : column.label}
          </text>
        );
      })}
    </g>
  );
}
