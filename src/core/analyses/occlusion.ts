import type { OnProgress } from '../../shared/progress.ts';
import type { PromptActivations } from '../engine/activationCache.ts';
import { firstPositions } from '../engine/keysValues.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import { type AnalysisContext, dotAt, type ObservableDirection } from './analysisContext.ts';

/** Said in every result. */
export const OCCLUSION_ABLATION = 'token embedding replaced by the mean embedding of the vocabulary';

/** Positions computed in one batch of occluded prompts. */
const GROUP_POSITIONS = 1024;

interface Group {
  readonly first: number;
  readonly items: number;
}

/**
 * Tokens that are occluded together. Each is an item of a batch that starts at the first of them, so that the
 * positions before come from the cache.
 */
export function occlusionGroups(position: number): Group[] {
  const groups: Group[] = [];
  for (let first = 0; first <= position; ) {
    const length = position - first + 1;
    const items = Math.min(length, Math.max(1, Math.floor(GROUP_POSITIONS / length)));
    groups.push({ first, items });
    first += items;
  }
  return groups;
}

function observableOf(runner: ModelRunner, row: Float32Array, { direction, bias }: ObservableDirection): number {
  return dotAt(runner.finalNorm.apply(row), 0, direction, direction.length) + bias;
}

/** Residual streams at layer 0 for a group: positions `first … position`, one item per occluded token. */
async function occludedInputs(
  runner: ModelRunner,
  prompt: PromptActivations,
  position: number,
  { first, items }: Group,
  mean: Float32Array,
): Promise<Float32Array> {
  const { dModel } = runner.config;
  const { tokens, positions } = await runner.embed([prompt.tokens.subarray(first, position + 1)], first);
  const x = new Float32Array(items * tokens.length);
  for (let item = 0; item < items; item += 1) {
    const own = x.subarray(item * tokens.length, (item + 1) * tokens.length);
    own.set(tokens);
    own.set(mean, item * dModel);
    if (positions !== null) for (let i = 0; i < own.length; i += 1) own[i] += positions[i];
  }
  return x;
}

/**
 * Observable minus the observable with each token's embedding replaced by the vocabulary's mean embedding. `[pos]`;
 * exactly 0 for tokens after `position`, which cannot be seen from there. About half a forward pass per token: only
 * the positions from the occluded token to `position` are computed.
 * Source: Zeiler & Fergus 2014 (occlusion), with the mean embedding as the uninformative token.
 */
export async function occlusion(
  context: AnalysisContext,
  prompt: PromptActivations,
  position: number,
  observable: ObservableDirection,
  onProgress?: OnProgress,
): Promise<number[]> {
  const { runner, signal } = context;
  const { nLayers, dModel } = runner.config;
  const mean = await runner.meanEmbedding();
  const row = prompt.final.subarray(position * dModel, (position + 1) * dModel);
  const whole = observableOf(runner, row, observable);
  const result = new Array<number>(prompt.tokens.length).fill(0);
  const groups = occlusionGroups(position);
  for (const [index, group] of groups.entries()) {
    const { first, items } = group;
    const count = position - first + 1;
    const past = prompt.keysValues.map((kv) => firstPositions(kv, first, runner.config));
    const { x } = await runner.blocks.forward({
      x: await occludedInputs(runner, prompt, position, group, mean),
      ...{ batch: items, count, start: first, fromLayer: 0, toLayer: nLayers, signal },
      past: (layer) => past[layer],
      onProgress: (p) =>
        onProgress?.({
          done: index * p.total + p.done,
          total: groups.length * p.total,
          label: `${first + items} of ${position + 1} tokens`,
        }),
    });
    for (let item = 0; item < items; item += 1) {
      const end = (item + 1) * count * dModel;
      result[first + item] = whole - observableOf(runner, x.subarray(end - dModel, end), observable);
    }
  }
  return result;
}
