import type { VNode } from 'preact';
import { visibleToken } from '../../shared/format.ts';
import type { GridDocument } from '../../shared/gridDocument.ts';
import type { GridPanelState } from '../../shared/gridPanelProtocol.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { beyondScale } from '../../shared/scale.ts';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { DotPlot, dotPlotHeight } from '../figures/DotPlot.tsx';
import { StillMatrix } from '../figures/MatrixDrawing.tsx';
import { geometryOf } from '../figures/matrixModel.ts';
import { StillText, svgFile, wrapText } from '../figures/stillSvg.tsx';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { cellDots } from './gridDots.ts';
import { captionOf, gridMatrix, layoutGrid } from './gridMatrix.ts';
import { placeId, placeName } from './gridNames.ts';
import { subtitleOf, titleOf } from './gridText.ts';
import { chosenIn, type GridView, scaleFor } from './gridView.ts';

/** What an export is made of: what the panel shows. */
export interface GridExport {
  readonly document: GridDocument;
  readonly state: GridPanelState;
  readonly view: GridView;
  readonly theme: Theme;
  /** Width of the picture in px. */
  readonly width: number;
  /** Leave title and subtitle out: the page around has them. */
  readonly untitled?: boolean;
}

const pad = 18;

/** `clean  The␣nurse …`: both prompts of the item in words, where there are two. */
function promptLines({ document }: GridExport, item: number): string[] {
  const found = document.items[item];
  if (!found) return [];
  const clean = `${found.corrupted === null ? 'prompt' : 'clean'}: ${visibleToken(found.prompt)}`;
  return found.corrupted === null ? [clean] : [clean, `corrupted: ${visibleToken(found.corrupted)}`];
}

/** The grid and the selected cell's dots as one picture. */
export function gridSvg(shown: GridExport): string {
  const { document, state, view, theme, width, untitled } = shown;
  const chosen = chosenIn(document, view, state);
  const layout = layoutGrid({ document, view, width: Math.max(width, 1000), contrast: isHighContrast(theme.palette) });
  const { max } = scaleFor(document, view, state);
  const model = gridMatrix(document, state.compared, view, chosen, layout, max);
  const geometry = geometryOf(model);
  const values = model.rows.flatMap(({ cells }) => cells.map((cell) => cell?.value ?? Number.NaN));
  const title = titleOf(document, chosen.item);
  const head = untitled ? [] : wrapText(subtitleOf(document), Math.max(width, 1000) - 2 * pad, 12);
  const prompts =
    document.items.length === 1
      ? promptLines(shown, 0).flatMap((line) => wrapText(line, Math.max(width, 1000) - 2 * pad, 12))
      : [];
  const top = untitled ? pad : pad + 24 + (head.length + prompts.length) * 17;
  const figureTop = top + 28;
  const dots = chosen.place ? cellDots(document, chosen.place, state.compared) : null;
  const gridWidth = model.labelWidth + geometry.width;
  const dotsWidth = 480;
  const caption = captionOf(document, chosen);
  const height = Math.max(figureTop + geometry.height + 24, dots ? figureTop + dotPlotHeight(dots) : 0) + pad;
  const full = Math.max(pad + gridWidth + (dots ? 36 + dotsWidth : 0) + pad, untitled ? 0 : Math.max(width, 1000));
  const name = chosen.place ? `${placeName(document, chosen.place, chosen.item)} by prompt` : '';
  const children: VNode = (
    <g>
      {untitled ? null : <StillText theme={theme} lines={[title]} x={pad} y={pad + 13} size={15} strong />}
      <StillText theme={theme} lines={[...head, ...(untitled ? [] : prompts)]} x={pad} y={pad + 34} size={12} />
      <StillText theme={theme} lines={[model.title]} x={pad} y={top + 13} size={13} strong />
      <g transform={`translate(${pad + numberWidth(model.title, 15) + 12} ${top + 1})`}>
        <DivergingKey theme={theme} max={model.max} unit={model.unit} beyond={beyondScale(values, model.max)} />
      </g>
      <StillMatrix
        theme={theme}
        model={model}
        marks={{ selected: chosen.place ? placeId(chosen.place) : null }}
        numbers={layout.numbers}
        x={pad}
        y={figureTop}
      />
      <StillText theme={theme} lines={[caption]} x={pad} y={figureTop + geometry.height + 16} size={11} />
      {dots ? (
        <g transform={`translate(${pad + gridWidth + 36} ${top})`}>
          <StillText theme={theme} lines={[name]} x={0} y={13} size={13} strong />
          <g transform="translate(0 22)">
            <DotPlot theme={theme} model={dots} width={dotsWidth} />
          </g>
        </g>
      ) : null}
    </g>
  );
  return svgFile({ theme, title, width: full, height, children });
}
