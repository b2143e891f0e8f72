import type { VNode } from 'preact';
import { signed, signedFixed } from '../../shared/format.ts';
import type { SampleSummary } from '../../shared/metric.ts';
import type { Theme } from './theme.ts';

/** One sample: a dot for each value, its mean and interval below. */
export interface DotRow {
  readonly label: string;
  readonly values: readonly number[];
  /** Group of each value, as an index into the plot's groups; absent: all are of the first. */
  readonly groups?: readonly number[];
  readonly summary: SampleSummary | null;
  /** Drawn in the foreground; the others are quiet. */
  readonly strong: boolean;
}

export interface DotPlotModel {
  readonly title: string;
  /** `logit difference, logits` */
  readonly axis: string;
  readonly rows: readonly DotRow[];
  /** Names of the groups; their shapes are a filled dot, a ring, a triangle, a square. */
  readonly groups: readonly string[];
}

const labelWidth = 68;
const rowHeight = 70;
const headHeight = 20;
const axisHeight = 34;
const radius = 2.4;
const column = 6;
/** Shapes that can be told apart at this size. */
export const mostGroups = 4;

/** Ticks of 1, 2 or 5 × 10^k that cover the values and 0 where it is near. */
export function axisTicks(values: readonly number[], wanted = 8): number[] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  let low = Math.min(...finite);
  let high = Math.max(...finite);
  const span = high - low;
  // 0 belongs into the figure unless that would squeeze the dots into a corner.
  if (low > 0 && low < 2 * span + 1e-12) low = 0;
  if (high < 0 && -high < 2 * span + 1e-12) high = 0;
  if (high - low < 1e-9) {
    low -= Math.max(0.5, Math.abs(low) * 0.1);
    high += Math.max(0.5, Math.abs(high) * 0.1);
  }
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10);
  const from = Math.floor(low / step + 1e-9);
  const to = Math.ceil(high / step - 1e-9);
  return Array.from({ length: to - from + 1 }, (_, i) => Number(((from + i) * step).toPrecision(12)));
}

/** A tick with no more decimals than its step has. */
export function tickText(value: number, step: number): string {
  return value === 0 ? '0' : signedFixed(value, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

interface Placed {
  readonly x: number;
  readonly level: number;
  readonly group: number;
}

/** Dots of one row: stacked where they would cover each other. */
function stack(row: DotRow, xOf: (value: number) => number): { dots: Placed[]; highest: number } {
  const levels = new Map<number, number>();
  const dots = row.values.flatMap((value, i): Placed[] => {
    if (!Number.isFinite(value)) return [];
    const bin = Math.round(xOf(value) / column);
    const level = levels.get(bin) ?? 0;
    levels.set(bin, level + 1);
    return [{ x: bin * column, level, group: row.groups?.[i] ?? 0 }];
  });
  return { dots, highest: Math.max(0, ...levels.values()) };
}

function Dot({
  x,
  y,
  group,
  color,
  ground,
}: {
  x: number;
  y: number;
  group: number;
  color: string;
  ground: string;
}): VNode {
  if (group === 1) return <circle cx={x} cy={y} r={radius - 0.5} fill={ground} stroke={color} />;
  if (group === 2) return <path d={`M${x} ${y - 3}l3 5h-6z`} fill={color} />;
  if (group === 3) return <rect x={x - 2} y={y - 2} width={4} height={4} fill={color} />;
  return <circle cx={x} cy={y} r={radius} fill={color} />;
}

function Interval({
  theme,
  row,
  y,
  xOf,
  right,
}: {
  theme: Theme;
  row: DotRow;
  y: number;
  xOf: (v: number) => number;
  right: number;
}): VNode | null {
  const { summary } = row;
  if (!summary || !Number.isFinite(summary.mean)) return null;
  const { palette } = theme;
  const color = palette.foreground;
  const x = xOf(summary.mean);
  const { interval } = summary;
  const half = interval ? (interval.high - interval.low) / 2 : 0;
  const text = interval ? `${signed(summary.mean)} ± ${half.toPrecision(2)}` : signed(summary.mean);
  const end = interval ? xOf(interval.high) : x;
  const left = end + 90 > right;
  return (
    <g>
      {interval ? (
        <line x1={xOf(interval.low)} x2={xOf(interval.high)} y1={y} y2={y} stroke={color} stroke-width={2} />
      ) : null}
      <circle cx={x} cy={y} r={3} fill={color} stroke={palette.background} />
      <text
        x={left ? (interval ? xOf(interval.low) : x) - 6 : end + 6}
        y={y + 4}
        text-anchor={left ? 'end' : 'start'}
        font-family={theme.uiFont}
        font-size={11}
        font-weight={600}
        fill={color}
      >
        {text}
      </text>
    </g>
  );
}

function Row({
  theme,
  row,
  top,
  xOf,
  right,
}: {
  theme: Theme;
  row: DotRow;
  top: number;
  xOf: (v: number) => number;
  right: number;
}): VNode {
  const { palette } = theme;
  const ground = top + 46;
  const { dots, highest } = stack(row, xOf);
  const rise = Math.min(5.4, 40 / Math.max(1, highest));
  const color = row.strong ? palette.foreground : palette.secondary;
  return (
    <g>
      <text x={0} y={ground} font-family={theme.uiFont} font-size={12} fill={palette.foreground}>
        {row.label}
      </text>
      {dots.map(({ x, level, group }, i) => (
        <Dot key={i} x={x} y={ground - 4 - level * rise} group={group} color={color} ground={palette.background} />
      ))}
      <Interval theme={theme} row={row} y={ground + 9} xOf={xOf} right={right} />
    </g>
  );
}

/** The plot in words, for a screen reader: the table beside it has every number. */
function inWords({ title, rows, axis }: DotPlotModel): string {
  const parts = rows.map(({ label, summary, values }) => {
    const mean = summary ? `mean ${signed(summary.mean)}` : 'no mean';
    const interval = summary?.interval
      ? `, 95 percent ${signed(summary.interval.low)} to ${signed(summary.interval.high)}`
      : '';
    return `${label}: ${mean}${interval}, n ${values.length}`;
  });
  return `${title}, ${axis}. ${parts.join('; ')}.`;
}

function Axis({
  theme,
  ticks,
  xOf,
  height,
}: {
  theme: Theme;
  ticks: readonly number[];
  xOf: (v: number) => number;
  height: number;
}): VNode {
  const { palette } = theme;
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  return (
    <g font-family={theme.uiFont} font-size={11} fill={palette.secondary} text-anchor="middle">
      {ticks.map((tick) => (
        <g key={tick}>
          <line
            x1={xOf(tick)}
            x2={xOf(tick)}
            y1={headHeight}
            y2={height - axisHeight}
            stroke={tick === 0 ? palette.secondary : palette.grid}
            stroke-width={1}
            opacity={tick === 0 ? 1 : 0.5}
          />
          <text x={xOf(tick)} y={height - axisHeight + 14}>
            {tickText(tick, step)}
          </text>
        </g>
      ))}
    </g>
  );
}

/** Height of the plot in px. */
export function dotPlotHeight({ rows }: DotPlotModel): number {
  return headHeight + rows.length * rowHeight + axisHeight;
}

/** Samples on one axis: a dot for each item, stacked, shape by group; mean and interval below each. */
export function DotPlot({ theme, model, width }: { theme: Theme; model: DotPlotModel; width: number }): VNode {
  const { palette } = theme;
  const height = dotPlotHeight(model);
  const ends = model.rows.flatMap(({ values, summary }) => [
    ...values,
    ...(summary?.interval ? [summary.interval.low, summary.interval.high] : []),
  ]);
  const ticks = axisTicks(ends, Math.max(3, Math.floor((width - labelWidth) / 56)));
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const right = width - 18;
  const xOf = (value: number): number => labelWidth + 10 + ((value - low) / (high - low)) * (right - labelWidth - 10);
  const shapes = model.groups.length > 1 ? model.groups : [];
  let x = labelWidth + 10;
  return (
    <svg class="m-dots" width={width} height={height} role="img" aria-label={inWords(model)}>
      {shapes.map((name, group) => {
        const at = x;
        x += 16 + name.length * 6.2;
        return (
          <g key={name}>
            <Dot x={at} y={8} group={group} color={palette.secondary} ground={palette.background} />
            <text x={at + 6} y={12} font-family={theme.uiFont} font-size={11} fill={palette.secondary}>
              {name}
            </text>
          </g>
        );
      })}
      <Axis theme={theme} ticks={ticks} xOf={xOf} height={height} />
      {model.rows.map((row, i) => (
        <Row key={row.label} theme={theme} row={row} top={headHeight + i * rowHeight} xOf={xOf} right={right} />
      ))}
      <text
        x={(labelWidth + right) / 2}
        y={height - 4}
        text-anchor="middle"
        font-family={theme.uiFont}
        font-size={11}
        fill={palette.secondary}
      >
        {model.axis}
      </text>
    </svg>
  );
}
