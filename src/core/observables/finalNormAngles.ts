import type { ResolvedObservable } from '../tasks/observable.ts';
import type { FeaturePrompt } from './featureVector.ts';
import { type OwnAngle, ownAngle } from './normAngle.ts';
import { streamValue } from './normPullBack.ts';
import { type FeatureContext, PromptReader } from './promptReader.ts';
import { segmentRoot } from './segment.ts';
import { between } from './vectors.ts';

/** How far the final norm turns an observable: at a prompt, and where it is 0 between the prompt and its partner. */
export interface FinalNormAngles {
  readonly prompt: OwnAngle;
  /** Null without a partner, or where both prompts give the observable the same sign. */
  readonly boundary: OwnAngle | null;
}

/**
 * Angles of an observable at the final norm (theorem 1 of Dunefsky and Cohan is about them). One or two forward passes, less what
 * the cache knows.
 * @throws MechanistError `prompt-empty`, `cancelled`
 */
export async function finalNormAngles(
  context: FeatureContext,
  observable: ResolvedObservable,
  { ids, partner = null, position = ids.length - 1 }: FeaturePrompt,
): Promise<FinalNormAngles> {
  const { config, finalNorm, unembedding } = context.runner;
  const final = await unembedding.direction(observable.terms);
  const inputOf = async (tokens: ArrayLike<number>) =>
    (await PromptReader.read(context, Int32Array.from(tokens), position)).final(position);
  const at = (x: Float64Array) => ownAngle(config.norm, finalNorm.gain, final.direction, x);
  const own = await inputOf(ids);
  if (partner === null || partner.length !== ids.length) return { prompt: at(own), boundary: null };
  const other = await inputOf(partner);
  const root = segmentRoot((t) => streamValue(finalNorm, final, between(other, own, t)));
  return { prompt: at(own), boundary: root.target === 0 ? at(between(other, own, root.t)) : null };
}
