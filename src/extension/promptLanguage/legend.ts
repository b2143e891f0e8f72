import { tokenColors } from '../../shared/contributions.ts';
import { visibleToken } from '../../shared/format.ts';
import type { Beyond } from '../../shared/scale.ts';
import type { TraceDocument } from '../../shared/traceDocument.ts';
import { axisEnd } from '../hover/hoverImages.ts';
import { shortPropagationText } from './propagationText.ts';

/** One piece of the legend: text, and its colour where it is a swatch. */
export interface LegendPiece {
  readonly text: string;
  readonly color: string | null;
}

/** Colour tells the sign; in high contrast the line does, as it does under the tokens. */
const swatches = { positive: '■', negative: '■' } as const;
const lines = { positive: '━', negative: '╍' } as const;
/** Steps of the tint that the legend shows, outermost first. */
const shownSteps = [5, 3, 2];

/** What either end of the scale speaks for: `␣he` … `␣she` for a difference of two tokens, else nothing. */
function ends({ terms }: TraceDocument['observable']): { low: string; high: string } {
  const [first, second] = terms;
  if (terms.length !== 2 || !first || !second || first.weight * second.weight >= 0) return { low: '', high: '' };
  const [high, low] = first.weight > 0 ? [first, second] : [second, first];
  return { low: `${visibleToken(low.text)} `, high: ` ${visibleToken(high.text)}` };
}

/** `␣he −2 ■■■ 0 ■■■ ≥ +2 ␣she logits`, piece by piece; `≤` and `≥` where values lie beyond the end. */
export function legendPieces(
  document: TraceDocument,
  max: number,
  beyond: Beyond,
  highContrast = false,
): LegendPiece[] {
  const marks = highContrast ? lines : swatches;
  const { low, high } = ends(document.observable);
  const { propagation } = document;
  const what = propagation ? `, ${shortPropagationText(propagation)}` : '';
  const colorOf = (sign: 'positive' | 'negative', step: number) => tokenColors[sign][step - 1] ?? null;
  return [
    { text: `${low}${beyond.below ? '≤ ' : ''}${axisEnd(-max)}`, color: null },
    ...shownSteps.map((step) => ({ text: marks.negative, color: colorOf('negative', step) })),
    { text: '0', color: null },
    ...[...shownSteps].reverse().map((step) => ({ text: marks.positive, color: colorOf('positive', step) })),
    { text: `${beyond.above ? '≥ ' : ''}${axisEnd(max)}${high} logits${what}`, color: null },
  ];
}
