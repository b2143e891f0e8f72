import type { VNode } from 'preact';
import type { CircuitFile } from '../../shared/circuit.ts';
import type { CircuitPanelState, CircuitSetting } from '../../shared/circuitPanelProtocol.ts';
import { StillText, svgFile, wrapText } from '../figures/stillSvg.tsx';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { type ChartPicture, chartDrawing } from '../results/pictureDrawing.tsx';
import { effectsOf, subtitleOf, titleOf } from './circuitText.ts';
import type { CircuitView } from './circuitView.ts';
import { BoxShape, BoxText, DiagramGround } from './DiagramDrawing.tsx';
import { layoutDiagram } from './diagramLayout.ts';
import {
  type AnswerChoice,
  addBackPicture,
  faithfulnessPicture,
  minimalityPicture,
  nullPicture,
} from './evaluationPictures.ts';
import { RoleBar, rolesOf } from './roleMarks.tsx';

/** What an export is made of: what the panel shows. */
export interface CircuitExport {
  readonly state: CircuitPanelState;
  readonly circuit: CircuitFile;
  readonly setting: CircuitSetting;
  readonly view: CircuitView;
  readonly answer: AnswerChoice;
  readonly theme: Theme;
  readonly width: number;
  /** Leave title and subtitle out: the page around has them. */
  readonly untitled?: boolean;
}

const pad = 18;
const gap = 30;

function Roles({ theme, circuit, x, y }: { theme: Theme; circuit: CircuitFile; x: number; y: number }): VNode {
  let at = x;
  return (
    <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary}>
      {rolesOf(circuit).map(({ role, count }, i) => {
        const text = `${role} ${count}`;
        const place = at;
        at += numberWidth(text, 11) + 28;
        return (
          <g key={role}>
            <RoleBar theme={theme} index={i} x={place} y={y - 10} height={14} />
            <text x={place + 9} y={y}>
              {text}
            </text>
          </g>
        );
      })}
    </g>
  );
}

/** A chart under its title; its height. */
function still(theme: Theme, picture: ChartPicture, width: number): { readonly node: VNode; readonly height: number } {
  const title = wrapText(picture.title, width, 13);
  const subtitle = wrapText(picture.subtitle, width, 12);
  const top = title.length * 18 + subtitle.length * 17 + 6;
  const drawing = chartDrawing(theme, picture, width);
  const node = (
    <g>
      <StillText theme={theme} lines={title} x={0} y={13} size={13} strong />
      <StillText theme={theme} lines={subtitle} x={0} y={13 + title.length * 18} size={12} />
      <g transform={`translate(0 ${top})`}>{drawing.content}</g>
    </g>
  );
  return { node, height: top + drawing.height };
}

/** The diagram and what speaks for it as one picture. */
export function circuitSvg(shown: CircuitExport): string {
  const { state, circuit, setting, view, answer, theme, untitled } = shown;
  const effects = effectsOf(state, circuit, answer);
  const { columns, group, threshold } = view;
  const base = Math.max(shown.width, 960);
  const input = { circuit, setting, columns, group, threshold, answer, reads: state.reads, effects };
  const layout = layoutDiagram({ ...input, width: base - 2 * pad });
  const width = Math.max(base, layout.width + 2 * pad);
  const title = titleOf(state, circuit, answer);
  const head = untitled ? [] : wrapText(subtitleOf(state, circuit), width - 2 * pad, 12);
  const top = untitled ? pad : pad + 30 + head.length * 17;
  const roles = rolesOf(circuit).map(({ role }) => role);
  const ground = { theme, layout, roles, selected: null, logitsLabel: 'logits' };
  const { evaluation } = state;
  const pictures =
    evaluation === null
      ? []
      : [faithfulnessPicture, minimalityPicture, nullPicture, addBackPicture].map((make) => make(evaluation, answer));
  const half = (width - 2 * pad - gap) / 2;
  const stills = pictures.map((picture) => still(theme, picture, half));
  const rows = [stills.slice(0, 2), stills.slice(2)];
  let y = top + 24 + layout.height + 12;
  const placed = rows.map((row) => {
    const at = y;
    y += Math.max(0, ...row.map(({ height }) => height)) + 18;
    return row.map(({ node }, i) => (
      <g key={i} transform={`translate(${pad + i * (half + gap)} ${at})`}>
        {node}
      </g>
    ));
  });
  const children = (
    <g>
      {untitled ? null : <StillText theme={theme} lines={[title]} x={pad} y={pad + 13} size={15} strong />}
      <StillText theme={theme} lines={head} x={pad} y={pad + 34} size={12} />
      <Roles theme={theme} circuit={circuit} x={pad} y={top + 12} />
      <g transform={`translate(${pad} ${top + 24})`}>
        <DiagramGround {...ground}>
          {layout.boxes.map((box) => (
            <g key={box.id}>
              <BoxShape theme={theme} box={box} roles={roles} selected={false} />
              <BoxText theme={theme} box={box} selected={false} />
            </g>
          ))}
        </DiagramGround>
      </g>
      {placed}
    </g>
  );
  return svgFile({ theme, title, width, height: Math.ceil(y), children });
}
