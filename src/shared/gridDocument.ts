import type { TokenRef } from './dataset.ts';
import type { MetricSpec, SampleSummary } from './metric.ts';
import type { PackedArray } from './packedArray.ts';
import type { Provenance } from './traceDocument.ts';

/** One axis of a grid: what its lines are. */
export interface GridAxis {
  /** `layer`, `head`, `position`, `receiver` … */
  readonly name: string;
  readonly labels: readonly string[];
}

/** What was run at each cell. */
export type GridAnalysis = 'ablate' | 'patch' | 'path-patch';

/** One item of the data set as it was run. */
export interface GridItem {
  readonly id: string;
  readonly prompt: string;
  readonly corrupted: string | null;
  readonly tokens: readonly { readonly id: number; readonly text: string }[];
  readonly corruptedTokens: readonly { readonly id: number; readonly text: string }[] | null;
  readonly answer: string;
  readonly foils: readonly string[];
  readonly tags: readonly string[];
}

/**
 * A sweep: one number for each cell of a grid, the metric AFTER the intervention at that cell (not the difference).
 * Rows are layers (first row = L0); columns are heads, positions, or one column.
 */
export interface GridDocument {
  readonly schemaVersion: 1;
  readonly kind: 'grid';
  readonly analysis: GridAnalysis;
  /** `exact`: every cell was run. `attribution`: first-order estimate. `screened`: estimate, and the largest run exactly. */
  readonly method: 'exact' | 'attribution' | 'screened';
  /** False while cells are missing: cancelled, or still running. */
  readonly complete: boolean;
  readonly warnings: readonly string[];
  readonly provenance: Provenance;
  /** `z of each head set to zero at every position` */
  readonly intervention: string;
  /** What to run again to get this document; `resume` reads it. */
  readonly request: GridRequest;
  readonly metric: { readonly spec: MetricSpec; readonly label: string; readonly unit: string };
  readonly axes: { readonly rows: GridAxis; readonly columns: GridAxis };
  readonly items: readonly GridItem[];
  /** The metric without intervention. */
  readonly clean: SampleSummary & { readonly byItem: readonly number[] };
  /** Only for patching. */
  readonly corrupted: (SampleSummary & { readonly byItem: readonly number[] }) | null;
  /** `[row][column]`: mean over items; null where not run. */
  readonly values: readonly (readonly (number | null)[])[];
  /** `[row, column, item]`; NaN where not run. */
  readonly byItem: PackedArray;
  /** `[row][column]`: whether the number comes from a run of the model (and not from the first-order estimate). */
  readonly exact: readonly (readonly boolean[])[];
  /** `screened`: how well the first-order estimate ranks. Of the cells with the largest effects among those run exactly, the share that the estimate has as large. */
  readonly screening?: { readonly verified: number; readonly top: number; readonly recall: number } | null;
  readonly cost: { readonly forwardPasses: number; readonly seconds: number };
}

/** What is swept: each head's z, each MLP's output, single neurons of a layer, or the residual stream at each position. */
export type AblationSites = 'heads' | 'mlps' | 'neurons' | 'positions';

/** An attention head, 0-based; at `k` and `v` a key-value head. */
export interface HeadRef {
  readonly layer: number;
  readonly head: number;
}

export type PatchSite =
  | 'resid_pre'
  | 'resid_mid'
  | 'resid_post'
  | 'attn_out'
  | 'mlp_out'
  | 'z'
  | 'q'
  | 'k'
  | 'v'
  | 'pattern';

/** One prompt, or a pair, with its answer. Texts are tokenized by the model's own tokenizer. */
export interface GridPrompt {
  readonly id?: string;
  readonly clean: string;
  readonly corrupted?: string;
  readonly answer: TokenRef;
  readonly foils: readonly TokenRef[];
  /** Other right answers, for `prob-sum-difference`. */
  readonly also?: readonly TokenRef[];
  /** Token index where the answer is predicted; −1 (last) when absent. */
  readonly position?: number;
  /** Further answers of the same prompt, at other positions; the metric is the mean over all. */
  readonly more?: readonly {
    readonly answer: TokenRef;
    readonly foils: readonly TokenRef[];
    readonly also?: readonly TokenRef[];
    readonly position?: number;
  }[];
  readonly tags?: readonly string[];
}

interface GridRequestBase {
  readonly model: string;
  readonly prompts: readonly GridPrompt[];
  /** Default: logit difference against the one foil (mean of several). */
  readonly metric?: MetricSpec;
  readonly method?: GridDocument['method'];
  /** `screened`: how many of the largest cells are run exactly; default 20. */
  readonly verifyTop?: number;
  readonly seed?: number;
  /** Upper bound of activations held at once, in bytes; default a quarter of free memory. */
  readonly memoryBytes?: number;
}

export interface AblateRequest extends GridRequestBase {
  readonly analysis: 'ablate';
  readonly sites: AblationSites;
  readonly mode: 'zero' | 'mean' | 'resample';
  /** `mean`: over the prompts at each position (default), or over the positions of each prompt. */
  readonly meanOver?: 'batch' | 'position';
  /** For `neurons`: the layer whose neurons are swept. */
  readonly layer?: number;
}

export interface PatchRequest extends GridRequestBase {
  readonly analysis: 'patch';
  readonly site: PatchSite;
  /**
   * Columns of the grid: one per position, or all positions at once. Default: by position, at head sites (`z`, `q`, `k`, `v`,
   * `pattern`) one column per head and all positions at once. A pattern's position is its query's.
   */
  readonly byPosition?: boolean;
  /** Only for head sites by position: the heads that are its rows, or every head of a layer. */
  readonly heads?: readonly HeadRef[] | { readonly layer: number };
  /** `denoising`: clean activation into the corrupted run. `noising`: corrupted activation into the clean run. Default denoising. */
  readonly direction?: 'denoising' | 'noising';
}

export interface PathPatchRequest extends GridRequestBase {
  readonly analysis: 'path-patch';
  /** Where the path ends: the final residual stream, or q, k or v of chosen heads. */
  readonly receivers:
    | 'final'
    | readonly { readonly layer: number; readonly head: number; readonly input: 'q' | 'k' | 'v' }[];
  readonly mlps: 'frozen' | 'recomputed';
  readonly direction?: 'denoising' | 'noising';
}

export type GridRequest = AblateRequest | PatchRequest | PathPatchRequest;

/** Cells of a sweep that are done. `byItem` holds one number per item. */
export interface GridCell {
  readonly row: number;
  readonly column: number;
  readonly byItem: readonly number[];
  /** Whether the model was run, or the number is a first-order estimate. */
  readonly exact: boolean;
}

/**
 * One-way messages of the engine while a `grid` request runs, so that a panel fills as cells are done and a cancel keeps them.
 * `token` is the one of the request. `grid.started` comes once, with every cell null (or those of `resume`).
 */
export interface GridNotifications {
  'grid.started': { readonly token: string; readonly document: GridDocument };
  'grid.cells': { readonly token: string; readonly cells: readonly GridCell[] };
}
