import type { VNode } from 'preact';
import { fitText } from '../charts/chartText.ts';
import type { MatrixMarks } from './MatrixDrawing.tsx';
import { headLabelY } from './MatrixHeads.tsx';
import { geometryOf, type MatrixModel } from './matrixModel.ts';
import { wrapText } from './stillSvg.tsx';
import { fitToken } from './text.ts';
import type { Theme } from './theme.ts';

interface LabelProps {
  readonly theme: Theme;
  readonly model: MatrixModel;
  readonly marks: MatrixMarks;
}

const groupLine = 14;

/** Names of groups of rows: at the left of their first row, or in the gap over it. */
function RowGroups({ theme, model }: Omit<LabelProps, 'marks'>): VNode {
  const { y } = geometryOf(model);
  const { groupWidth = 0, rows } = model;
  return (
    <g font-family={theme.uiFont} font-size={11} font-weight={600} fill={theme.palette.foreground}>
      {rows.map(({ id, group }, r) => {
        if (group === undefined || group === rows[r - 1]?.group) return null;
        if (groupWidth === 0) {
          return (
            <text key={id} x={2} y={y[r] - 5}>
              {group}
            </text>
          );
        }
        const own = rows.filter((row) => row.group === group).length;
        const lines = Math.max(1, Math.floor((own * model.rowHeight) / groupLine));
        const wrapped = wrapText(group, groupWidth - 8, 11).slice(0, lines);
        return (
          <g key={id}>
            {wrapped.map((line, i) => (
              <text key={i} x={2} y={y[r] + model.rowHeight / 2 + 3.5 + i * groupLine}>
                {fitText(line, groupWidth - 6, 11)}
              </text>
            ))}
          </g>
        );
      })}
    </g>
  );
}

/** The row labels: a drawing of its own, so that it stays in place when the cells scroll sideways. */
export function RowLabels({ theme, model, marks }: LabelProps): VNode {
  const geometry = geometryOf(model);
  const { palette } = theme;
  return (
    <svg class="m-row-labels" width={model.labelWidth} height={geometry.height} aria-hidden="true" focusable="false">
      <rect width={model.labelWidth} height={geometry.height} fill={palette.background} />
      {(model.headLabels ?? []).map((label, line, all) => (
        <text
          key={label}
          x={model.labelWidth - 6}
          y={headLabelY(model, line, all.length)}
          text-anchor="end"
          font-family={theme.uiFont}
          font-size={11}
          fill={palette.secondary}
        >
          {label}
        </text>
      ))}
      {model.rows.some(({ group }) => group !== undefined) && <RowGroups theme={theme} model={model} />}
      {model.rows.map((row, r) => {
        const strong = row.id === marks.row;
        if (row.label === '' && !strong) return null;
        return (
          <text
            key={row.id}
            x={model.labelWidth - 6}
            y={geometry.y[r] + model.rowHeight / 2 + 3.5}
            text-anchor="end"
            font-family={row.isToken ? theme.codeFont : theme.uiFont}
            font-size={row.isToken ? 10 : 11}
            font-weight={strong ? 600 : 400}
            fill={strong ? palette.foreground : palette.secondary}
          >
            {row.isToken ? fitToken(row.label, model.labelWidth - 8, 10) : row.label}
          </text>
        );
      })}
    </svg>
  );
}
