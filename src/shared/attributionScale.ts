import type { TraceDocument } from './traceDocument.ts';

/**
 * Whether a token is left out when the end of the scale is chosen: the first one in scores of observable propagation. Its residual
 * stream is many times as long as the others', so that it would make them all pale; it is clamped, and the key says so.
 */
export function isBesideScale(
  { propagation, attributions }: Pick<TraceDocument, 'propagation' | 'attributions'>,
  index: number,
): boolean {
  return index === 0 && attributions.length > 1 && propagation?.view === 'score';
}

/** The attributions that choose the end of the scale. */
export function scaledAttributions(document: Pick<TraceDocument, 'propagation' | 'attributions'>): readonly number[] {
  return document.attributions.filter((_, index) => !isBesideScale(document, index));
}
