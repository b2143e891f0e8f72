import type { VNode } from 'preact';
import { isHighContrast } from '../../shared/palette.ts';
import type { TreeLine, TreePicture } from '../../shared/treePicture.ts';
import { fitText, intervalText, numberText } from '../charts/chartText.ts';
import type { Theme } from '../figures/theme.ts';
import { barOf, indent, rowHeight, treeColumns } from './treeModel.ts';

/** Sign by colour and direction; hollow where nothing single is measured, and for negative in high contrast. */
function paintOf({ palette }: Theme, { value, kind }: TreeLine): { readonly fill: string; readonly stroke?: string } {
  const color = value < 0 ? palette.negative : palette.positive;
  if (kind === 'rest') return { fill: palette.background, stroke: palette.secondary };
  return isHighContrast(palette) && value < 0 ? { fill: palette.background, stroke: color } : { fill: color };
}

/** One line's bar with the zero that it starts from. */
export function TreeBar(props: { theme: Theme; picture: TreePicture; line: TreeLine; width: number }): VNode {
  const { theme, picture, line, width } = props;
  const { zero, ...bar } = barOf(picture, width)(line.value);
  return (
    <g>
      <line x1={zero} x2={zero} y1={0} y2={rowHeight} stroke={theme.palette.secondary} />
      <rect {...bar} y={5} height={rowHeight - 10} {...paintOf(theme, line)} />
    </g>
  );
}

/** The whole tree, open, for a file. */
export function stillTree(theme: Theme, picture: TreePicture, width: number): { node: VNode; height: number } {
  const columns = treeColumns(picture, width);
  const { foreground, secondary } = theme.palette;
  const node = (
    <g font-size={12}>
      {picture.lines.map((line, i) => {
        const start = line.depth * indent;
        const after = columns.label + columns.bar + columns.value;
        return (
          <g key={line.id} transform={`translate(0 ${i * rowHeight})`}>
            <text x={start} y={14} font-family={theme.codeFont} fill={line.kind === 'rest' ? secondary : foreground}>
              {fitText(line.label, columns.label - start, 12)}
            </text>
            <g transform={`translate(${columns.label} 0)`}>
              <TreeBar theme={theme} picture={picture} line={line} width={columns.bar} />
            </g>
            <text x={after} y={14} text-anchor="end" font-family={theme.uiFont} fill={foreground}>
              {numberText(line.value, picture.unit)}
            </text>
            {columns.interval === 0 ? null : (
              <text x={after + 8} y={14} font-family={theme.uiFont} font-size={11} fill={secondary}>
                {intervalText(line.interval, picture.unit)}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
  return { node, height: picture.lines.length * rowHeight };
}
