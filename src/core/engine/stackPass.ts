import type { OnProgress } from '../../shared/progress.ts';
import type { ActivationReads, ReadPlan, Tile } from './activationReads.ts';
import type { BlockHook } from './hookPoints.ts';
import type { KeysValues } from './keysValues.ts';
import type { Feeds, SessionKind } from './sessionPool.ts';

/** A pass of new positions through some of the blocks. */
export interface StackPass {
  /** resid_pre of `fromLayer`, `[batch, new, d_model]`. */
  readonly x: Float32Array;
  readonly batch: number;
  readonly count: number;
  /** Absolute position of the first new one: the number of past positions. */
  readonly start: number;
  /** Past keys and values by layer, of length `start`; a batch of 1 serves every item. Needed when `start > 0`. */
  readonly past?: (layer: number) => KeysValues;
  readonly fromLayer: number;
  /** Exclusive. */
  readonly toLayer: number;
  readonly reads?: ReadPlan;
  /** Whether the keys and values of the new positions are returned. */
  readonly keepKeysValues?: boolean;
  /** Whether the residual stream before each layer is returned. */
  readonly keepResiduals?: boolean;
  /** What is changed inside a layer, if anything. */
  readonly edits?: (layer: number) => LayerEdits | undefined;
  /** First layer whose activations may not be the model's own, because of interventions. */
  readonly editedFrom?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: OnProgress;
}

/** Changes of one layer's activations. */
export interface LayerEdits {
  /** The graph with the changes in it; null: the ordinary one. */
  readonly kind: SessionKind | null;
  /** Hooks that this graph can return, in the order of computation. */
  readonly hooks: readonly BlockHook[];
  /** Whether all positions must be in one run, because one takes the value of another. */
  readonly whole: boolean;
  /** Inputs of `kind` besides a block's; `tile` counts positions from 0, past ones included. */
  feeds(tile: Tile): Feeds;
  /** resid_pre and resid_post `[items, rows, d_model]` after their changes. */
  residPre(x: Float32Array, tile: Tile): Float32Array;
  residPost(x: Float32Array, tile: Tile): Float32Array;
}

export interface StackResult {
  /** resid_post of layer `toLayer − 1`, `[batch, new, d_model]`. */
  readonly x: Float32Array;
  readonly reads: ActivationReads;
  /** By layer from `fromLayer` on, for the new positions; empty unless asked for. */
  readonly keysValues: readonly KeysValues[];
  /** resid_pre by layer from `fromLayer` on, `[batch, new, d_model]`; empty unless asked for. */
  readonly residuals: readonly Float32Array[];
}
