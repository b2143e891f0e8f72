import type { VNode } from 'preact';
import { divergingColor, divergingPosition, quietTextOn, sequentialColor, textOn } from '../../shared/color.ts';
import { share, signedFixed, signedShort } from '../../shared/format.ts';
import { isHighContrast } from '../../shared/palette.ts';
import type { Box, MatrixCell, MatrixModel } from './matrixModel.ts';
import { fitToken, numberWidth } from './text.ts';
import type { Theme } from './theme.ts';
import { unspoken } from './unspoken.ts';

interface MarkProps {
  readonly theme: Theme;
  readonly model: MatrixModel;
  readonly cell: MatrixCell;
  readonly box: Box;
  /** Print the number in the cell. */
  readonly number: boolean;
}

const labelSize = 10;
/** Px that `+1.52` beside a bar takes. */
const barLabelRoom = 31;

/** Id of the hatch for what was not run or is not a number. */
export function hatchId(model: { readonly id: string }): string {
  return `${model.id}-hatch`;
}

/** Diagonal hatch: missing never looks like zero. */
export function Hatch({ theme, id }: { theme: Theme; id: string }): VNode {
  return (
    <defs>
      <pattern id={id} width={6} height={6} patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line x1={0} x2={0} y1={0} y2={6} stroke={theme.palette.grid} stroke-width={1.5} />
      </pattern>
    </defs>
  );
}

/** Two decimals; where the whole scale is small two digits of its end, as far as they fit. */
function decimalsOf(model: MatrixModel, value: number, width: number): number {
  if (model.max === 0 || model.max >= 0.1) return 2;
  const wanted = Math.min(4, 1 + Math.ceil(-Math.log10(model.max)));
  if (Math.abs(value) < 0.5 * 10 ** -wanted) return 2;
  const fit = [4, 3].find((d) => d <= wanted && numberWidth(signedFixed(value, d), 11) <= width - 4);
  return fit ?? 2;
}

/** A cell's number: `+.38` when the cell is narrow, shares without sign. */
export function cellNumber(model: MatrixModel, value: number, width: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (model.scale === 'sequential') return share(Math.round(value * 100) / 100);
  return width < 40 ? signedShort(value) : signedFixed(value, decimalsOf(model, value, width));
}

function cellText({ model, cell, box, number, theme }: MarkProps): string {
  const value = cell.value ?? 0;
  const printed = number || Number.isNaN(value) ? cellNumber(model, value, box.width) : '';
  if (cell.text !== undefined && number) return cell.text;
  if (cell.label !== undefined) return `${cell.label} ${signedFixed(value, 3)}`;
  if (cell.token === undefined) return printed;
  const room = box.width - 6;
  if (!isHighContrast(theme.palette)) return fitToken(cell.token, room, labelSize);
  return `${fitToken(cell.token, room - 34, labelSize)} ${signedFixed(value, 1)}`;
}

/** High contrast: sign and size as an underline, solid for +, dashed for −, 1 to 3 px. */
function Underline({ theme, model, cell, box }: MarkProps): VNode | null {
  const t = divergingPosition(cell.value ?? 0, model.max);
  if (Math.abs(t) < 0.02) return null;
  const weight = 1 + Math.round(2 * Math.abs(t));
  const y = box.y + box.height - 1 - weight / 2;
  const dash = t < 0 ? { 'stroke-dasharray': '4 3' } : {};
  return (
    <line
      x1={box.x + 2}
      x2={box.x + box.width - 3}
      y1={y}
      y2={y}
      stroke={theme.palette.foreground}
      stroke-width={weight}
      {...dash}
    />
  );
}

function fillOf({ theme, model, cell }: MarkProps): string {
  if (cell.value === null || Number.isNaN(cell.value) || cell.muted || cell.bare) return theme.palette.background;
  const paint = model.scale === 'diverging' ? divergingColor : sequentialColor;
  return paint(theme.palette, cell.value, model.max);
}

/** A triangle in the upper right corner of a cell. */
export const cornerPath = (right: number, top: number, size: number): string =>
  `M${right} ${top}v${size}l${-size} ${-size}z`;

/** Fill of one matrix cell; hatched where there is no number. */
export function CellFill(props: MarkProps): VNode {
  const { theme, model, cell, box } = props;
  const rect = { x: box.x, y: box.y, width: Math.max(1, box.width - 1), height: box.height - 1 };
  const missing = cell.value === null || Number.isNaN(cell.value);
  return (
    <>
      <rect {...rect} fill={fillOf(props)} />
      {missing && <rect {...rect} fill={`url(#${hatchId(model)})`} />}
      {isHighContrast(theme.palette) && !missing && !cell.muted && !cell.bare && <Underline {...props} />}
      {cell.bare && (
        <rect
          x={box.x + 0.5}
          y={box.y + 0.5}
          width={Math.max(1, box.width - 2)}
          height={box.height - 2}
          fill="none"
          stroke={theme.palette.rule}
        />
      )}
      {cell.flagged && (
        <path
          d={cornerPath(box.x + Math.max(1, box.width - 1), box.y, Math.min(8, Math.round(box.width / 5)))}
          fill={textOn(theme.palette, fillOf(props))}
        />
      )}
      {cell.dotted && (
        <circle
          cx={box.x + Math.max(1, box.width - 1) - 3}
          cy={box.y + 3}
          r={1.6}
          fill={textOn(theme.palette, fillOf(props))}
        />
      )}
    </>
  );
}

/** What is written in a cell. Beside the cell in the tree, not in it: the cell's name says the same in words. */
export function CellText(props: MarkProps): VNode | null {
  const { theme, model, cell, box } = props;
  const text = cell.value === null || (cell.muted && !Number.isNaN(cell.value)) ? '' : cellText(props);
  if (text === '') return null;
  const fill = fillOf(props);
  const quiet = cell.bare || Math.abs(divergingPosition(cell.value ?? 0, model.max)) < 0.3;
  const left = cell.token !== undefined || cell.label !== undefined;
  return (
    <text
      x={left ? box.x + 4 : box.x + (box.width - 1) / 2}
      y={box.y + (box.height - 1) / 2 + labelSize * 0.36}
      text-anchor={left ? 'start' : 'middle'}
      font-family={cell.token === undefined ? theme.uiFont : theme.codeFont}
      font-size={cell.label === undefined ? labelSize : 11}
      fill={quiet ? quietTextOn(theme.palette, fill) : textOn(theme.palette, fill)}
      {...unspoken}
    >
      {text}
    </text>
  );
}

/** Where 0 lies in a column of bars, and px per unit, so that all bars and the zero fit. */
export function barScale(values: readonly (number | null)[], width: number): { zero: number; perUnit: number } {
  const finite = values.filter((value): value is number => value !== null && Number.isFinite(value));
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const span = high - low;
  if (span === 0) return { zero: width / 2, perUnit: 0 };
  // Room for the number of the longest bar, where the column is wide enough to spare it.
  const perUnit = (width - (width >= 70 ? barLabelRoom + 4 : 4)) / span;
  return { zero: 2 - low * perUnit, perUnit };
}

interface BarProps extends MarkProps {
  readonly bars: { readonly zero: number; readonly perUnit: number };
}

function barPlace(box: Box, bars: BarProps['bars'], value: number): { zero: number; length: number } {
  return { zero: box.x + bars.zero, length: Math.max(value === 0 ? 0 : 0.75, Math.abs(value) * bars.perUnit) };
}

/** Beside the bar's end where there is room, else in the bar, else on the other side of 0. */
export function BarNumber({ theme, cell, box, bars }: BarProps): VNode | null {
  const value = cell.value ?? Number.NaN;
  if (!Number.isFinite(value)) return null;
  const { zero, length } = barPlace(box, bars, value);
  const fill = value < 0 ? theme.palette.negative : theme.palette.positive;
  const room = barLabelRoom;
  const side = value < 0 ? -1 : 1;
  const beside = (value < 0 ? zero - box.x : box.x + box.width - zero) - length > room;
  const inside = !beside && length > room && !isHighContrast(theme.palette);
  const opposite = value < 0 ? box.x + box.width - zero : zero - box.x;
  if (!beside && !inside && opposite < room) return null;
  const x = beside ? zero + side * (length + 4) : inside ? zero + side * (length - 4) : zero - side * 4;
  const right = (beside && side > 0) || (!beside && side < 0);
  return (
    <text
      x={x}
      y={box.y + box.height / 2 + 3.5}
      text-anchor={right ? 'start' : 'end'}
      font-family={theme.uiFont}
      font-size={labelSize}
      fill={inside ? textOn(theme.palette, fill) : theme.palette.foreground}
      {...unspoken}
    >
      {signedFixed(value)}
    </text>
  );
}

/** A horizontal bar from 0; hollow for negative values in high contrast. */
export function BarFill({ theme, model, cell, box, bars }: BarProps): VNode {
  const { palette } = theme;
  const { value } = cell;
  const height = box.height - 4;
  if (value === null || !Number.isFinite(value)) {
    return <rect x={box.x} y={box.y + 2} width={box.width} height={height} fill={`url(#${hatchId(model)})`} />;
  }
  const { zero, length } = barPlace(box, bars, value);
  const color = value < 0 ? palette.negative : palette.positive;
  const hollow = value < 0 && isHighContrast(palette);
  return (
    <rect
      x={value < 0 ? zero - length : zero}
      y={box.y + 2}
      width={length}
      height={height}
      fill={hollow ? palette.background : color}
      {...(hollow ? { stroke: color } : {})}
    />
  );
}
