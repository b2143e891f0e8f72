import type { VNode } from 'preact';
import { divergingColor } from '../../shared/color.ts';
import type { Theme } from './theme.ts';

interface OverviewProps {
  readonly theme: Theme;
  /** One value a position. */
  readonly values: readonly number[];
  readonly max: number;
  readonly start: number;
  readonly size: number;
  readonly width: number;
  readonly onStart: (start: number) => void;
}

/** Where a window of `size` positions must start to contain `position`, moved as little as possible. */
export function windowWith(position: number | null, start: number, size: number, total: number): number {
  const last = Math.max(0, total - size);
  const inside = Math.min(last, Math.max(0, start));
  if (position === null) return inside;
  if (position < inside) return Math.max(0, Math.min(last, position));
  if (position >= inside + size) return Math.min(last, position - size + 1);
  return inside;
}

/** All positions as one thin bar with the shown window outlined. A native slider moves it. */
export function OverviewBar({ theme, values, max, start, size, width, onStart }: OverviewProps): VNode {
  const step = width / values.length;
  const end = Math.min(values.length, start + size);
  return (
    <div class="m-overview">
      <span>{`positions ${start + 1} to ${end} of ${values.length}`}</span>
      <div class="m-overview-bar" style={{ width: `${width}px` }}>
        <svg width={width} height={12} aria-hidden="true">
          {values.map((value, i) => (
            <rect
              key={i}
              x={i * step}
              y={2}
              width={Math.max(1, step)}
              height={8}
              fill={divergingColor(theme.palette, value, max)}
            />
          ))}
          <rect
            x={start * step + 0.5}
            y={0.5}
            width={Math.max(2, (end - start) * step - 1)}
            height={11}
            fill="none"
            stroke={theme.palette.foreground}
          />
        </svg>
        <input
          type="range"
          min={0}
          max={Math.max(0, values.length - size)}
          value={start}
          aria-label="First position shown"
          aria-valuetext={`positions ${start + 1} to ${end} of ${values.length}`}
          onInput={(event) => onStart(Number(event.currentTarget.value))}
        />
      </div>
    </div>
  );
}
