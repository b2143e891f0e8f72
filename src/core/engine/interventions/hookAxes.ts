import type { ModelConfig } from '../../models/modelConfig.ts';
import { type HookPoint, innerDims, isAttentionMap } from '../hookPoints.ts';

/** Sizes of a batch of prompts of equal length. */
export interface BatchShape {
  readonly batch: number;
  readonly length: number;
}

/**
 * The axes of an activation as interventions see them: `[batch, pos, …, entry]`, or `[batch, head, query, key]` for
 * attention maps, where positions are queries and entries are keys.
 */
export interface HookAxes {
  readonly dims: readonly number[];
  readonly items: number;
  readonly positions: number;
  /** Null where there are no heads. */
  readonly heads: number | null;
  readonly entries: number;
  readonly isMap: boolean;
}

export function hookAxes(point: HookPoint, config: ModelConfig, { batch, length }: BatchShape): HookAxes {
  if (point.kind === 'block' && isAttentionMap(point.hook)) {
    return { dims: [batch, config.nHeads, length, length], items: 0, positions: 2, heads: 1, entries: 3, isMap: true };
  }
  const inner =
    point.kind === 'block' ? innerDims(point.hook, config) : [point.hook === 'ln_final.hook_scale' ? 1 : config.dModel];
  const dims = [batch, length, ...inner];
  return { dims, items: 0, positions: 1, heads: inner.length === 2 ? 2 : null, entries: dims.length - 1, isMap: false };
}
