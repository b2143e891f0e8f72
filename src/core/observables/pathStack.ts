import type { ModelRunner } from '../engine/modelRunner.ts';
import { HeadOutputs } from '../engine/sweeps/headOutputs.ts';
import { SweepStack } from '../engine/sweeps/sweepStack.ts';

/** The graphs that paths are patched with. */
export interface PathStack {
  readonly sweep: SweepStack;
  readonly heads: HeadOutputs;
}

/** Gives the graphs to a piece of work and frees them after it. */
export async function withPathStack<T>(runner: ModelRunner, use: (stack: PathStack) => Promise<T>): Promise<T> {
  const stack = { sweep: new SweepStack(runner), heads: new HeadOutputs(runner) };
  try {
    return await use(stack);
  } finally {
    await stack.sweep.release();
    await stack.heads.release();
  }
}
