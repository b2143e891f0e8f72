import { share, signed } from '../../shared/format.ts';
import { numberWidth } from '../figures/text.ts';

const shareUnits = /\b(share|attention|probability|accuracy|faithfulness|correlation|r²|iou)\b/i;

/** True for units whose numbers have no sign of their own: `.41`. */
export function isShare(unit: string): boolean {
  return shareUnits.test(unit);
}

/** A number as charts write it: three digits with a sign, or a share. */
export function numberText(value: number | null, unit: string): string {
  if (value === null) return 'not run yet';
  return isShare(unit) ? share(value) : signed(value);
}

/** `+0.41 logits`; a share's unit is said by the axis. */
export function valueText(value: number | null, unit: string): string {
  if (value === null) return 'not run yet';
  return isShare(unit) ? share(value) : `${signed(value)} ${unit}`.trim();
}

/** `[+0.24, +0.40]` */
export function intervalText(interval: readonly [low: number, high: number] | null, unit: string): string {
  return interval === null ? '' : `[${interval.map((end) => numberText(end, unit)).join(', ')}]`;
}

/** `95 % [+0.24, +0.40]`, or the sd where the figure draws it; empty for one item. */
export function spreadText(
  estimate: { readonly sd: number | null; readonly interval: readonly [number, number] | null; readonly n: number },
  unit: string,
  spread: 'sd' | 'interval' | 'none' = 'interval',
): string {
  const n = `n = ${estimate.n}`;
  if (spread === 'sd' && estimate.sd !== null) return `sd ${numberText(estimate.sd, unit).replace('+', '')} · ${n}`;
  return spread !== 'none' && estimate.interval !== null ? `95 % ${intervalText(estimate.interval, unit)} · ${n}` : n;
}

/** Text cut with `…` to what fits into `width` px. */
export function fitText(text: string, width: number, size: number): string {
  if (numberWidth(text, size) <= width) return text;
  const letters = Math.max(1, Math.floor(width / (size * 0.58)) - 1);
  return `${[...text].slice(0, letters).join('')}…`;
}

/** Every how many labels one can be written so that none touches the next. */
export function labelStep(labels: readonly string[], slot: number, size: number): number {
  const widest = Math.max(1, ...labels.map((label) => numberWidth(label, size)));
  return Math.max(1, Math.ceil((Math.min(widest, 120) + 6) / Math.max(slot, 1e-6)));
}

/** Moves texts apart that would touch; they keep their order and stay within `low` and `high` where they fit. */
export function spreadLabels(wanted: readonly number[], height: number, low: number, high: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  let floor = low;
  for (const i of order) {
    placed[i] = Math.max(wanted[i], floor);
    floor = placed[i] + height;
  }
  let ceiling = high;
  for (const i of order.reverse()) {
    placed[i] = Math.min(placed[i], ceiling);
    ceiling = placed[i] - height;
  }
  return placed;
}
