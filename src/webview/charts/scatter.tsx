import type { VNode } from 'preact';
import type { ScatterPicture } from '../../shared/figures.ts';
import { share } from '../../shared/format.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { AxisName, linearScale, type Plot, ValueLines } from './Axis.tsx';
import type { ChartDrawing, ChartMark } from './chartMark.ts';
import { valueText } from './chartText.ts';
import { Shape, shapePath } from './Shape.tsx';

const plotHeight = 260;
const left = 52;

/** Colours of groups: each has a shape as well, since colour never stands alone. */
function groupColors({ palette }: Theme): readonly string[] {
  return [palette.category1, palette.category2, palette.sequential, palette.foreground, palette.secondary];
}

/** `name, unit`; a unit that is empty says nothing. */
function axisName({ name, unit }: ScatterPicture['x']): string {
  return unit === '' || name.includes(unit) ? name : `${name}, ${unit}`;
}

function keyText(picture: ScatterPicture, group: number): string {
  const r = picture.correlations[group];
  const name = picture.groups[group];
  return r === null || r === undefined ? name : `${name} · r ${share(r)}`;
}

/** The groups' shapes and names with their correlations, in as many lines as they need. */
function Key({ theme, picture, width }: { theme: Theme; picture: ScatterPicture; width: number }): {
  node: VNode;
  height: number;
} {
  const colors = groupColors(theme);
  let x = left;
  let y = 12;
  const items = picture.groups.map((_, group) => {
    const text = keyText(picture, group);
    const wide = numberWidth(text, 11) + 26;
    if (x + wide > width && x > left) {
      x = left;
      y += 16;
    }
    const at = { x, y, text };
    x += wide;
    return at;
  });
  const node = (
    <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary}>
      {items.map((item, group) => (
        <g key={group}>
          <Shape
            group={group}
            x={item.x + 4}
            y={item.y - 4}
            color={colors[group % colors.length]}
            ground={theme.palette.background}
          />
          <text x={item.x + 13} y={item.y}>
            {item.text}
          </text>
        </g>
      ))}
    </g>
  );
  return { node, height: picture.groups.length === 0 ? 4 : y + 8 };
}

/** Points told apart by shape; the points of a group are one path, so that thousands stay quick. */
export function scatterDrawing(theme: Theme, picture: ScatterPicture, width: number): ChartDrawing {
  const key = Key({ theme, picture, width });
  const plot: Plot = { left, right: width - 12, top: key.height + 20, bottom: key.height + 20 + plotHeight };
  const xs = picture.points.map(({ x }) => x);
  const ys = picture.points.map(({ y }) => y);
  const x = linearScale(xs, {
    start: plot.left,
    end: plot.right,
    unit: picture.x.unit || picture.x.name,
    wanted: Math.max(3, Math.floor(width / 90)),
  });
  const y = linearScale(ys, { start: plot.bottom, end: plot.top, unit: picture.y.unit || picture.y.name, wanted: 6 });
  const colors = groupColors(theme);
  const marks: ChartMark[] = [];
  const paths = Array.from({ length: Math.max(1, picture.groups.length) }, () => '');
  picture.points.forEach((point, i) => {
    if (!Number.isFinite(point.x) || !Number.isFinite(point.y)) return;
    const [px, py] = [x.of(point.x), y.of(point.y)];
    paths[point.group] = `${paths[point.group] ?? ''}${shapePath(point.group, px, py, 2.5).d}`;
    marks.push({
      id: `${i}`,
      series: point.group,
      x: px,
      y: py,
      name: [picture.groups[point.group] ?? '', point.label].filter((text) => text !== '').join(', '),
      value: point.y,
      said: valueText(point.y, picture.y.unit || picture.y.name),
      note: `${picture.x.name} ${valueText(point.x, picture.x.unit || picture.x.name)}`,
    });
  });
  // Arrow keys walk a group from left to right.
  marks.sort((a, b) => a.series - b.series || a.x - b.x);
  const content = (
    <g>
      {key.node}
      <ValueLines theme={theme} scale={y} plot={plot} axis="y" />
      <ValueLines theme={theme} scale={x} plot={plot} axis="x" />
      {paths.map((d, group) => {
        const { filled } = shapePath(group, 0, 0);
        const color = colors[group % colors.length];
        return d === '' ? null : (
          <path
            key={group}
            d={d}
            fill={filled ? color : 'none'}
            fill-opacity={0.8}
            stroke={color}
            stroke-width={filled ? 0 : 1.1}
          />
        );
      })}
      <AxisName theme={theme} x={(plot.left + plot.right) / 2} y={plot.bottom + 30} text={axisName(picture.x)} />
      <AxisName theme={theme} x={0} y={key.height + 10} text={axisName(picture.y)} anchor="start" />
    </g>
  );
  return { width, height: plot.bottom + 36, content, marks };
}
