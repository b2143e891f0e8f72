import type { VNode } from 'preact';
import { share } from '../../shared/format.ts';
import { axisTicks, tickText } from '../figures/DotPlot.tsx';
import type { Theme } from '../figures/theme.ts';
import { isShare } from './chartText.ts';

/** A linear axis: its ticks, and where a value lies on it. */
export interface Scale {
  readonly ticks: readonly number[];
  readonly of: (value: number) => number;
  readonly text: (tick: number) => string;
}

/** The area that marks are drawn in, px. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Axis over `values` from `start` to `end` px (which may run upward); about `wanted` ticks. */
export function linearScale(
  values: readonly number[],
  { start, end, unit, wanted }: { start: number; end: number; unit: string; wanted: number },
): Scale {
  const ticks = axisTicks(values, wanted);
  const [low, high] = [ticks[0], ticks[ticks.length - 1]];
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  return {
    ticks,
    of: (value) => start + ((value - low) / (high - low)) * (end - start),
    text: (tick) =>
      isShare(unit)
        ? share(tick)
            .replace(/(\.\d*?)0+$/, '$1')
            .replace(/\.$/, '')
        : tickText(tick, step),
  };
}

/** Labelled lines for reading values off, with a strong 0. */
export function ValueLines(props: { theme: Theme; scale: Scale; plot: Plot; axis: 'x' | 'y' }): VNode {
  const { theme, scale, plot, axis } = props;
  const { palette } = theme;
  return (
    <g font-family={theme.uiFont} font-size={11} fill={palette.secondary} text-anchor={axis === 'x' ? 'middle' : 'end'}>
      {scale.ticks.map((tick) => {
        const at = scale.of(tick);
        const line =
          axis === 'x'
            ? { x1: at, x2: at, y1: plot.top, y2: plot.bottom }
            : { x1: plot.left, x2: plot.right, y1: at, y2: at };
        const place = axis === 'x' ? { x: at, y: plot.bottom + 14 } : { x: plot.left - 6, y: at + 4 };
        return (
          <g key={tick}>
            <line {...line} stroke={tick === 0 ? palette.secondary : palette.grid} opacity={tick === 0 ? 1 : 0.6} />
            <text {...place}>{scale.text(tick)}</text>
          </g>
        );
      })}
    </g>
  );
}

/** What an axis is, in words, under it. */
export function AxisName(props: {
  theme: Theme;
  x: number;
  y: number;
  text: string;
  anchor?: 'middle' | 'start' | 'end';
}): VNode {
  const { theme, x, y, text, anchor = 'middle' } = props;
  return (
    <text x={x} y={y} text-anchor={anchor} font-family={theme.uiFont} font-size={11} fill={theme.palette.secondary}>
      {text}
    </text>
  );
}
