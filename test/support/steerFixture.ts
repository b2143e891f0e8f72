import type { SteerDocument } from '../../src/shared/steerDocument.ts';
import { makeTrace } from './traceFixture.ts';

const tokens = [' she', ' he', ' they', ' it', ' the'];

/** A steering along ␣she − ␣he whose metric is linear in the factor. For tests of figures only. */
export function makeSteering(factors: readonly number[] = [-8, -6, -4, -2, 0, 2, 4, 6, 8]): SteerDocument {
  const outputs = (factor: number) => ({
    value: 1.5 + 0.6 * factor,
    kl: 0.02 * factor ** 2,
    next: tokens.map((text, id) => ({ id, text, logit: 5 - id, logprob: -1 - id - 0.1 * Math.abs(factor) * (id % 2) })),
  });
  const prompt = { clean: 'The nurse said that', answer: ' she', foils: [' he'] };
  return {
    schemaVersion: 1,
    kind: 'steer',
    warnings: [],
    provenance: makeTrace().provenance,
    intervention: 'a direction of length 1, times a factor, added at blocks.1.hook_resid_pre, every position',
    request: {
      model: 'small-world',
      prompt,
      hook: 'blocks.1.hook_resid_pre',
      direction: { kind: 'unembedding', toward: ' she', away: ' he' },
      factors,
    },
    metric: { spec: { kind: 'logit-difference', foil: 'one' }, label: '␣she − ␣he', unit: 'logits' },
    item: {
      ...{ id: '1', prompt: prompt.clean, corrupted: null, corruptedTokens: null, tags: [] },
      ...{ answer: ' she', foils: [' he'] },
      tokens: ['The', ' nurse', ' said', ' that'].map((text, id) => ({ id, text })),
    },
    clean: outputs(0),
    steered: factors.map((factor) => ({ factor, ...outputs(factor) })),
    cost: { forwardPasses: 1 + factors.length, seconds: 0.2 },
  };
}
