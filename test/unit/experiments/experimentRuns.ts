import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ExperimentOptions, runExperiment } from '../../../src/core/experiments/runExperiment.ts';
import type { StepContext, StepKind } from '../../../src/core/experiments/stepKind.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import type { ExperimentOutcome } from '../../../src/shared/experimentRun.ts';
import type { FiguresDocument } from '../../../src/shared/figures.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';

export const task: TaskSet = {
  ...{ name: 'd', items: [], roles: [], answerNames: ['L1'], corruptions: [] },
  ...{ seed: 0, hash: 'd'.repeat(64), refused: 0, problems: [] },
};

/** A context for analyses that ask no model. */
function toyContext(more: Partial<StepContext> = {}): Omit<StepContext, 'circuit' | 'seed'> {
  const model = {
    info: { ref: 'm', label: 'M', hash: 'a'.repeat(64) },
    config: { family: 'gpt2', nLayers: 2, nHeads: 100, dMlp: 8 },
    tokenizer: { addsBos: false },
  };
  return { model, version: 'test', task, memoryBytes: 1 << 20, ...more } as unknown as StepContext;
}

/** A folder that results are written to, and goes with the test. */
export class ResultsPlace {
  readonly folder = mkdtempSync(join(tmpdir(), 'mechanist-experiment-'));

  constructor(readonly kinds: readonly StepKind[]) {}

  results(name = 'x.results'): string {
    return join(this.folder, name);
  }

  run(
    text: string,
    options: Partial<ExperimentOptions> = {},
    context: Partial<StepContext> = {},
  ): Promise<ExperimentOutcome> {
    const file = new ExperimentParser(this.kinds).parse(text);
    const [problem] = file.problems;
    if (problem !== undefined) throw new Error(problem.message);
    return runExperiment(toyContext(context), {
      ...{ file, path: join(this.folder, 'x.experiment.yaml'), folder: this.folder, results: this.results() },
      ...{ model: file.model?.value ?? '', kinds: this.kinds, ...options },
    });
  }

  json(name: string, results = this.results()): FiguresDocument {
    return JSON.parse(readFileSync(join(results, name), 'utf8')) as FiguresDocument;
  }

  /** The figures of a step without what two runs may differ in. */
  figures(step = 'toy', results = this.results()): FiguresDocument {
    const { cost, ...rest } = this.json(`${step}.mechanist.json`, results);
    return { ...rest, cost: { ...cost, seconds: 0 } };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
