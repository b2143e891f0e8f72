import type { Provenance } from '../../shared/traceDocument.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { modelProvenance, shortHash } from './provenance.ts';

/**
 * What a result over prompts is made of. Equal questions to equal weights have equal hashes.
 * @param ablation what stands in for the ablated thing, or `none`
 * @param question the request as text, without what does not change its numbers
 */
export function gridProvenance(
  context: AnalysisContext,
  ref: string,
  items: readonly SweepItem[],
  ablation: string,
  question: string,
): Provenance {
  const ids = items.map(({ ids: own, corruptedIds }) => [Array.from(own), corruptedIds && Array.from(corruptedIds)]);
  return modelProvenance(context, ref, ablation, shortHash(JSON.stringify([context.model.info.hash, ids, question])));
}
