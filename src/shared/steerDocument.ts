import type { GridItem, GridPrompt } from './gridDocument.ts';
import type { MetricSpec } from './metric.ts';
import type { NextToken, Provenance } from './traceDocument.ts';

/** Where a direction comes from. */
export type SteerDirection =
  /** One number for each entry of the hook's last dimension. */
  | { readonly kind: 'vector'; readonly values: readonly number[] }
  /** The unembedding's column of one token minus that of another. */
  | { readonly kind: 'unembedding'; readonly toward: string; readonly away?: string }
  /** The hook's activation at the last position of one prompt minus that of another. */
  | { readonly kind: 'prompts'; readonly plus: string; readonly minus: string };

/** Adds factor × direction at a hook point. */
export interface SteerRequest {
  readonly model: string;
  readonly prompt: GridPrompt;
  readonly metric?: MetricSpec;
  /** Name of a hook point, as `blocks.15.hook_resid_pre`. */
  readonly hook: string;
  readonly direction: SteerDirection;
  /** Whether the direction is made of length 1 first; default true. */
  readonly unit?: boolean;
  /** 0-based, negative from the end; absent: every position. */
  readonly positions?: readonly number[];
  readonly factors: readonly number[];
  /** Next-token candidates; default 10. */
  readonly top?: number;
}

/** Metric and next tokens without the direction, and with each factor. */
export interface SteerDocument {
  readonly schemaVersion: 1;
  readonly kind: 'steer';
  readonly warnings: readonly string[];
  readonly provenance: Provenance;
  readonly intervention: string;
  readonly request: SteerRequest;
  readonly metric: { readonly spec: MetricSpec; readonly label: string; readonly unit: string };
  readonly item: GridItem;
  readonly clean: SteerOutputs;
  readonly steered: readonly ({ readonly factor: number } & SteerOutputs)[];
  readonly cost: { readonly forwardPasses: number; readonly seconds: number };
}

/** What comes out of one run. */
export interface SteerOutputs {
  /** The metric. */
  readonly value: number;
  /** KL(clean run ‖ this run) of the next token where the answer is read, in nats. */
  readonly kl: number;
  /** Likeliest next tokens after the whole prompt. */
  readonly next: readonly NextToken[];
}
