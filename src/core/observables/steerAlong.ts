import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { shortNumber } from '../experiments/steps/rowGroups.ts';
import { klDivergence } from '../tasks/metrics.ts';
import type { ResolvedObservable } from '../tasks/observable.ts';
import { walkFeature } from './featureVector.ts';
import type { PairRuns } from './pairRuns.ts';
import type { PairSide } from './pairSides.ts';
import { type FeatureContext, PromptReader, sharingWeights } from './promptReader.ts';
import type { StreamEditor } from './streamEdit.ts';
import { dot } from './vectors.ts';

type SteerContext = Pick<StepContext, 'runner' | 'cache' | 'signal' | 'giveWay' | 'onProgress' | 'task'>;

/** A weighted sum of logits. */
export function observableValue({ terms }: ResolvedObservable, logits: ArrayLike<number>): number {
  return terms.reduce((sum, { id, weight }) => sum + weight * logits[id], 0);
}

/** Measurements by prompt. */
export interface SteeredPrompts {
  /** `[observable][prompt]`, logits. */
  readonly values: readonly (readonly number[])[];
  /** KL of the next tokens from the unsteered run, nats; 0 where nothing is added. */
  readonly kl: readonly number[];
}

/**
 * Adds `amount` lengths of the unit direction at each prompt's place and measures observables. The layers from the hook on of each
 * prompt; for amount 0 none.
 */
export async function steerAlong(
  context: SteerContext,
  editor: StreamEditor,
  sides: readonly PairSide[],
  runs: PairRuns,
  observables: readonly ResolvedObservable[],
  amount: number,
): Promise<SteeredPrompts> {
  const values = observables.map(() => new Array<number>(sides.length).fill(0));
  const kl = new Array<number>(sides.length).fill(0);
  for (const [done, { sides: batch, run }] of runs.batches.entries()) {
    throwIfCancelled(context.signal);
    await context.giveWay?.();
    context.onProgress?.({ done, total: runs.batches.length, label: `amount ${amount.toPrecision(3)}` });
    const own = batch.map((side) => sides[side]);
    const places = own.map(({ answer }) => answer);
    const before = await editor.logitsAt(run.final, batch.length, places);
    const edit = { kind: 'add' as const, amounts: own.map(() => amount), positions: own.map(({ at }) => [at]) };
    const after = amount === 0 ? before : await editor.logitsAt(await editor.edited(run, edit), batch.length, places);
    const width = before.length / batch.length;
    batch.forEach((side, item) => {
      const [was, is] = [before, after].map((all) => all.subarray(item * width, (item + 1) * width));
      observables.forEach((observable, o) => {
        values[o][side] = shortNumber(observableValue(observable, is));
      });
      kl[side] = amount === 0 ? 0 : shortNumber(klDivergence(was, is));
    });
  }
  return { values, kl };
}

/**
 * What one length of the unit direction adds to the observable along the path alone, on one prompt, norm scales and attention held at
 * what they are there: the product of the attention weights of the path's heads × unit · y, y the path's feature on this very prompt.
 * Exactly linear in the amount. Null where the path reads another token there, or does not fit the prompt.
 */
async function slopeOf(
  context: FeatureContext & Pick<SteerContext, 'task'>,
  unit: Float64Array,
  { row, ids, at, answer }: PairSide,
  { observable, path }: { readonly observable: ResolvedObservable; readonly path: string },
): Promise<number | null> {
  const { roles } = context.task.items[row];
  try {
    const reader = await PromptReader.read(context, Int32Array.from(ids), answer);
    const request = { observable, path, norm: 'frozen', point: 'prompt' } as const;
    const walk = await walkFeature(context, request, { ids, position: answer, roles }, reader);
    if (walk.nodes.at(-1)?.node.position !== at) return null;
    const nodes = walk.nodes.map(({ node }) => node);
    const attention = await reader.attentionAlong(nodes, answer);
    return shortNumber(attention * dot(unit, walk.vector));
  } catch (error) {
    // A token that a longer prompt has, and this one not.
    if (error instanceof MechanistError && error.code === 'bad-input') return null;
    throw error;
  }
}

/** `slopeOf` each prompt. One forward pass of each that the cache does not know. */
export async function pathSlopes(
  context: SteerContext,
  unit: Float64Array,
  sides: readonly PairSide[],
  feature: { readonly observable: ResolvedObservable; readonly path: string },
): Promise<readonly (number | null)[]> {
  const own = { ...sharingWeights(context), task: context.task };
  const slopes: (number | null)[] = [];
  for (const [done, side] of sides.entries()) {
    throwIfCancelled(context.signal);
    await context.giveWay?.();
    context.onProgress?.({ done, total: sides.length, label: 'the path on each prompt' });
    slopes.push(await slopeOf(own, unit, side, feature));
  }
  return slopes;
}
