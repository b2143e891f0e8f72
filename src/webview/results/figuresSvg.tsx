import type { VNode } from 'preact';
import type { FiguresDocument, Picture } from '../../shared/figures.ts';
import { beyondScale } from '../../shared/scale.ts';
import { stillCoupling } from '../coupling/couplingSvg.tsx';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { StillMatrix } from '../figures/MatrixDrawing.tsx';
import { geometryOf } from '../figures/matrixModel.ts';
import { StillText, svgFile, wrapText } from '../figures/stillSvg.tsx';
import type { Theme } from '../figures/theme.ts';
import { stillTree } from '../tree/treeBar.tsx';
import { subtitleOf } from './figuresText.ts';
import type { FiguresView } from './figuresView.ts';
import { chartDrawing, columnGap, isEmpty, isWide, layoutPage } from './pictureDrawing.tsx';
import { pictureMatrix, scaleOf, sizeMatrix } from './pictureMatrix.ts';

/** What an export is made of. */
export interface FiguresExport {
  readonly document: FiguresDocument;
  readonly view: FiguresView;
  readonly theme: Theme;
  readonly width: number;
  /** Leave title and subtitle out: the page around has them. */
  readonly untitled?: boolean;
}

const pad = 18;

interface Still {
  readonly node: VNode;
  readonly height: number;
}

function stillMatrix(shown: FiguresExport, picture: Extract<Picture, { type: 'matrix' }>, width: number): Still {
  const { theme, document, view } = shown;
  const size = sizeMatrix(picture, width);
  const model = pictureMatrix(picture, size, scaleOf(document.pictures, picture));
  const values = picture.values.flat().filter((value): value is number => value !== null);
  const node = (
    <g>
      <DivergingKey
        theme={theme}
        max={model.max}
        unit={picture.unit}
        scale={picture.scale}
        beyond={beyondScale(values, model.max)}
      />
      <StillMatrix
        theme={theme}
        model={model}
        marks={{ selected: view.selected[picture.id] ?? null }}
        numbers={view.numbers ?? size.cellWidth >= 36}
        x={0}
        y={20}
      />
    </g>
  );
  return { node, height: geometryOf(model).height + 24 };
}

/** A picture with its title and subtitle; null for tables, which an SVG is not the place for. */
function stillPicture(shown: FiguresExport, picture: Picture, width: number): Still | null {
  const { theme } = shown;
  if (picture.type === 'coupling') return stillCoupling({ theme, picture, view: shown.view, width });
  if (picture.type === 'table' || isEmpty(picture)) return null;
  const title = wrapText(picture.title, width, 13);
  const subtitle = wrapText(picture.subtitle, width, 12);
  const top = title.length * 18 + subtitle.length * 17 + 6;
  const still =
    picture.type === 'matrix'
      ? stillMatrix(shown, picture, width)
      : picture.type === 'tree'
        ? stillTree(theme, picture, width)
        : null;
  const drawing = picture.type === 'matrix' || picture.type === 'tree' ? null : chartDrawing(theme, picture, width);
  const node = (
    <g>
      <StillText theme={theme} lines={title} x={0} y={13} size={13} strong />
      <StillText theme={theme} lines={subtitle} x={0} y={13 + title.length * 18} size={12} />
      <g transform={`translate(0 ${top})`}>{still?.node ?? drawing?.content}</g>
    </g>
  );
  return { node, height: top + (still?.height ?? drawing?.height ?? 0) };
}

/** Every picture but tables as one drawing, in one or two columns. */
export function figuresSvg(shown: FiguresExport): string {
  const { document, theme, untitled } = shown;
  const width = Math.max(shown.width, 640);
  const inner = width - 2 * pad;
  const layout = layoutPage(inner);
  const head = untitled ? [] : wrapText(subtitleOf(document), inner, 12);
  let y = untitled ? pad : pad + 30 + head.length * 17;
  let left: Still | null = null;
  const placed: VNode[] = [];
  const put = (still: Still, x: number): void => {
    placed.push(
      <g key={placed.length} transform={`translate(${x} ${y})`}>
        {still.node}
      </g>,
    );
  };
  for (const picture of document.pictures) {
    const still = stillPicture(shown, picture, layout.widthOf(picture));
    if (still === null) continue;
    if (layout.columns === 1 || isWide(picture)) {
      if (left !== null) y += left.height + 24;
      left = null;
      put(still, pad);
      y += still.height + 24;
    } else if (left === null) {
      put(still, pad);
      left = still;
    } else {
      put(still, pad + Math.floor((inner - columnGap) / 2) + columnGap);
      y += Math.max(left.height, still.height) + 24;
      left = null;
    }
  }
  if (left !== null) y += left.height + 24;
  const children = (
    <g>
      {untitled ? null : <StillText theme={theme} lines={[document.title]} x={pad} y={pad + 13} size={15} strong />}
      <StillText theme={theme} lines={head} x={pad} y={pad + 34} size={12} />
      {placed}
    </g>
  );
  return svgFile({ theme, title: document.title, width, height: Math.ceil(y), children });
}
