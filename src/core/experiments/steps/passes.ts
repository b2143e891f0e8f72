import type { StepContext } from '../stepKind.ts';

/**
 * Counts the model runs from now on, in forward passes of one prompt of the data's mean length: positions run through whole
 * blocks, over those of one pass. A single MLP, and the last block where only the answers' rows are run, are not counted.
 */
export function countedPasses({ runner, task }: StepContext): () => number {
  const before = runner.counters.blockPositions;
  const positions = task.items.reduce((sum, { ids }) => sum + ids.length, 0) / task.items.length;
  return () => {
    const work = (runner.counters.blockPositions - before) / runner.config.nLayers / positions;
    return Math.round(work * 100) / 100;
  };
}
