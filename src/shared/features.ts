/**
 * A node of a path. `position` is the 0-based token that it reads: the source of a head, the token of an MLP or embedding; null where
 * it is left to the prompt.
 */
export type PathNode =
  | { readonly kind: 'head'; readonly layer: number; readonly head: number; readonly position: number | null }
  | { readonly kind: 'mlp'; readonly layer: number; readonly position: number | null }
  | { readonly kind: 'embedding'; readonly position: number | null };
