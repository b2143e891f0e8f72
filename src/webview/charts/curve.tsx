import { area, line } from 'd3-shape';
import type { VNode } from 'preact';
import type { CurvePicture, Estimate } from '../../shared/figures.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { AxisName, linearScale, type Plot, type Scale, ValueLines } from './Axis.tsx';
import type { ChartDrawing, ChartMark } from './chartMark.ts';
import { fitText, labelStep, spreadLabels, spreadText, valueText } from './chartText.ts';
import { Shape } from './Shape.tsx';

type Series = CurvePicture['series'][number];

const plotHeight = 190;
const left = 48;

interface Frame {
  readonly theme: Theme;
  readonly picture: CurvePicture;
  readonly plot: Plot;
  readonly y: Scale;
  readonly x: (step: number) => number;
}

const finite = (point: Estimate | null | undefined): point is Estimate =>
  point !== null && point !== undefined && Number.isFinite(point.mean);

/** Every number that the axis must hold. */
function extent({ series, bands }: CurvePicture): number[] {
  const points = series.flatMap(({ points: all, reference }) => [
    ...all.flatMap((point) => (finite(point) ? [point.mean, ...(point.interval ?? [])] : [])),
    ...(reference === undefined ? [] : [reference]),
  ]);
  return [...points, ...bands.flatMap(({ low, high }) => [...low, ...high])];
}

function colorOf({ theme }: Frame, { emphasised }: Series): string {
  return emphasised ? theme.palette.foreground : theme.palette.secondary;
}

function Bands({ theme, picture, x, y }: Frame): VNode {
  return (
    <g>
      {picture.bands.map((band) => {
        const path = area<number>()
          .defined((_, i) => Number.isFinite(band.low[i]) && Number.isFinite(band.high[i]))
          .x((_, i) => x(i))
          .y0((_, i) => y.of(band.low[i]))
          .y1((_, i) => y.of(band.high[i]))([...band.low]);
        return <path key={band.name} d={path ?? ''} fill={theme.palette.secondary} fill-opacity={0.16} />;
      })}
    </g>
  );
}

function Line({ frame, series, index }: { frame: Frame; series: Series; index: number }): VNode {
  const { x, y, theme, plot } = frame;
  const color = colorOf(frame, series);
  // Closer than this they would only thicken the line.
  const dots = x(1) - x(0) > 9;
  const path = line<Estimate | null>()
    .defined(finite)
    .x((_, i) => x(i))
    .y((point) => y.of(point?.mean ?? 0))([...series.points]);
  return (
    <g>
      {series.points.map((point, i) =>
        finite(point) && point.interval ? (
          <line key={i} x1={x(i)} x2={x(i)} y1={y.of(point.interval[0])} y2={y.of(point.interval[1])} stroke={color} />
        ) : null,
      )}
      <path d={path ?? ''} fill="none" stroke={color} stroke-width={series.emphasised ? 2 : 1.25} />
      {series.points.map((point, i) =>
        finite(point) && dots ? (
          <Shape
            key={i}
            group={index}
            x={x(i)}
            y={y.of(point.mean)}
            r={2.5}
            color={color}
            ground={theme.palette.background}
          />
        ) : null,
      )}
      {series.reference === undefined || !Number.isFinite(series.reference) ? null : (
        <line
          x1={plot.right - 24}
          x2={plot.right + 10}
          y1={y.of(series.reference)}
          y2={y.of(series.reference)}
          stroke={color}
          stroke-dasharray="3 3"
        />
      )}
    </g>
  );
}

/** Names of the lines at their right ends, moved apart where they would touch. */
function EndLabels({ frame, room }: { frame: Frame; room: number }): VNode {
  const { picture, plot, y, theme } = frame;
  const ends = picture.series.map(({ points, reference }) => {
    const last = [...points].reverse().find(finite);
    const end = reference !== undefined && Number.isFinite(reference) ? reference : last?.mean;
    return y.of(end ?? y.ticks[0]) + 4;
  });
  const placed = spreadLabels(ends, 13, plot.top + 8, plot.bottom + 8);
  return (
    <g font-family={theme.uiFont} font-size={11}>
      {picture.series.map((series, i) => (
        <g key={series.name}>
          <Shape
            group={i}
            x={plot.right + 17}
            y={placed[i] - 4}
            r={2.5}
            color={colorOf(frame, series)}
            ground={theme.palette.background}
          />
          <text
            x={plot.right + 24}
            y={placed[i]}
            fill={colorOf(frame, series)}
            font-weight={series.emphasised ? 600 : 400}
          >
            {fitText(series.name, room - 26, 11)}
          </text>
        </g>
      ))}
    </g>
  );
}

/** The step of the unchanged model. */
function Origin({ theme, picture, plot, x }: Frame): VNode | null {
  const { origin } = picture;
  if (origin === undefined || origin < 0 || origin >= picture.x.labels.length) return null;
  return <line x1={x(origin)} x2={x(origin)} y1={plot.top} y2={plot.bottom} stroke={theme.palette.secondary} />;
}

function StepLabels({ theme, picture, plot, x }: Frame): VNode {
  const { labels } = picture.x;
  const slot = (plot.right - plot.left) / Math.max(1, labels.length - 1);
  const every = labelStep(labels, slot, 11);
  return (
    <g font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary} text-anchor="middle">
      {labels.map((label, i) =>
        i % every === 0 ? (
          <text key={i} x={x(i)} y={plot.bottom + 16}>
            {fitText(label, Math.max(24, slot * every - 4), 11)}
          </text>
        ) : null,
      )}
    </g>
  );
}

function marksOf({ picture, x, y }: Frame): ChartMark[] {
  return picture.series.flatMap((series, s) =>
    series.points.flatMap((point, i): ChartMark[] => {
      if (point === null) return [];
      const reference = series.reference === undefined ? '' : ` · dashes ${valueText(series.reference, picture.unit)}`;
      return [
        {
          id: `${s}.${i}`,
          series: s,
          x: x(i),
          y: y.of(finite(point) ? point.mean : 0),
          name: `${series.name}, ${picture.x.labels[i] ?? i}`,
          value: point.mean,
          said: valueText(point.mean, picture.unit),
          note: `${spreadText(point, picture.unit)}${reference}`,
        },
      ];
    }),
  );
}

/** Lines over named steps, their names at the right, bands behind them. */
export function curveDrawing(theme: Theme, picture: CurvePicture, width: number): ChartDrawing {
  const names = picture.series.map(({ name }) => name);
  const room = Math.min(width * 0.34, 30 + Math.max(20, ...names.map((name) => numberWidth(name, 11))));
  const plot: Plot = { left, right: width - room, top: 22, bottom: 22 + plotHeight };
  const y = linearScale(extent(picture), { start: plot.bottom, end: plot.top, unit: picture.unit, wanted: 5 });
  const last = Math.max(1, picture.x.labels.length - 1);
  const inset = 12;
  const x = (step: number): number => plot.left + inset + (step / last) * (plot.right - plot.left - 2 * inset);
  const frame: Frame = { theme, picture, plot, y, x };
  const content = (
    <g>
      <ValueLines theme={theme} scale={y} plot={plot} axis="y" />
      <Bands {...frame} />
      <Origin {...frame} />
      {picture.series.map((series, i) => (
        <Line key={series.name} frame={frame} series={series} index={i} />
      ))}
      <EndLabels frame={frame} room={room} />
      <StepLabels {...frame} />
      <AxisName theme={theme} x={0} y={11} text={picture.unit} anchor="start" />
      <AxisName theme={theme} x={(plot.left + plot.right) / 2} y={plot.bottom + 32} text={picture.x.name} />
    </g>
  );
  return { width, height: plot.bottom + 38, content, marks: marksOf(frame) };
}
