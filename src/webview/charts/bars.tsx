import type { VNode } from 'preact';
import { sequentialColor } from '../../shared/color.ts';
import type { BarPicture, Estimate } from '../../shared/figures.ts';
import { share, signedFixed } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import { numberWidth } from '../figures/text.ts';
import type { Theme } from '../figures/theme.ts';
import { linearScale, type Plot, type Scale, ValueLines } from './Axis.tsx';
import type { ChartDrawing, ChartMark } from './chartMark.ts';
import { fitText, isShare, labelStep, numberText, spreadText, valueText } from './chartText.ts';

type Bar = BarPicture['groups'][number]['bars'][number];

/** Ends of a bar's spread. A share has none beyond 0 and 1. */
function endsOf(bar: Estimate, { spread, unit }: BarPicture): number[] {
  if (spread === 'sd' && bar.sd !== null) {
    const low = bar.mean - bar.sd;
    if (!isShare(unit) || bar.mean < 0 || bar.mean > 1) return [low, bar.mean + bar.sd];
    return [Math.max(0, low), Math.min(1, bar.mean + bar.sd)];
  }
  if (spread === 'interval' && bar.interval !== null) return [...bar.interval];
  return [];
}

/** Colours of bars by name, where they are of groups that have one. */
export type BarColors = ReadonlyMap<string, string>;

/** Fill and outline of a bar: sign by colour and direction, hollow for negative in high contrast. */
function paintOf(
  theme: Theme,
  unit: string,
  value: number,
  own?: string,
): { readonly fill: string; readonly stroke?: string } {
  const { palette } = theme;
  if (isHighContrast(palette)) {
    return value < 0 ? { fill: palette.background, stroke: palette.negative } : { fill: palette.positive };
  }
  if (own !== undefined) return { fill: own };
  if (isShare(unit)) return { fill: sequentialColor(palette, 0.72) };
  return { fill: value < 0 ? palette.negative : palette.positive };
}

function markOf(
  picture: BarPicture,
  bar: Bar,
  place: Pick<ChartMark, 'id' | 'series' | 'x' | 'y' | 'box'>,
  group: string,
): ChartMark {
  const name = group === '' || group === bar.label ? bar.label : `${group}, ${bar.label}`;
  const note = spreadText(bar, picture.unit, picture.spread);
  return { ...place, name, value: bar.mean, said: valueText(bar.mean, picture.unit), note };
}

/** True where groups share their bars' names: then each group is a strip of upright bars on the same columns. */
function isStrips({ groups }: BarPicture): boolean {
  const [first] = groups;
  if (!first || first.bars.length < 4) return false;
  const names = first.bars.map(({ label }) => label).join('\n');
  return groups.every(({ bars }) => bars.map(({ label }) => label).join('\n') === names);
}

function allEnds(picture: BarPicture): number[] {
  return [0, ...picture.groups.flatMap(({ bars }) => bars.flatMap((bar) => [bar.mean, ...endsOf(bar, picture)]))];
}

function Whisker(props: {
  theme: Theme;
  ends: readonly number[];
  scale: Scale;
  at: number;
  upright: boolean;
}): VNode | null {
  const { theme, ends, scale, at, upright } = props;
  if (ends.length < 2 || !ends.every(Number.isFinite)) return null;
  const [a, b] = [scale.of(ends[0]), scale.of(ends[1])];
  const line = upright ? { x1: at, x2: at, y1: a, y2: b } : { x1: a, x2: b, y1: at, y2: at };
  return <line {...line} stroke={theme.palette.foreground} stroke-width={1.25} />;
}

const rowHeight = 20;
const stripHeight = 84;

/** Bars that lie down, one a row, with their names at the left and their numbers at the right. */
function rowsDrawing(theme: Theme, picture: BarPicture, width: number, colors?: BarColors): ChartDrawing {
  const { palette, uiFont } = theme;
  const single = picture.groups.every(({ bars }) => bars.length === 1);
  const labels = picture.groups.flatMap((group) =>
    single ? [group.label] : [group.label, ...group.bars.map(({ label }) => label)],
  );
  const left = Math.min(180, 14 + Math.max(24, ...labels.map((label) => numberWidth(label, 12))));
  const right = width - 64;
  const rows: { bar: Bar; y: number; group: string; series: number }[] = [];
  const heads: { text: string; y: number }[] = [];
  let y = 4;
  picture.groups.forEach((group, series) => {
    if (!single && picture.groups.length > 1) {
      heads.push({ text: group.label, y: y + 13 });
      y += rowHeight;
    }
    for (const bar of group.bars) {
      rows.push({ bar, y, group: picture.groups.length > 1 ? group.label : '', series: single ? 0 : series });
      y += rowHeight;
    }
    y += single ? 0 : 4;
  });
  const plot: Plot = { left, right, top: 0, bottom: y };
  const scale = linearScale(allEnds(picture), {
    start: left,
    end: right,
    unit: picture.unit,
    wanted: Math.max(2, Math.floor((right - left) / 70)),
  });
  const marks = rows.map(({ bar, y: top, group, series }, i) => {
    const [a, b] = [scale.of(0), scale.of(Number.isFinite(bar.mean) ? bar.mean : 0)];
    const box = { x: Math.min(a, b), y: top + 4, width: Math.max(1, Math.abs(b - a)), height: rowHeight - 8 };
    return markOf(picture, bar, { id: `${i}`, series, x: b, y: top + rowHeight / 2, box }, single ? '' : group);
  });
  const content = (
    <g font-family={uiFont} font-size={12}>
      <ValueLines theme={theme} scale={scale} plot={plot} axis="x" />
      {heads.map(({ text, y: at }) => (
        <text key={text} x={0} y={at} fill={palette.foreground} font-weight={600}>
          {fitText(text, left - 8, 12)}
        </text>
      ))}
      {rows.map(({ bar, y: top, group }, i) => (
        <g key={i}>
          <text x={left - 8} y={top + 14} text-anchor="end" fill={palette.secondary}>
            {fitText(single ? group || bar.label : bar.label, left - 10, 12)}
          </text>
          {Number.isFinite(bar.mean) ? (
            <rect {...marks[i].box} {...paintOf(theme, picture.unit, bar.mean, colors?.get(bar.label))} />
          ) : null}
          <Whisker theme={theme} ends={endsOf(bar, picture)} scale={scale} at={top + rowHeight / 2} upright={false} />
          <text x={width} y={top + 14} text-anchor="end" fill={palette.foreground}>
            {numberText(bar.mean, picture.unit)}
          </text>
        </g>
      ))}
    </g>
  );
  const named = single ? marks.map((mark, i) => ({ ...mark, name: rows[i].group || rows[i].bar.label })) : marks;
  return { width, height: y + 20, content, marks: named };
}

/** Two decimals for each bar where they do not touch the next number; the largest come first. */
function printedNumbers(bars: readonly Bar[], unit: string, slot: number): string[] {
  const write = isShare(unit) ? share : (value: number) => signedFixed(value);
  const largest = Math.max(0, ...bars.map(({ mean }) => Math.abs(mean)).filter(Number.isFinite));
  // What is invisible as a bar needs no number over it; the read-out has it.
  const texts = bars.map(({ mean }) => (Math.abs(mean) > 0.01 * largest ? write(mean) : ''));
  const order = bars.map((_, i) => i).sort((a, b) => Math.abs(bars[b].mean) - Math.abs(bars[a].mean));
  const printed: number[] = [];
  for (const i of order) {
    const wide = (other: number): number => (numberWidth(texts[i], 10) + numberWidth(texts[other], 10)) / 2 + 3;
    if (texts[i] !== '' && printed.every((other) => Math.abs(other - i) * slot >= wide(other))) printed.push(i);
  }
  return texts.map((text, i) => (printed.includes(i) ? text : ''));
}

/** Bars that stand, a strip for each group, on shared columns and one scale. */
function stripsDrawing(theme: Theme, picture: BarPicture, width: number, colors?: BarColors): ChartDrawing {
  const { palette, uiFont } = theme;
  const labels = picture.groups[0].bars.map(({ label }) => label);
  const many = picture.groups.length > 1;
  const left = 40;
  const slot = (width - left - 8) / labels.length;
  const step = labelStep(labels, slot, 11);
  const thick = Math.min(26, Math.max(2, slot * 0.62));
  const marks: ChartMark[] = [];
  const strips = picture.groups.map((group, series) => {
    const top = series * (stripHeight + (many ? 26 : 4)) + (many ? 20 : 12);
    const plot: Plot = { left, right: width - 8, top, bottom: top + stripHeight };
    const scale = linearScale(allEnds(picture), { start: plot.bottom, end: top, unit: picture.unit, wanted: 3 });
    const texts = printedNumbers(group.bars, picture.unit, slot);
    const bars = group.bars.map((bar, i) => {
      const x = left + slot * (i + 0.5);
      const [a, b] = [scale.of(0), scale.of(Number.isFinite(bar.mean) ? bar.mean : 0)];
      const box = { x: x - thick / 2, y: Math.min(a, b), width: thick, height: Math.max(0.75, Math.abs(b - a)) };
      marks.push(markOf(picture, bar, { id: `${series}.${i}`, series, x, y: b, box }, many ? group.label : ''));
      const ends = endsOf(bar, picture);
      const tips = [b, ...ends.filter(Number.isFinite).map(scale.of)];
      return (
        <g key={bar.label}>
          {Number.isFinite(bar.mean) ? (
            <rect {...box} {...paintOf(theme, picture.unit, bar.mean, colors?.get(bar.label))} />
          ) : null}
          <Whisker theme={theme} ends={ends} scale={scale} at={x} upright />
          <text
            x={x}
            y={bar.mean < 0 ? Math.max(...tips) + 11 : Math.min(...tips) - 3}
            text-anchor="middle"
            font-size={10}
            fill={palette.foreground}
          >
            {texts[i]}
          </text>
        </g>
      );
    });
    return (
      <g key={group.label}>
        <ValueLines theme={theme} scale={scale} plot={plot} axis="y" />
        {many ? (
          <text x={left} y={top - 8} font-size={12} fill={palette.foreground}>
            {fitText(group.label, width - left, 12)}
          </text>
        ) : null}
        {bars}
      </g>
    );
  });
  const bottom = picture.groups.length * (stripHeight + (many ? 26 : 4)) + (many ? 20 : 12) - (many ? 26 : 4);
  const content = (
    <g font-family={uiFont}>
      {strips}
      {labels.map((label, i) =>
        i % step === 0 ? (
          <text
            key={i}
            x={left + slot * (i + 0.5)}
            y={bottom + 14}
            text-anchor="middle"
            font-size={11}
            fill={palette.secondary}
          >
            {fitText(label, slot * step - 4, 11)}
          </text>
        ) : null,
      )}
    </g>
  );
  return { width, height: bottom + 20, content, marks };
}

/** Bars from 0 with their spread: upright strips where groups share their bars, else one row a bar. */
export function barsDrawing(theme: Theme, picture: BarPicture, width: number, colors?: BarColors): ChartDrawing {
  return isStrips(picture) ? stripsDrawing(theme, picture, width, colors) : rowsDrawing(theme, picture, width, colors);
}
