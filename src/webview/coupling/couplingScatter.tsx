import type { VNode } from 'preact';
import type { CouplingPicture } from '../../shared/couplingPicture.ts';
import { signed, signedFixed, visibleToken } from '../../shared/format.ts';
import { AxisName, linearScale, type Plot, type Scale, ValueLines } from '../charts/Axis.tsx';
import type { ChartDrawing, ChartMark } from '../charts/chartMark.ts';
import type { Box } from '../figures/matrixModel.ts';
import { fitToken, monoWidth, numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { featureName, type Pair } from './couplingOrder.ts';
import { outermost, placeLabels } from './labelPlaces.ts';

const plotHeight = 236;
const left = 46;
const mostNames = 6;
const nameLength = 14;

type Point = readonly [x: number, y: number];

interface Frame {
  readonly theme: Theme;
  readonly picture: CouplingPicture;
  readonly pair: Pair;
  readonly corpus: NonNullable<CouplingPicture['corpus']>;
  readonly plot: Plot;
  readonly x: Scale;
  readonly y: Scale;
}

/** A line of a slope through the means, cut to the plot; null where there is nothing finite to draw. */
function lineThroughMeans({ corpus, pair, plot, x, y }: Frame, slope: number): string | null {
  const [mx, my] = [corpus.means[pair.row], corpus.means[pair.column]];
  if (![slope, mx, my].every(Number.isFinite)) return null;
  const [low, high] = [y.ticks[0], y.ticks[y.ticks.length - 1]];
  const within = (value: number): number => {
    const at = my + slope * (value - mx);
    if (slope === 0 || (at >= low && at <= high)) return value;
    return mx + ((at < low ? low : high) - my) / slope;
  };
  const ends = [x.ticks[0], x.ticks[x.ticks.length - 1]].map((end) => {
    const value = within(end);
    return `${x.of(value).toFixed(1)} ${y.of(my + slope * (value - mx)).toFixed(1)}`;
  });
  return plot.right > plot.left ? `M${ends[0]}L${ends[1]}` : null;
}

/** A slope that is drawn, and what the key says of it. */
interface KeyLine {
  readonly slope: number;
  readonly text: string;
  readonly color: string;
  readonly dash?: string;
}

function keyLines({ theme, picture, pair }: Frame): KeyLine[] {
  const { values } = picture;
  const at = (name: keyof typeof values): number | null => values[name][pair.row]?.[pair.column] ?? null;
  const [slope, se, c] = [at('slope'), at('se'), at('C')];
  const spread = se === null ? '' : ` ± ${signedFixed(se, se < 0.01 ? 3 : 2).replace('+', '')} (s.e.)`;
  return [
    ...(slope === null
      ? []
      : [{ slope, text: `fit, slope ${signedFixed(slope)}${spread}`, color: theme.palette.foreground }]),
    ...(c === null
      ? []
      : [{ slope: c, text: `predicted by C, ${signedFixed(c)}`, color: theme.palette.sequential, dash: '5 3' }]),
  ];
}

/** The key stands where a rising or falling cloud leaves room. */
function keyBox(frame: Frame, lines: readonly KeyLine[]): Box {
  const width = 32 + Math.max(0, ...lines.map(({ text }) => numberWidth(text, 11)));
  const x = (lines[0]?.slope ?? 1) < 0 ? frame.plot.right - width - 6 : frame.plot.left + 8;
  return { x, y: frame.plot.top + 2, width, height: lines.length * 17 + 4 };
}

function Key({ frame, lines, box }: { frame: Frame; lines: readonly KeyLine[]; box: Box }): VNode {
  const { theme } = frame;
  return (
    <g font-family={theme.uiFont} font-size={11}>
      <rect {...box} fill={theme.palette.background} opacity={0.85} />
      {lines.map(({ text, color, dash }, i) => {
        const y = box.y + 14 + i * 17;
        return (
          <g key={text}>
            <line
              x1={box.x + 2}
              x2={box.x + 24}
              y1={y - 4}
              y2={y - 4}
              stroke={color}
              stroke-width={1.75}
              stroke-dasharray={dash}
            />
            <text x={box.x + 30} y={y} fill={color}>
              {text}
            </text>
          </g>
        );
      })}
    </g>
  );
}

/** Tokens far from the others with their names. */
function Names({ frame, points, avoid }: { frame: Frame; points: readonly Point[]; avoid: Box }): VNode {
  const { theme, corpus, plot, x, y } = frame;
  const { tokens } = corpus.sample;
  const named = (i: number): string => fitToken(tokens[i], 110, 11, nameLength);
  const wanted = outermost(points, tokens)
    .slice(0, 3 * mostNames)
    .map((i) => {
      const [px, py] = points[i];
      return { point: i, x: x.of(px), y: y.of(py), width: monoWidth(named(i), 11) + 2 };
    });
  const area = { x: plot.left, y: plot.top, width: plot.right - plot.left, height: plot.bottom - plot.top };
  const { palette } = theme;
  return (
    <g font-family={theme.codeFont} font-size={11} fill={palette.foreground}>
      {placeLabels(wanted, area, [avoid], mostNames).map((label) => {
        const [px, py] = points[label.point];
        return (
          <g key={label.point}>
            <circle cx={x.of(px)} cy={y.of(py)} r={3} stroke={palette.background} />
            <text
              x={label.x}
              y={label.y}
              text-anchor={label.anchor}
              stroke={palette.background}
              stroke-width={3}
              paint-order="stroke"
            >
              {named(label.point)}
            </text>
          </g>
        );
      })}
    </g>
  );
}

function Lines({ frame, lines }: { frame: Frame; lines: readonly KeyLine[] }): VNode {
  return (
    <g fill="none" stroke-width={1.75}>
      {lines.map(({ slope, text, color, dash }) => {
        const d = lineThroughMeans(frame, slope);
        return d && <path key={text} d={d} stroke={color} stroke-dasharray={dash} />;
      })}
    </g>
  );
}

function marksOf({ corpus, picture, pair, x, y }: Frame, points: readonly Point[]): ChartMark[] {
  const { tokens, contexts } = corpus.sample;
  const marks = points.flatMap(([px, py], i): ChartMark[] => {
    if (!Number.isFinite(px) || !Number.isFinite(py)) return [];
    const name = visibleToken(tokens[i]);
    const said = `row ${signed(px)}, column ${signed(py)}`;
    return [{ id: `${i}`, series: 0, x: x.of(px), y: y.of(py), name, value: py, said, note: `… ${contexts[i]} …` }];
  });
  // Arrow keys walk from left to right.
  marks.sort((a, b) => a.x - b.x);
  const spoken = `row ${featureName(picture.features[pair.row])}, column ${featureName(picture.features[pair.column])}`;
  return marks.map((mark) => ({ ...mark, spoken: `${mark.name}, ${spoken}` }));
}

/** Scores of the row's feature against those of the column's on a sample of tokens, with the fit and what C predicts. */
export function couplingScatter(
  theme: Theme,
  picture: CouplingPicture,
  pair: Pair,
  width: number,
): ChartDrawing | null {
  const { corpus, features } = picture;
  if (corpus === null || corpus.sample.values.length === 0) return null;
  const points = corpus.sample.values.map((scores): Point => [scores[pair.row], scores[pair.column]]);
  const plot: Plot = { left, right: width - 18, top: 6, bottom: 6 + plotHeight };
  const scale = (axis: 0 | 1, start: number, end: number, wanted: number) =>
    linearScale(
      points.map((point) => point[axis]),
      { start, end, unit: 'logits', wanted },
    );
  const x = scale(0, plot.left, plot.right, Math.max(3, Math.floor(width / 90)));
  const y = scale(1, plot.bottom, plot.top, 6);
  const frame: Frame = { theme, picture, pair, corpus, plot, x, y };
  const lines = keyLines(frame);
  const box = keyBox(frame, lines);
  const dots = points
    .filter((point) => point.every(Number.isFinite))
    .map(
      ([px, py]) => `M${(x.of(px) - 1.6).toFixed(1)} ${y.of(py).toFixed(1)}a1.6 1.6 0 1 0 3.2 0a1.6 1.6 0 1 0 -3.2 0z`,
    )
    .join('');
  const middle = (plot.top + plot.bottom) / 2;
  const content = (
    <g>
      <ValueLines theme={theme} scale={y} plot={plot} axis="y" />
      <ValueLines theme={theme} scale={x} plot={plot} axis="x" />
      <path d={dots} fill={theme.palette.foreground} fill-opacity={0.4} />
      <Lines frame={frame} lines={lines} />
      <Key frame={frame} lines={lines} box={box} />
      <Names frame={frame} points={points} avoid={box} />
      <AxisName
        theme={theme}
        x={(plot.left + plot.right) / 2}
        y={plot.bottom + 30}
        text={`score of ${featureName(features[pair.row])}, logits`}
      />
      <g transform={`translate(10 ${middle}) rotate(-90)`}>
        <AxisName theme={theme} x={0} y={0} text={`score of ${featureName(features[pair.column])}, logits`} />
      </g>
    </g>
  );
  return { width, height: plot.bottom + 36, content, marks: marksOf(frame, points) };
}
