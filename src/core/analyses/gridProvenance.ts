import { createHash } from 'node:crypto';
import type { Provenance } from '../../shared/traceDocument.ts';
import type { SweepItem } from '../tasks/gridRequest.ts';
import type { AnalysisContext } from './analysisContext.ts';

/**
 * What a result over prompts is made of. Equal questions to equal weights have equal hashes.
 * @param ablation what stands in for the ablated thing, or `none`
 * @param question the request as text, without what does not change its numbers
 */
export function gridProvenance(
  { model, version }: AnalysisContext,
  ref: string,
  items: readonly SweepItem[],
  ablation: string,
  question: string,
): Provenance {
  const ids = items.map(({ ids: own, corruptedIds }) => [Array.from(own), corruptedIds && Array.from(corruptedIds)]);
  return {
    mechanistVersion: version,
    model: ref,
    modelLabel: model.info.label,
    family: model.config.family,
    modelHash: model.info.hash,
    patches: [],
    dtype: 'float32',
    bos: model.tokenizer.addsBos ? 'added by the tokenizer' : 'none added',
    weightProcessing: 'none',
    ablation,
    hash: createHash('sha256')
      .update(JSON.stringify([model.info.hash, ids, question]))
      .digest('hex')
      .slice(0, 7),
  };
}
