import { MechanistError, throwIfCancelled } from '../../shared/errors.ts';
import type { StepContext } from '../experiments/stepKind.ts';
import { type PairSide, sideBatches } from './pairSides.ts';
import type { StreamEditor, UneditedRun } from './streamEdit.ts';

/** Prompts as the model runs them unchanged: what edits start from. */
export interface PairRuns {
  readonly batches: readonly {
    /** Indices of the prompts of the batch. */
    readonly sides: readonly number[];
    readonly run: UneditedRun;
  }[];
  /** By prompt: x · v at its place, v of length 1. */
  readonly coefficients: readonly number[];
}

/**
 * Runs prompts and keeps the stream at the editor's hook and at the end. One forward pass each.
 * @param onBatch told before each batch
 * @throws MechanistError `bad-input` where they do not fit in memory, `cancelled`
 */
export async function runPairs(
  { runner, memoryBytes, signal, giveWay }: Pick<StepContext, 'runner' | 'memoryBytes' | 'signal' | 'giveWay'>,
  editor: StreamEditor,
  sides: readonly PairSide[],
  onBatch: (done: number, total: number) => void,
): Promise<PairRuns> {
  // Two streams of float32 numbers.
  const kept = sides.reduce((sum, { ids }) => sum + ids.length, 0) * runner.config.dModel * 8;
  if (kept > memoryBytes) {
    throw new MechanistError(
      'bad-input',
      `The streams of ${sides.length} prompts do not fit in memory: take fewer rows.`,
    );
  }
  const coefficients: number[] = new Array(sides.length);
  const batches: { sides: readonly number[]; run: UneditedRun }[] = [];
  const all = sideBatches(sides);
  for (const [done, own] of all.entries()) {
    throwIfCancelled(signal);
    await giveWay?.();
    onBatch(done, all.length);
    const run = await editor.unedited(own.map((side) => sides[side].ids));
    own.forEach((side, item) => {
      coefficients[side] = editor.coefficient(run, item, sides[side].at);
    });
    batches.push({ sides: own, run });
  }
  return { batches, coefficients };
}
