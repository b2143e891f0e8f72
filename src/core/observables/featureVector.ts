import { MechanistError } from '../../shared/errors.ts';
import type { LinearisationPoint, NormMode, PathNode } from '../../shared/features.ts';
import type { ObservableTerm } from '../../shared/traceDocument.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';
import { printPath } from '../tasks/pathText.ts';
import { requirePath, resolvePath } from '../tasks/resolvePath.ts';
import { type FeatureContext, PromptReader } from './promptReader.ts';
import { type PassedNorm, PathWalker, type Walk } from './walkPath.ts';

/** Where a feature is made: a prompt, and its partner where there is one. */
export interface FeaturePrompt {
  readonly ids: ArrayLike<number>;
  /** Tokens of the other prompt of the pair: as many. Needed by `boundary` and `mean`. */
  readonly partner?: ArrayLike<number> | null;
  /** 0-based: where the observable is read; absent: the last token. */
  readonly position?: number;
  /** Role → 0-based tokens, for paths that name roles. */
  readonly roles?: Readonly<Record<string, readonly number[]>>;
}

/** A feature vector that is asked for. */
export interface FeatureRequest {
  readonly observable: ResolvedObservable;
  /** `L21.H4@7 <= MLP 12`, nearest the logits first. */
  readonly path: string;
  /** Default: `frozen`. */
  readonly norm?: NormMode;
  /** Default: `prompt`. */
  readonly point?: LinearisationPoint;
}

/** An observable taken back along a path: a direction that says how much the observable rises when it is there. */
export interface FeatureVector {
  /** `␣she − ␣he at L21.H4` */
  readonly name: string;
  readonly observable: { readonly label: string; readonly terms: readonly ObservableTerm[] };
  /** With the token of each node. */
  readonly path: readonly PathNode[];
  readonly norm: NormMode;
  readonly point: LinearisationPoint;
  /**
   * What it is read against: `blocks.21.hook_resid_pre`; `hook_resid_mid` for an MLP; `blocks.0.hook_resid_pre` for the embedding.
   */
  readonly hook: string;
  /** `[d_model]`, not normalised, norms folded in: score = vector · raw activation at `hook`, in logits per unit of attention. */
  readonly vector: Float64Array;
  /**
   * What the maps of the path alone add to the score: biases of norms and values, Taylor constants of MLPs, n · b_U; each head's
   * attention taken as 1. In logits.
   */
  readonly offset: number;
  /** Each norm passed, at the linearisation point. */
  readonly norms: readonly PassedNorm[];
  readonly warnings: readonly string[];
}

/** @throws MechanistError `bad-input`: no pair where one is needed, prompts of unlike length, a mode that says nothing there */
function checkPair({ ids, partner }: FeaturePrompt, point: LinearisationPoint, norm: NormMode): void {
  if (point === 'boundary' && norm === 'secant') {
    const message =
      'At the boundary the observable is 0, and so is its secant: choose the norm mode jacobian, or another point.';
    throw new MechanistError('bad-input', message);
  }
  if (partner === null || partner === undefined) {
    if (point === 'prompt') return;
    const message = `The point "${point}" lies between the two prompts of a pair: name the other prompt, or choose the point "prompt".`;
    throw new MechanistError('bad-input', message);
  }
  if (partner.length === ids.length) return;
  const differs = Array.from(ids).findIndex((id, i) => id !== partner[i]);
  const first = differs < 0 ? ids.length : differs;
  const message = `The prompts of the pair have ${ids.length} and ${partner.length} tokens; they differ from token ${first + 1} on. Both need as many.`;
  throw new MechanistError('bad-input', message, { first });
}

/**
 * Takes an observable back along a path on one prompt, with what each node is read along. One forward pass for each prompt that the
 * cache does not know, one position more for each further token whose attention decides.
 * @param known the prompt's activations, where somebody has them
 * @throws MechanistError `bad-input` (path, pair), `prompt-empty`, `cancelled`
 */
export async function walkFeature(
  context: FeatureContext,
  { observable, path, norm = 'frozen', point = 'prompt' }: FeatureRequest,
  prompt: FeaturePrompt,
  known?: PromptReader,
): Promise<Walk> {
  const { config, unembedding } = context.runner;
  const { ids, partner = null, position = ids.length - 1, roles } = prompt;
  const { nLayers, nHeads, parallelResidual } = config;
  const sizes = { nLayers, nHeads, parallelResidual };
  const checks = { sizes, length: ids.length, ...(roles !== undefined && { roles: Object.keys(roles) }) };
  const nodes = resolvePath(requirePath(path, checks), { length: ids.length, position, roles });
  checkPair(prompt, point, norm);
  const own = known ?? (await PromptReader.read(context, Int32Array.from(ids), position));
  const between = point !== 'prompt' && partner !== null;
  const other = between ? await PromptReader.read(context, Int32Array.from(partner), position) : null;
  const direction = await unembedding.direction(observable.terms);
  const walker = new PathWalker(context, own, other, { norm, point, position });
  return walker.walk(direction, nodes);
}

/**
 * The feature vector of an observable along a path (Dunefsky and Cohan 2024, arXiv 2312.16291, §2), attention patterns held fixed.
 * Each norm is the one that the node really reads through (the authors' code exchanges the two of a block). Of GPT-NeoX, MLP and
 * attention both read resid_pre, each through its own norm. Cost and errors: `walkFeature`.
 */
export async function featureVector(
  context: FeatureContext,
  request: FeatureRequest,
  prompt: FeaturePrompt,
): Promise<FeatureVector> {
  const { observable, norm = 'frozen', point = 'prompt' } = request;
  const { nodes, vector, offset, hook, norms, warnings } = await walkFeature(context, request, prompt);
  const path = nodes.map(({ node }) => node);
  const { label, terms } = observable;
  const name = `${label} at ${printPath(path, false)}`;
  return { name, observable: { label, terms }, path, norm, point, hook, vector, offset, norms, warnings };
}
