import type { VNode } from 'preact';
import type { CouplingPicture } from '../../shared/couplingPicture.ts';
import { signed } from '../../shared/format.ts';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { StillMatrix } from '../figures/MatrixDrawing.tsx';
import { geometryOf } from '../figures/matrixModel.ts';
import { StillText, wrapText } from '../figures/stillSvg.tsx';
import type { Theme } from '../figures/theme.ts';
import type { FiguresView } from '../results/figuresView.ts';
import { couplingBeyond, couplingMatrix, couplingSize } from './couplingMatrix.ts';
import { chosenPair, featureName, type Pair, pairId } from './couplingOrder.ts';
import { couplingLayout } from './couplingProps.ts';
import { couplingScatter } from './couplingScatter.tsx';
import {
  corpusText,
  flaggedText,
  measureFormulas,
  measureNames,
  normalisesText,
  otherNumbers,
  rhoWarning,
} from './couplingText.ts';
import { normSubtitle, normTitle } from './NormSection.tsx';
import { normDrawing } from './normDrawing.tsx';

/** A drawing with its height, px. */
export interface Still {
  readonly node: VNode;
  readonly height: number;
}

interface StillProps {
  readonly theme: Theme;
  readonly picture: CouplingPicture;
  readonly view: Pick<FiguresView, 'selected' | 'numbers' | 'measure' | 'grouping'>;
  readonly width: number;
}

type PartProps = StillProps & { readonly pair: Pair };

/** Title, lines under it, drawing, lines at its foot. */
function part(
  theme: Theme,
  width: number,
  texts: { readonly title: string; readonly under: string; readonly foot?: readonly string[] },
  drawing: Still,
): Still {
  const under = wrapText(texts.under, width, 12);
  const top = 20 + under.length * 17;
  const foot = (texts.foot ?? []).flatMap((line) => wrapText(line, width, 12));
  const node = (
    <g>
      <StillText theme={theme} lines={[texts.title]} x={0} y={13} size={13} strong />
      <StillText theme={theme} lines={under} x={0} y={31} size={12} />
      <g transform={`translate(0 ${top})`}>{drawing.node}</g>
      <StillText theme={theme} lines={foot} x={0} y={top + drawing.height + 18} size={12} />
    </g>
  );
  return { node, height: top + drawing.height + foot.length * 17 + 12 };
}

function matrixPart({ theme, picture, view, width, pair }: PartProps): Still {
  const { measure, grouping } = view;
  const model = couplingMatrix(picture, { measure, grouping, width });
  const { features, values } = picture;
  const value = values[measure][pair.row]?.[pair.column] ?? null;
  const foot = [
    `${featureName(features[pair.row])} → ${featureName(features[pair.column])}  ${measureNames[measure]} ${value === null ? 'not measured' : signed(value)}  ${otherNumbers(picture, pair, measure)}`,
    ...[flaggedText(picture), normalisesText(measure, picture)].filter((line) => line !== null),
  ];
  const node = (
    <g>
      <DivergingKey theme={theme} max={model.max} unit="" beyond={couplingBeyond(model)} />
      <StillMatrix
        theme={theme}
        model={model}
        marks={{ selected: pairId(pair) }}
        numbers={view.numbers ?? couplingSize(picture, { grouping, width }).numbersFit}
        x={0}
        y={20}
      />
    </g>
  );
  const drawing = { node, height: geometryOf(model).height + 20 };
  return part(theme, width, { title: model.title, under: measureFormulas[measure], foot }, drawing);
}

function detailParts({ theme, picture, width, pair }: PartProps): Still[] {
  const parts: Still[] = [];
  const scatter = couplingScatter(theme, picture, pair, width);
  if (scatter !== null && picture.corpus !== null) {
    const texts = { title: 'Measured on text', under: corpusText(picture.corpus) };
    parts.push(part(theme, width, texts, { node: scatter.content, height: scatter.height }));
  }
  const { observable } = picture.features[pair.row];
  const card = picture.norms.find((one) => one.observable === observable);
  if (card !== undefined) {
    const norm = normDrawing(theme, card, width);
    const warning = rhoWarning(picture, observable);
    const texts = { title: normTitle, under: normSubtitle(card), foot: warning === null ? [] : [warning.text] };
    parts.push(part(theme, width, texts, { node: norm.content, height: norm.height }));
  }
  return parts;
}

/** The whole panel of a coupling as one drawing, laid out as the page is at that width. */
export function stillCoupling(props: StillProps): Still | null {
  const { picture, view, width } = props;
  const pair = chosenPair(picture, view.selected[picture.id]);
  if (pair === null) return null;
  const { layout, matrix, detail } = couplingLayout(width);
  const main = matrixPart({ ...props, pair, width: matrix });
  const details = detailParts({ ...props, pair, width: detail });
  const start = layout === 'beside' ? 0 : main.height + 18;
  const left = layout === 'beside' ? width - detail : 0;
  let y = start;
  let height = main.height;
  const placed = details.map((own, i) => {
    const beside = layout === 'under' ? i * (width - detail) : left;
    const at = { x: beside, y: layout === 'under' ? start : y };
    y += own.height + 18;
    height = Math.max(height, at.y + own.height);
    return (
      <g key={i} transform={`translate(${at.x} ${at.y})`}>
        {own.node}
      </g>
    );
  });
  return {
    node: (
      <g>
        {main.node}
        {placed}
      </g>
    ),
    height,
  };
}
