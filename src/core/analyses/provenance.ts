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
};

/** What a trace is made of. Equal questions to equal weights have equal hashes. */
export function provenanceOf(
  { model, version }: AnalysisContext,
  asked: {
    readonly model: string;
    readonly ids: ArrayLike<number>;
    readonly terms: readonly ObservableTerm[];
    readonly position: number;
    readonly method: AttributionMethod;
  },
): Provenance {
  const { ids, terms, position, method } = asked;
  const observable = terms.map(({ id, weight }) => [id, weight]);
  const identity = JSON.stringify([model.info.hash, Array.from(ids), observable, position, method]);
  return {
    mechanistVersion: version,
    model: asked.model,
    modelLabel: model.info.label,
    family: model.config.family,
    modelHash: model.info.hash,
    patches: [],
    dtype: 'float32',
    bos: model.tokenizer.addsBos ? 'added by the tokenizer' : 'none added',
    weightProcessing: 'none',
    ablation: ABLATIONS[method],
    hash: createHash('sha256').update(identity).digest('hex').slice(0, 7),
  };
}
