import type { VNode } from 'preact';
import { divergingColor, sequentialColor } from '../../shared/color.ts';
import { share, signed } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import type { Beyond } from '../../shared/scale.ts';
import { numberWidth } from './text.ts';
import type { Theme } from './theme.ts';

interface KeyProps {
  readonly theme: Theme;
  readonly max: number;
  readonly unit: string;
  readonly scale?: 'diverging' | 'sequential';
  /** Ends at which values are clamped. */
  readonly beyond?: Beyond;
}

const strip = 58;
const steps = 10;

/** An end of a scale: `+0.4`, `−2`; not more digits than it has. */
function scaleEnd(value: number): string {
  return signed(value)
    .replace(/(\.\d*?)0+$/, '$1')
    .replace(/\.$/, '');
}

function ContrastStrip({ theme, x }: { theme: Theme; x: number }): VNode {
  const stroke = theme.palette.foreground;
  return (
    <g>
      <line x1={x} x2={x + 22} y1={9} y2={9} stroke={stroke} stroke-width={2} stroke-dasharray="4 3" />
      <line x1={x + 36} x2={x + strip} y1={9} y2={9} stroke={stroke} stroke-width={2} />
    </g>
  );
}

/** Small colour strip beside a figure's title: both ends with the unit, a tick at 0. */
export function DivergingKey({ theme, max, unit, scale = 'diverging', beyond }: KeyProps): VNode {
  const { palette, uiFont } = theme;
  const low = scale === 'diverging' ? `${beyond?.below ? '≤ ' : ''}${scaleEnd(-max)}` : '0';
  const high = `${beyond?.above ? '≥ ' : ''}${scale === 'diverging' ? scaleEnd(max) : share(max)} ${unit}`.trim();
  const x = numberWidth(low, 12) + 8;
  const width = Math.ceil(x + strip + 6 + numberWidth(high, 11) + 2);
  const color = (i: number): string => {
    const t = (i + 0.5) / steps;
    return scale === 'diverging'
      ? divergingColor(palette, (2 * t - 1) * max, max)
      : sequentialColor(palette, t * max, max);
  };
  return (
    <svg class="m-key" width={width} height={16} role="img" aria-label={`Colour key: ${low} to ${high}`}>
      <text x={x - 6} y={12} text-anchor="end" font-family={uiFont} font-size={11} fill={palette.secondary}>
        {low}
      </text>
      {isHighContrast(palette) ? (
        <ContrastStrip theme={theme} x={x} />
      ) : (
        Array.from({ length: steps }, (_, i) => (
          <rect key={i} x={x + (i * strip) / steps} y={3} width={strip / steps} height={10} fill={color(i)} />
        ))
      )}
      {scale === 'diverging' && (
        <line x1={x + strip / 2} x2={x + strip / 2} y1={1} y2={15} stroke={palette.secondary} />
      )}
      <text x={x + strip + 6} y={12} font-family={uiFont} font-size={11} fill={palette.secondary}>
        {high}
      </text>
    </svg>
  );
}
