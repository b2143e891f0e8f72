import type { TaskSet } from '../../shared/taskSet.ts';
import type { ModelRunner } from '../engine/modelRunner.ts';
import type { ClimbContext } from '../engine/sweeps/climb.ts';
import { CircuitEvaluator, type EvaluatorOptions } from './circuitEvaluator.ts';

interface Kept {
  readonly task: TaskSet;
  readonly key: string;
  readonly evaluator: Promise<CircuitEvaluator>;
}

const lastOf = new WeakMap<ModelRunner, Kept>();

/**
 * The evaluator of a model for these data and options: the last one if they are the same, so that many cells and drags share
 * its clean runs. One is kept for each open model.
 */
export async function keptEvaluator(
  runner: ModelRunner,
  task: TaskSet,
  options: EvaluatorOptions,
  context: ClimbContext,
): Promise<CircuitEvaluator> {
  const key = JSON.stringify([task.hash, options]);
  const last = lastOf.get(runner);
  if (last?.task === task && last.key === key) return await last.evaluator;
  if (last !== undefined) {
    lastOf.delete(runner);
    await last.evaluator.then(
      (evaluator) => evaluator.release(),
      () => undefined,
    );
  }
  const evaluator = CircuitEvaluator.create(runner, task, options, { ...context, onProgress: undefined });
  lastOf.set(runner, { task, key, evaluator });
  evaluator.catch(() => lastOf.delete(runner));
  return await evaluator;
}
