import type { VNode } from 'preact';
import type { Geometry, MatrixColumn, MatrixModel } from './matrixModel.ts';
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

/** Labels over the columns: the marked one is strong. */
export function HeadLabels(props: {
  theme: Theme;
  model: MatrixModel;
  column: number | null | undefined;
  geometry: Geometry;
}): VNode {
  const { theme, model, geometry } = props;
  const { palette } = theme;
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
