/**
 * Changes made inside a running model, as data. A list of interventions is applied in its order; where two act at the
 * same hook point, the later one sees what the earlier one left. No change of an attention map lets a query see a key that
 * the model hides from it. JSON schema: `media/schemas/intervention.schema.json`.
 */

/** Where an intervention acts. What is left out means "all". */
export interface InterventionSite {
  /**
   * TransformerLens name (`blocks.9.attn.hook_z`), an alias (`hook_in`, `transformer.h.9.attn`), or a name without its layer
   * (`attn.hook_z`) together with `layers`.
   */
  readonly hook: string;
  readonly layers?: readonly number[];
  /** Query heads. At `hook_k`, `hook_rot_k` and `hook_v`: key-value heads. */
  readonly heads?: readonly number[];
  /** Entries of the last dimension: neurons at `mlp.hook_pre/post`, keys at attention maps, residual dimensions elsewhere. */
  readonly neurons?: readonly number[];
  /** 0-based; negative counts from the end. At attention maps: query positions. Not for `swapPositions` and `editPattern`. */
  readonly positions?: readonly number[];
  /** Items of the batch. */
  readonly items?: readonly number[];
}

/** Activations of another run, by the name the caller gave that run: `clean`, `corrupted`, … */
export interface RunSource {
  readonly run: string;
  /** Item of that run for each item of this one; absent: the same index. */
  readonly items?: readonly number[];
  /** Positions of that run for each position written; absent: the same. */
  readonly positions?: readonly number[];
}

/** A mean: over the items of the batch at each position, the items of a group at each position, the positions of each item, or all. */
export type MeanOver = 'batch' | 'group' | 'position' | 'all';

export type Intervention = { readonly at: InterventionSite } & (
  | { readonly kind: 'zero' }
  /** Mean of the unmodified run `of` (absent: this batch, run clean). `groups`: group of each item, for `over: 'group'`. */
  | { readonly kind: 'mean'; readonly over: MeanOver; readonly groups?: readonly number[]; readonly of?: string }
  /** Each item takes the value of another item of the clean batch, or of the run `of`; a seeded permutation without fixed points. */
  | { readonly kind: 'resample'; readonly seed: number; readonly of?: string }
  /** `renormalise` divides each written row of a pattern by its sum; only at `attn.hook_pattern`. */
  | { readonly kind: 'patch'; readonly from: RunSource; readonly renormalise?: boolean }
  /** A number, or one per entry of the last dimension. */
  | { readonly kind: 'set'; readonly value: number | readonly number[] }
  | { readonly kind: 'add'; readonly vector: readonly number[]; readonly factor?: number }
  | { readonly kind: 'scale'; readonly factor: number }
  /** y − (y·d) d / (d·d) over the last dimension. */
  | { readonly kind: 'projectOut'; readonly direction: readonly number[] }
  /** Exchanges the values of two positions. */
  | { readonly kind: 'swapPositions'; readonly pairs: readonly (readonly [number, number])[] }
  /** Sets entries of the attention pattern; `renormalise` divides each touched row by its sum. Only at `attn.hook_pattern`. */
  | {
      readonly kind: 'editPattern';
      readonly entries: readonly { readonly query: number; readonly key: number; readonly value: number }[];
      readonly renormalise?: boolean;
    }
  /** Holds a hook at the value it had in a run (absent: this batch, run clean): pattern, norm scale, mlp_out or any other. */
  | { readonly kind: 'freeze'; readonly of?: string }
  /**
   * y' = yP + xA + b: x the module's normed input, y its output (`hook_attn_out` or `hook_mlp_out`), row vectors.
   * `p` is a number (P = p·I) or a `[d_model, d_model]` matrix; `a` is given as factors `[d_model, r]` and `[r, d_model]`.
   */
  | {
      readonly kind: 'lowRank';
      readonly p: number | readonly (readonly number[])[];
      readonly a: { readonly left: readonly (readonly number[])[]; readonly right: readonly (readonly number[])[] };
      readonly b?: readonly number[];
    }
);

export type InterventionKind = Intervention['kind'];
