import type { ExperimentFile, ExperimentStep } from './experimentTypes.ts';

/** What a step asks, in words that the file has: from them an editor tells whether a result still answers it. */
export function requestOf(file: ExperimentFile, step: Pick<ExperimentStep, 'run' | 'params'>, model: string) {
  return { run: step.run, with: step.params, model, data: file.data?.value ?? null, seed: file.seed };
}
