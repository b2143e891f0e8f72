import { divergingPosition } from '../../shared/color.ts';
import { tokenTintAlphas } from '../../shared/contributions.ts';
import { type Beyond, beyondScale, scaleMax } from '../../shared/scale.ts';
import type { ShownPrompt } from './shownTokens.ts';

/** How many steps a tint has on either side of zero. */
export const tintSteps = tokenTintAlphas.length;

/** Tokens under this share of the scale's end have no tint. */
const leastShare = 0.02;

/**
 * Step of a token's tint: −5 … 5, 0 for none. The step whose opacity is nearest to what the diverging scale
 * (|t|^0.85, ending at the strongest step) asks for.
 */
export function tintStep(value: number, max: number): number {
  const t = divergingPosition(value, max);
  if (t === 0 || Math.abs(value / max) < leastShare) return 0;
  const wanted = Math.abs(t) * tokenTintAlphas[tokenTintAlphas.length - 1];
  let step = 0;
  tokenTintAlphas.forEach((alpha, i) => {
    if (Math.abs(alpha - wanted) < Math.abs((tokenTintAlphas[step] ?? 0) - wanted)) step = i;
  });
  return Math.sign(t) * (step + 1);
}

/** Ranges of all shown tokens by step of their tint: index `step + 5`. */
export function tintRanges(shown: readonly ShownPrompt[], max: number): { start: number; end: number }[][] {
  const ranges: { start: number; end: number }[][] = Array.from({ length: 2 * tintSteps + 1 }, () => []);
  for (const { tokens } of shown) {
    for (const { start, end, value } of tokens) ranges[tintStep(value, max) + tintSteps]?.push({ start, end });
  }
  return ranges;
}

function valuesOf(shown: readonly ShownPrompt[]): number[] {
  return shown.flatMap(({ tokens }) => tokens.map(({ value }) => value));
}

/** At which ends of the file's scale tokens are clamped. */
export function beyondEnd(shown: readonly ShownPrompt[], max: number): Beyond {
  return beyondScale(valuesOf(shown), max);
}

/**
 * End of the scale for all prompts of a file, in logits. Until everything is there (`settled`) it only grows, in steps
 * of 1, 2, 5, so that it does not jump to and fro while results arrive. The panel's figures end theirs by the same rule.
 */
export function scaleEnd(shown: readonly ShownPrompt[], before: number, settled: boolean): number {
  const counted = shown.map(({ tokens }) => tokens.filter(({ besideScale }) => besideScale !== true));
  const values = counted.flat().map(({ value }) => value);
  if (!values.some((value) => Number.isFinite(value) && value !== 0)) return before;
  const end = scaleMax(values);
  return settled || shown.length === 1 ? end : Math.max(end, before);
}
