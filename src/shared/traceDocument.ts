import type { NormMode } from './features.ts';
import type { PackedArray } from './packedArray.ts';

/** How token attributions are computed. */
export type AttributionMethod =
  | 'direct'
  | 'occlusion'
  | 'gradient-times-input'
  | 'integrated-gradients'
  | 'observable-propagation';

/**
 * What observable propagation says of a token: `score`, how much the observable would rise for each unit of attention that the path pays
 * it; `contribution`, what it adds along the path with the attention there is.
 */
export type PropagationView = 'score' | 'contribution';

/** The observable taken back along one path. Arrays are `[pos]`, logits but for `attention`. */
export interface PropagationDetail {
  /** `L21.H4@7 <= MLP 12@7`: with the tokens that the nodes read, from 1. */
  readonly path: string;
  /** True when nobody named a path: then it is the head whose direct contribution is largest. */
  readonly pathIsDefault: boolean;
  readonly norm: NormMode;
  readonly view: PropagationView;
  /** What the scores are read from: `blocks.21.hook_resid_pre`. */
  readonly hook: string;
  /** Feature vector · activation at `hook`. One vector for all tokens: that of the token which the path names. */
  readonly scores: readonly number[];
  /** Attention of all heads of the path multiplied, the last one's source being this token; an MLP's only at its own. */
  readonly attention: readonly number[];
  /** What the last node of the path adds through it, by the token it reads; norm scales frozen. */
  readonly contributions: readonly number[];
  /** What the last node adds through the path in all. */
  readonly contribution: number;
  /** Of the observable's value; null where that is 0. */
  readonly share: number | null;
  /** Each norm that was passed: cosine of the direction and the norm's input, and the angle in radians by which its scale turns the gradient. */
  readonly norms: readonly { readonly norm: string; readonly rho: number; readonly angle: number }[];
}

/** One term of an observable: the logit of one vocabulary entry, times a weight. */
export interface ObservableTerm {
  readonly id: number;
  readonly text: string;
  readonly weight: number;
}

/**
 * What a number is made of. Written into every result, so that a figure can be traced back to its weights.
 */
export interface Provenance {
  readonly mechanistVersion: string;
  /** Model as it was named by the person: catalogue id, folder or file. */
  readonly model: string;
  /** Short name with quantisation, for titles: `smollm2-135m Q4_1`. */
  readonly modelLabel: string;
  readonly family: string;
  /** sha256 of the weight file(s), hexadecimal. */
  readonly modelHash: string;
  readonly patches: readonly string[];
  /** Arithmetic of the engine. */
  readonly dtype: 'float32';
  /** Whether the model's own tokenizer put a beginning-of-sequence token first. Nothing else ever adds one. */
  readonly bos: 'none added' | 'added by the tokenizer';
  /** Always `none`: weights are used as stored; LayerNorm is not folded, nothing is centred. */
  readonly weightProcessing: 'none';
  /** In words, what stands in for the ablated thing; `none` where nothing is ablated. */
  readonly ablation: string;
  /** First 7 hexadecimal digits of the sha256 over model hash, token ids, observable, position and method. */
  readonly hash: string;
}

/** A token of the prompt. `start` and `end` are UTF-16 offsets into the prompt text; a BOS token has `start === end`. */
export interface PromptToken {
  readonly id: number;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** One candidate for the next token at the last position. `logprob` is a natural logarithm. */
export interface NextToken {
  readonly id: number;
  readonly text: string;
  readonly logit: number;
  readonly logprob: number;
}

/**
 * Direct logit attribution of the observable at `position`, norm scale frozen at its value on this prompt.
 * All numbers are logits. heads + mlps + embedding + positionEmbedding + bias = observable value, exactly.
 */
export interface DirectAttribution {
  /** `[layer][head]`: what each head writes towards the observable at `position`, without the output bias. */
  readonly heads: readonly (readonly number[])[];
  /** `[layer]`, including the MLP's own output bias. */
  readonly mlps: readonly number[];
  readonly embedding: number;
  /** 0 for models with rotary positions. */
  readonly positionEmbedding: number;
  /** Attention output biases, the final norm's bias, and the unembedding's bias. */
  readonly bias: number;
  /**
   * `[layer, head, source]`: each head's number split over the source positions it reads, attention frozen.
   * A value bias travels with its source. Summed over sources it equals `heads`.
   */
  readonly bySource: PackedArray;
  /** `[layer, head, source]`: the attention pattern's row at `position`. */
  readonly attention: PackedArray;
}

/**
 * The logit lens: the residual stream after each layer, through the final norm (its own scale) and the unembedding.
 * Row 0 is the embedding, row l + 1 is `blocks.l.hook_resid_post`; the last row is the model's own output.
 */
export interface LensTable {
  /** `emb`, `L0` … */
  readonly rows: readonly string[];
  /** 0-based prompt positions, one per column. */
  readonly positions: readonly number[];
  /** `[row][column]`: the observable in logits. */
  readonly values: readonly (readonly number[])[];
  /** `[row][column]`: the most likely token and its probability. */
  readonly top: readonly (readonly { readonly id: number; readonly text: string; readonly p: number }[])[];
}

/** Everything a traced prompt has to say. Positions are 0-based. */
export interface TraceDocument {
  readonly schemaVersion: 1;
  readonly kind: 'trace';
  readonly complete: boolean;
  readonly warnings: readonly string[];
  readonly provenance: Provenance;
  readonly prompt: string;
  readonly tokens: readonly PromptToken[];
  /**
   * Tokens of the whole text; more than `tokens.length` where only the first ones fit the context. Null where the text is
   * longer than the context and so long that it was not tokenized to its end.
   */
  readonly tokensInText: number | null;
  /** Where the observable is read. */
  readonly position: number;
  readonly observable: {
    /** `␣she − ␣he` */
    readonly label: string;
    readonly terms: readonly ObservableTerm[];
    /** In logits. */
    readonly value: number;
    /** True when nobody named an observable and it was set to the first minus the second most likely next token. */
    readonly isDefault: boolean;
  };
  readonly method: AttributionMethod;
  /**
   * `[pos]`, logits. `direct`: by source position, one layer of attention back from `position`; what the MLPs,
   * the embedding and the biases add at `position` itself counts there. Sums to the observable.
   * `gradient-times-input`: token embedding · gradient of the observable at it.
   * `integrated-gradients`: gradients averaged on the line from the vocabulary's mean embedding, times the way from there;
   * they add up to the observable minus its value at that baseline, as far as the number of steps allows.
   * `occlusion`: observable minus the observable with this token's embedding replaced by the vocabulary's mean embedding.
   * `observable-propagation`: the scores or contributions of `propagation`, by its view.
   */
  readonly attributions: readonly number[];
  /** With `observable-propagation` only. */
  readonly propagation?: PropagationDetail;
  readonly direct: DirectAttribution;
  /** Most likely first. */
  readonly next: readonly NextToken[];
}

/** One head, seen from the observable's position. */
export interface HeadDetail {
  readonly layer: number;
  readonly head: number;
  /** `[query, key]`, rows sum to 1, zero above the diagonal. */
  readonly pattern: PackedArray;
  /** Vocabulary entries that the OV circuit pushes up and down most when the head reads `source`; logits, final norm scale frozen. */
  readonly ov: {
    readonly source: number;
    readonly up: readonly { readonly id: number; readonly text: string; readonly logit: number }[];
    readonly down: readonly { readonly id: number; readonly text: string; readonly logit: number }[];
  };
}
