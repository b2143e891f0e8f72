import { createHash } from 'node:crypto';
import type { AttributionMethod, ObservableTerm, Provenance } from '../../shared/traceDocument.ts';
import type { AnalysisContext } from './analysisContext.ts';
import { INTEGRATED_BASELINE } from './integratedGradients.ts';
import { OCCLUSION_ABLATION } from './occlusion.ts';

const ABLATIONS: Readonly<Record<AttributionMethod, string>> = {
  direct: 'none',
  occlusion: OCCLUSION_ABLATION,
  'gradient-times-input': 'none',
  'integrated-gradients': INTEGRATED_BASELINE,
  'observable-propagation': 'none',
};

/**
 * What every result says of the model it came from.
 * @param ref the model as the person named it
 * @param ablation what stands in for the ablated thing, or `none`
 * @param hash first 7 hexadecimal digits of what tells this question from others
 */
export function modelProvenance(
  { model, version }: Pick<AnalysisContext, 'model' | 'version'>,
  ref: string,
  ablation: string,
  hash: string,
): Provenance {
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
    hash,
  };
}

/** sha256 of a question, its first 7 hexadecimal digits. */
export function shortHash(question: string): string {
  return createHash('sha256').update(question).digest('hex').slice(0, 7);
}

/** What a trace is made of. Equal questions to equal weights have equal hashes. */
export function provenanceOf(
  context: AnalysisContext,
  asked: {
    readonly model: string;
    readonly ids: ArrayLike<number>;
    readonly terms: readonly ObservableTerm[];
    readonly position: number;
    readonly method: AttributionMethod;
    /** What else tells the question from others. */
    readonly more?: readonly string[];
  },
): Provenance {
  const { ids, terms, position, method, more = [] } = asked;
  const observable = terms.map(({ id, weight }) => [id, weight]);
  const identity = JSON.stringify([context.model.info.hash, Array.from(ids), observable, position, method, ...more]);
  return modelProvenance(context, asked.model, ABLATIONS[method], shortHash(identity));
}
