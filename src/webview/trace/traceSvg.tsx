import type { VNode } from 'preact';
import { scaledAttributions } from '../../shared/attributionScale.ts';
import { visibleToken } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { type Beyond, beyondScale, scaleMax } from '../../shared/scale.ts';
import type { HeadDetail, LensTable, TraceDocument } from '../../shared/traceDocument.ts';
import { componentName } from '../../shared/traceSelection.ts';
import { DivergingKey } from '../figures/DivergingKey.tsx';
import { type MatrixMarks, StillMatrix } from '../figures/MatrixDrawing.tsx';
import { geometryOf, type MatrixModel } from '../figures/matrixModel.ts';
import { StillText, svgFile, wrapText } from '../figures/stillSvg.tsx';
import { layoutStrip, TokenStrip } from '../figures/TokenStrip.tsx';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { attentionId, attentionModel } from './attentionModel.ts';
import { panelLayout } from './panelLayout.ts';
import { componentId, componentsModel, componentValues, lensModel, rowId } from './traceModels.ts';
import { nextTokens, readToken, stripWords, subtitleOf, titleOf } from './traceText.ts';
import { selectionIn, type TraceView, windowIn } from './viewState.ts';

/** What an export is made of: what the panel shows. */
export interface TraceShown {
  readonly document: TraceDocument;
  readonly lens: LensTable | null;
  readonly head: HeadDetail | null;
  readonly view: TraceView;
  readonly theme: Theme;
  /** Width of the picture in px. */
  readonly width: number;
  /** Leave title and subtitle out: the page around has them. */
  readonly untitled?: boolean;
}

const pad = 18;

interface Block {
  readonly title: string;
  readonly model: MatrixModel;
  readonly marks: MatrixMarks;
  readonly numbers: boolean;
  readonly unit: string;
  readonly beyond?: Beyond;
}

function StillFigure({ theme, block, x, y }: { theme: Theme; block: Block; x: number; y: number }): VNode {
  const { model, marks, title, numbers, unit } = block;
  return (
    <g>
      <StillText theme={theme} lines={[title]} x={x} y={y + 13} size={13} strong />
      <g transform={`translate(${x + numberWidth(title, 15) + 12} ${y + 1})`}>
        <DivergingKey theme={theme} max={model.max} unit={unit} scale={model.scale} beyond={block.beyond} />
      </g>
      <StillMatrix theme={theme} model={model} marks={marks} numbers={numbers} x={x} y={y + 24} />
    </g>
  );
}

function StripKey({
  theme,
  document,
  max,
  y,
}: {
  theme: Theme;
  document: TraceDocument;
  max: number;
  y: number;
}): VNode {
  const words = stripWords(document);
  return (
    <g>
      <StillText theme={theme} lines={[words]} x={pad} y={y + 12} size={11} />
      <g transform={`translate(${pad + numberWidth(words, 11) + 12} ${y})`}>
        <DivergingKey theme={theme} max={max} unit="logits" beyond={beyondScale(document.attributions, max)} />
      </g>
    </g>
  );
}

function blocksOf({ document, lens, head, view, theme, width }: TraceShown): Block[] {
  const layout = panelLayout(document, view, theme, width);
  const shown = windowIn(document, view);
  const { token, component } = selectionIn(document, view);
  const row = component && rowId(component.layer);
  const inWindow = token !== null && token >= shown.start && token < shown.end;
  const components = componentsModel(document, layout);
  const blocks: Block[] = [
    {
      title: components.title,
      model: components,
      marks: { selected: component && componentId(component), row },
      numbers: layout.numbers,
      unit: 'logits',
      beyond: beyondScale(componentValues(document), components.max),
    },
  ];
  if (lens !== null) {
    const model = lensModel(document, lens, layout, shown);
    const marks = { selected: null, row, column: inWindow && token !== null ? token - shown.start : null };
    const unit = `logits, ${document.observable.label}`;
    blocks.push({
      title: model.title,
      model,
      marks,
      numbers: layout.numbers,
      unit,
      beyond: beyondScale(lens.values.flat(), model.max),
    });
  }
  if (head !== null && component?.kind === 'head' && head.layer === component.layer && head.head === component.head) {
    const name = componentName(component);
    const model = attentionModel(document, head.pattern, name, isHighContrast(theme.palette));
    const selected = token !== null && token <= document.position ? attentionId(document.position, token) : null;
    const title = `${name} attention from ${readToken(document)}`;
    blocks.push({ title, model, marks: { selected, row: `q${document.position}` }, numbers: false, unit: '' });
  }
  return blocks;
}

/** The panel's figures as one SVG file: title, strip, component figure, lens, attention. */
export function traceSvg(shown: TraceShown): string {
  const { document, view, theme } = shown;
  const { start, end } = windowIn(document, view);
  const inner = shown.width - 2 * pad;
  const subtitle = wrapText(subtitleOf(document), inner, 12);
  const tokens = document.tokens
    .slice(start, end)
    .map(({ text }, i) => ({ position: start + i, text, value: document.attributions[start + i] ?? Number.NaN }));
  const next = end === document.tokens.length ? nextTokens(document) : [];
  const max = scaleMax(scaledAttributions(document));
  const stripTop = shown.untitled ? 6 : 42 + subtitle.length * 17;
  let x = pad;
  const keyTop = stripTop + layoutStrip(tokens, next, inner).height;
  let y = keyTop + 28;
  let bottom = y;
  let right = shown.width;
  const placed = blocksOf(shown).map((block) => {
    const geometry = geometryOf(block.model);
    const width = block.model.labelWidth + geometry.width;
    if (x > pad && x + width > shown.width + 40) {
      x = pad;
      y = bottom + 18;
    }
    const at = { block, x, y };
    bottom = Math.max(bottom, y + 24 + geometry.height);
    right = Math.max(right, x + width + pad);
    x += width + 30;
    return at;
  });
  const children = (
    <>
      {shown.untitled ? null : (
        <>
          <StillText theme={theme} lines={[titleOf(document)]} x={pad} y={28} size={15} strong />
          <StillText theme={theme} lines={subtitle} x={pad} y={48} size={12} />
        </>
      )}
      <StripKey theme={theme} document={document} max={max} y={keyTop} />
      <g transform={`translate(${pad} ${stripTop})`}>
        <TokenStrip
          theme={theme}
          tokens={tokens}
          next={next}
          max={max}
          selected={selectionIn(document, view).token}
          width={inner}
          total={document.tokens.length}
        />
      </g>
      {placed.map((at) => (
        <StillFigure key={at.block.title} theme={theme} block={at.block} x={at.x} y={at.y} />
      ))}
    </>
  );
  const title = `${titleOf(document)}: ${visibleToken(document.prompt).replaceAll('␣', ' ')}`;
  return svgFile({ theme, title, width: Math.ceil(right), height: Math.ceil(bottom + pad), children });
}
