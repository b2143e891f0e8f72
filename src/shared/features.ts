import type { ObservableSpec } from './engineProtocol.ts';

/**
 * How a direction is taken back through a norm N(x) = γ ⊙ Px / s(x) + β (P centres; identity for RMSNorm), n the direction at its
 * output:
 * - `ignore`: n itself, as if there were no norm. For cosines.
 * - `scaled`: (√d / |Px|) γ ⊙ n, at the input x of the linearisation point; as the paper does.
 * - `frozen`: (1/s) P(γ ⊙ n), the scale held: exact for sums of contributions.
 * - `jacobian`: the gradient of n · N at the linearisation point, scale included.
 * - `secant`: (n · N(x) / n · x) n, so that the score is the very value at the linearisation point.
 */
export const normModes = ['ignore', 'scaled', 'frozen', 'jacobian', 'secant'] as const;
export type NormMode = (typeof normModes)[number];

/**
 * Where norms and MLPs are linearised: at this `prompt`; at the decision `boundary` between the two prompts of a pair, where what is
 * linearised is 0; or by the `mean` of all gradients between them.
 */
export const linearisationPoints = ['prompt', 'boundary', 'mean'] as const;
export type LinearisationPoint = (typeof linearisationPoints)[number];

/**
 * Whether a norm turns the gradient so far from the direction that what is linear there misleads: from |ρ| = .3 on, ρ the cosine of
 * direction and input.
 */
export function turnsFar(rho: number): boolean {
  return Math.abs(rho) >= 0.3;
}

/**
 * A node of a path. `position` is the 0-based token that it reads: the source of a head, the token of an MLP or embedding; null where
 * it is left to the prompt.
 */
export type PathNode =
  | { readonly kind: 'head'; readonly layer: number; readonly head: number; readonly position: number | null }
  | { readonly kind: 'mlp'; readonly layer: number; readonly position: number | null }
  | { readonly kind: 'embedding'; readonly position: number | null };

/** Whether heads write what the last node of a path reads: not the embedding, nor what the first block reads. `MLP 0` counts as such. */
export function headsWriteTo(path: string): boolean {
  return !/(?:emb|L0\.H\d+|MLP 0)(?:@\S+)?$/.test(path);
}

/** A feature vector as a person asks for it. */
export interface FeatureSpec {
  /** Name of an observable, or tokens and weights. */
  readonly observable: string | ObservableSpec;
  /** `L21.H4@7 <= L18.H7@3 <= MLP 12@3`, nearest the logits first. */
  readonly path: string;
  readonly norm?: NormMode;
  readonly point?: LinearisationPoint;
  /** The vector is taken from this file of the step `feature`, as its step names it; absent: it is made. */
  readonly file?: string;
}
