import type { VNode } from 'preact';
import type { GraphPicture } from '../../shared/figures.ts';
import { signed } from '../../shared/format.ts';
import type { ChartDrawing, ChartMark } from '../charts/chartMark.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { unspoken } from '../figures/unspoken.ts';
import { BoxShape, BoxText, lineOf } from './DiagramDrawing.tsx';
import { mostNodes } from './diagramBoxes.ts';
import { boxHeight, boxWidth } from './diagramTypes.ts';
import { type GraphBox, type GraphLayout, type GraphLine, layoutGraph } from './graphLayout.ts';
import { layerOf, spokenNode } from './nodeText.ts';
import { rolesOf } from './roleMarks.tsx';

/** Links that a box's reading names. */
const fewLinks = 6;

/** `reads from emb +3.16 (v), MLP 0 +0.06 (v)`, the strongest first. */
function linksText(verb: string, lines: readonly GraphLine[], end: 'from' | 'to', other: string): string {
  const strongest = [...lines].sort((a, b) => b.size - a.size);
  const named = strongest.slice(0, fewLinks).map((line) => {
    const value = line.effect === null ? '' : ` ${signed(line.effect)}`;
    const by = line.channels.length === 0 ? '' : ` (${line.channels.join(', ')})`;
    return `${line[end]?.label ?? other}${value}${by}`;
  });
  const more = strongest.length > fewLinks ? ` and ${strongest.length - fewLinks} more` : '';
  return `${verb} ${named.join(', ')}${more}`;
}

function markOf(box: GraphBox, { lines, boxes }: GraphLayout, { nodes, unit }: GraphPicture): ChartMark {
  const known = nodes.flatMap(({ node, effect }) =>
    effect !== undefined && box.members.includes(node) ? [effect] : [],
  );
  const value = known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
  const reads = lines.filter(({ to }) => to === box);
  const writes = lines.filter(({ from }) => from === box);
  const rows = [...new Set(boxes.map(({ y }) => y))].sort((a, b) => a - b);
  const [first, ...others] = box.members;
  return {
    id: box.id,
    series: rows.indexOf(box.y),
    x: box.x + boxWidth / 2,
    y: box.y + boxHeight / 2,
    box: { x: box.x, y: box.y, width: boxWidth, height: boxHeight },
    name: others.length === 0 ? first : `${box.label}: ${box.members.join(', ')}`,
    spoken: others.length === 0 ? spokenNode(first) : `${box.members.length} nodes of layer ${box.layer}`,
    value,
    said: value === null ? 'not tried' : `${signed(value)} ${unit}`.trim(),
    note: [
      ...(reads.length > 0 ? [linksText('reads from', reads, 'from', 'emb')] : []),
      ...(writes.length > 0 ? [linksText('writes to', writes, 'to', 'the logits')] : []),
    ].join('; '),
  };
}

/** From the writer's top to the reader's foot. */
function Line({ theme, line, layout }: { theme: Theme; line: GraphLine; layout: GraphLayout }): VNode {
  const { embedding, logits } = layout;
  const largest = layout.lines.at(-1)?.size ?? 0;
  const from = line.from ? { x: line.from.x + boxWidth / 2, y: line.from.y } : { ...(embedding ?? logits) };
  const startY = line.from ? from.y : from.y - boxHeight / 2;
  const to = line.to
    ? { x: line.to.x + boxWidth / 2, y: line.to.y + boxHeight }
    : { x: logits.x, y: logits.y + boxHeight / 2 };
  const bend = Math.max(12, (startY - to.y) / 2.5);
  const { stroke, dash } = lineOf(theme, line.effect);
  return (
    <path
      d={`M${from.x} ${startY}C${from.x} ${startY - bend} ${to.x} ${to.y + bend} ${to.x} ${to.y}`}
      fill="none"
      stroke={stroke}
      stroke-width={line.effect === null || largest === 0 ? 1.25 : 1 + 5 * (line.size / largest)}
      stroke-dasharray={dash}
      opacity={0.85}
    />
  );
}

function End({ theme, label, x, y }: { theme: Theme; label: string; x: number; y: number }): VNode {
  const { palette } = theme;
  const rect = { x: x - boxWidth / 2, y: y - boxHeight / 2, width: boxWidth, height: boxHeight };
  return (
    <g {...unspoken}>
      <rect {...rect} fill={palette.background} stroke={palette.foreground} />
      <text x={x} y={y + 4} text-anchor="middle" font-family={theme.uiFont} font-size={11} fill={palette.foreground}>
        {label}
      </text>
    </g>
  );
}

/** Whether some layer has more boxes than half a page is wide. */
export function isWideGraph({ nodes, nLayers }: GraphPicture): boolean {
  if (nodes.length > mostNodes) return false;
  const layers = nodes.map(({ node }) => layerOf(node, nLayers));
  return layers.some((layer) => layers.filter((other) => other === layer).length > 6);
}

/** A circuit without its data, as a figure: boxes can be read one by one. */
export function graphDrawing(theme: Theme, picture: GraphPicture, width: number): ChartDrawing {
  const layout = layoutGraph(picture, width);
  const { boxes, lines, layers, logits, embedding } = layout;
  const widest = lines.at(-1);
  const widestText = widest?.effect == null ? '' : `widest ${signed(widest.effect)} ${picture.unit}`.trim();
  const right = logits.x + boxWidth / 2 + 14 + numberWidth(widestText, 11);
  const roles = rolesOf(picture).map(({ role }) => role);
  const { palette } = theme;
  const content = (
    <g>
      <g font-family={theme.uiFont} font-size={11} fill={palette.secondary} text-anchor="end" {...unspoken}>
        {layers.map(({ label, y }, i) => (
          <g key={y}>
            <line x1={40} x2={layout.width} y1={y} y2={y} stroke={palette.grid} opacity={0.45} />
            {label === layers[i - 1]?.label ? null : (
              <text x={32} y={y + 4}>
                {label}
              </text>
            )}
          </g>
        ))}
      </g>
      <g {...unspoken}>
        {lines.map((line) => (
          <Line key={`${line.from?.id} ${line.to?.id}`} theme={theme} line={line} layout={layout} />
        ))}
      </g>
      {widestText === '' ? null : (
        <text
          x={logits.x + boxWidth / 2 + 10}
          y={logits.y + 4}
          font-family={theme.uiFont}
          font-size={11}
          fill={palette.secondary}
          {...unspoken}
        >
          {widestText}
        </text>
      )}
      <End theme={theme} label="logits" x={logits.x} y={logits.y} />
      {embedding ? <End theme={theme} label="emb" x={embedding.x} y={embedding.y} /> : null}
      {boxes.map((box) => (
        <g key={box.id}>
          <BoxShape theme={theme} box={box} roles={roles} selected={false} />
          <BoxText theme={theme} box={box} selected={false} />
        </g>
      ))}
    </g>
  );
  const marks = [...boxes].sort((a, b) => a.y - b.y || a.x - b.x).map((box) => markOf(box, layout, picture));
  return { width: Math.ceil(Math.max(layout.width, right)), height: layout.height, content, marks };
}
