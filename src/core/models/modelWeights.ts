/** A float32 tensor in a file: what an ONNX external initialiser points at. */
export interface TensorLocation {
  /** Absolute path. */
  readonly file: string;
  readonly offset: number;
  readonly byteLength: number;
  readonly shape: readonly number[];
}

/** y = x W + b. `layout` says how W is stored: `[in, out]` (GPT-2 Conv1D) or `[out, in]` (torch Linear). */
export interface LinearWeights {
  readonly weight: TensorLocation;
  readonly layout: 'in_out' | 'out_in';
  readonly bias: TensorLocation | null;
}

export interface NormWeights {
  readonly gain: TensorLocation;
  /** Null for RMSNorm. */
  readonly bias: TensorLocation | null;
}

export type QueryKeyValueWeights =
  | { readonly kind: 'separate'; readonly q: LinearWeights; readonly k: LinearWeights; readonly v: LinearWeights }
  /** One matrix whose output is [q | k | v] (GPT-2). */
  | { readonly kind: 'fused'; readonly qkv: LinearWeights }
  /** One matrix whose output is, per head, [q | k | v] (GPT-NeoX). */
  | { readonly kind: 'fused-by-head'; readonly qkv: LinearWeights };

export interface BlockWeights {
  readonly norm1: NormWeights;
  readonly attention: { readonly qkv: QueryKeyValueWeights; readonly out: LinearWeights };
  readonly norm2: NormWeights;
  /** `gate` is null for plain MLPs. */
  readonly mlp: { readonly in: LinearWeights; readonly gate: LinearWeights | null; readonly out: LinearWeights };
}

export interface ModelWeights {
  /** `[d_vocab, d_model]` */
  readonly embed: TensorLocation;
  /** `[n_ctx, d_model]`; null for rotary models. */
  readonly positionEmbed: TensorLocation | null;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: NormWeights;
  /** Tied models point at `embed` with layout `out_in`. */
  readonly unembed: LinearWeights;
}
