import { bin } from 'd3-array';
import type { VNode } from 'preact';
import type { HistogramPicture } from '../../shared/figures.ts';
import { count } from '../../shared/format.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { AxisName, linearScale, type Plot, type Scale, ValueLines } from './Axis.tsx';
import type { ChartDrawing, ChartMark } from './chartMark.ts';
import { numberText, valueText } from './chartText.ts';

const plotHeight = 150;

type Marker = HistogramPicture['markers'][number];

interface Frame {
  readonly theme: Theme;
  readonly picture: HistogramPicture;
  readonly plot: Plot;
  readonly x: Scale;
}

interface Bin {
  readonly low: number;
  readonly high: number;
  readonly n: number;
}

/** About 30 bins of a round width that cover the sample. */
function binsOf(values: readonly number[], ticks: readonly number[]): Bin[] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [];
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const wanted = Math.min(60, Math.max(8, Math.round(2 * Math.sqrt(finite.length)) + ticks.length));
  const bins = bin().domain([low, high]).thresholds(wanted)([...finite]);
  return bins.map((all) => ({ low: all.x0 ?? low, high: all.x1 ?? high, n: all.length }));
}

function Bars({ frame, bins, y }: { frame: Frame; bins: readonly Bin[]; y: Scale }): VNode {
  const { theme, x } = frame;
  return (
    <g fill={theme.palette.secondary}>
      {bins.map(({ low, high, n }) =>
        n === 0 ? null : (
          <rect
            key={low}
            x={x.of(low)}
            y={y.of(n)}
            width={Math.max(1, x.of(high) - x.of(low) - 1)}
            height={y.of(0) - y.of(n)}
            opacity={0.65}
          />
        ),
      )}
    </g>
  );
}

/** A value of interest as a line with its name, on the side where there is room; one line of text for each. */
function MarkerLine({ frame, marker, line }: { frame: Frame; marker: Marker; line: number }): VNode | null {
  const { theme, picture, plot, x } = frame;
  if (!Number.isFinite(marker.value)) return null;
  const at = x.of(marker.value);
  const text = `${marker.label} ${numberText(marker.value, picture.unit)}`;
  const beside = at + numberWidth(text, 11) + 8 > plot.right;
  const color = marker.emphasised ? theme.palette.foreground : theme.palette.secondary;
  const y = plot.top + 4 + line * 15;
  return (
    <g>
      <line
        x1={at}
        x2={at}
        y1={y - 10}
        y2={plot.bottom}
        stroke={color}
        stroke-width={marker.emphasised ? 2 : 1}
        stroke-dasharray={marker.emphasised ? undefined : '2 2'}
      />
      <text
        x={beside ? at - 6 : at + 6}
        y={y}
        text-anchor={beside ? 'end' : 'start'}
        font-family={theme.uiFont}
        font-size={11}
        font-weight={marker.emphasised ? 600 : 400}
        fill={color}
        stroke={theme.palette.background}
        stroke-width={3}
        paint-order="stroke"
      >
        {text}
      </text>
    </g>
  );
}

function marksOf({ picture, plot, x }: Frame, bins: readonly Bin[], y: Scale): ChartMark[] {
  const of = picture.values.filter(Number.isFinite).length;
  const bars = bins.map((one, i): ChartMark => {
    const box = {
      x: x.of(one.low),
      y: y.of(one.n),
      width: Math.max(2, x.of(one.high) - x.of(one.low) - 1),
      height: y.of(0) - y.of(one.n),
    };
    const [low, high] = [numberText(one.low, picture.unit), numberText(one.high, picture.unit)];
    return {
      id: `bin${i}`,
      series: 1,
      x: box.x + box.width / 2,
      y: box.y,
      box,
      name: `${low} to ${high}`,
      value: one.n,
      said: `${count(one.n)} of ${count(of)}`,
    };
  });
  const lines = picture.markers.flatMap((marker, i): ChartMark[] =>
    Number.isFinite(marker.value)
      ? [
          {
            id: `line${i}`,
            series: 0,
            x: x.of(marker.value),
            y: plot.top + 4,
            box: { x: x.of(marker.value) - 2, y: plot.top, width: 4, height: plot.bottom - plot.top },
            name: marker.label,
            value: marker.value,
            said: valueText(marker.value, picture.unit),
            note: `over ${count(picture.values.filter((value) => value < marker.value).length)} of ${count(of)}`,
          },
        ]
      : [],
  );
  return [...lines.sort((a, b) => a.x - b.x), ...bars];
}

/** A sample as a histogram in grey, values of interest as lines. */
export function histogramDrawing(theme: Theme, picture: HistogramPicture, width: number): ChartDrawing {
  const marked = picture.markers.length;
  const top = 23;
  const plot: Plot = { left: 34, right: width - 14, top, bottom: top + plotHeight };
  const all = [...picture.values, ...picture.markers.map(({ value }) => value)].filter(Number.isFinite);
  const x = linearScale(all, {
    start: plot.left,
    end: plot.right,
    unit: picture.unit,
    wanted: Math.max(3, Math.floor(width / 80)),
  });
  const bins = binsOf(picture.values, x.ticks);
  const room = marked > 1 ? 0.8 : 1;
  const most = Math.max(1, ...bins.map(({ n }) => n)) / room;
  const y = linearScale([0, most], { start: plot.bottom, end: plot.top, unit: 'share', wanted: 3 });
  const frame: Frame = { theme, picture, plot, x };
  const order = picture.markers
    .map((_, i) => i)
    .sort((a, b) => Number(picture.markers[b].emphasised ?? false) - Number(picture.markers[a].emphasised ?? false));
  const content = (
    <g>
      <ValueLines
        theme={theme}
        scale={{ ...y, text: (tick) => (Number.isInteger(tick) ? count(tick) : '') }}
        plot={plot}
        axis="y"
      />
      <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary} text-anchor="middle">
        {x.ticks.map((tick) => (
          <text key={tick} x={x.of(tick)} y={plot.bottom + 14}>
            {x.text(tick)}
          </text>
        ))}
      </g>
      <Bars frame={frame} bins={bins} y={y} />
      {order.map((i, line) => (
        <MarkerLine key={i} frame={frame} marker={picture.markers[i]} line={line} />
      ))}
      <AxisName theme={theme} x={0} y={11} text="count" anchor="start" />
      <AxisName theme={theme} x={(plot.left + plot.right) / 2} y={plot.bottom + 30} text={picture.unit} />
    </g>
  );
  return { width, height: plot.bottom + 36, content, marks: marksOf(frame, bins, y) };
}
