import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { stepKinds } from '../../../src/core/experiments/stepKinds.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import { isFailure } from '../../../src/shared/experimentRun.ts';
import type { TaskAnswer, TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { load, type RandomModelFigures, REFERENCE, readFigures, unpack } from '../reference/referenceFigures.ts';
import { ResultsPlace, task } from './experimentRuns.ts';

const figures = readFigures<RandomModelFigures>('models', 'gpt2', 'expected.json');
const answersAt = (length: number): TaskAnswer[] => [
  { name: 'L1', position: 3, answer: 70, foils: [71, 72, 73] },
  { name: 'L2', position: length - 1, answer: 90, foils: [9] },
];
const items: TaskItem[] = figures.prompts.map(({ ids }, i) => ({
  ...{ id: String(i), text: '', ids, tokens: ids.map(String), roles: {}, tags: [] },
  answers: answersAt(ids.length),
  // The second corruption differs in the last token only, which the first answer cannot see.
  corrupted: { same: ids, last: [...ids.slice(0, -1), (ids.at(-1) ?? 0) === 5 ? 6 : 5] },
}));
const many = Array.from({ length: 20 }, (_, i) => ({ ...items[i % items.length], id: String(i) }));
const own: TaskSet = { ...task, items: many, answerNames: ['L1', 'L2'], corruptions: ['same', 'last'] };

/** Logits of transformers at a position of a prompt. */
function rowOf(prompt: number, position: number): Float32Array {
  const { dims, f32 } = figures.prompts[prompt].logits;
  const width = dims.at(-1) ?? 0;
  return unpack({ dims, f32 }).subarray(position * width, (position + 1) * width);
}

const largest = (row: Float32Array, foils: readonly number[]) => Math.max(...foils.map((id) => row[id]));

describe('the baseline of a task', () => {
  let engine: AnalysisEngine;
  let cache: string;
  let place: ResultsPlace;

  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), 'mechanist-baseline-'));
    engine = await load(join(REFERENCE, 'models', 'gpt2'), cache);
    place = new ResultsPlace(stepKinds);
  });
  afterAll(async () => {
    await engine.close();
    place.remove();
    rmSync(cache, { recursive: true, force: true });
  });

  const text = 'model: m\ndata: d\nsteps: [baseline]\n';
  const run = async (
    source: string,
    results: string,
    options: Partial<Parameters<AnalysisEngine['experiment']>[0]> = {},
  ) => {
    const file = new ExperimentParser(stepKinds).parse(source);
    expect(file.problems).toEqual([]);
    return await engine.experiment(
      { file, path: '/x.experiment.yaml', folder: place.folder, results, model: 'm', kinds: stepKinds, ...options },
      { task: own, memoryBytes: 1 << 28 },
    );
  };
  const mean = (of: (item: TaskItem, i: number) => number) =>
    many.reduce((sum, item, i) => sum + of(item, i % items.length), 0) / many.length;

  it('has the logit differences and accuracy of transformers', async () => {
    const { steps } = await run(text, place.results());
    const { values } = steps[0];
    for (const [a, { name, answer, foils }] of answersAt(0).entries()) {
      const of = (item: TaskItem, i: number) => {
        const row = rowOf(i, item.answers[a].position);
        return row[answer] - largest(row, foils);
      };
      expect(values[`clean.${name}`]).toBeCloseTo(mean(of), 3);
      expect(values[`accuracy.clean.${name}`]).toBe(mean((item, i) => (of(item, i) > 0 ? 1 : 0)));
    }
    expect(values['clean.all']).toBeCloseTo((values['clean.L1'] + values['clean.L2']) / 2, 12);
    expect(steps[0].cost.forwardPasses).toBe(3 * many.length);
  });

  it('scores a run with itself the same, and is blind to what comes after the answer', async () => {
    const { values } = (await run(text, place.results())).steps[0];
    expect(values['same.L1']).toBe(values['clean.L1']);
    expect(values['same.L2']).toBe(values['clean.L2']);
    expect(values['last.L1']).toBeCloseTo(values['clean.L1'], 5);
    expect(Math.abs(values['last.L2'] - values['clean.L2'])).toBeGreaterThan(1e-3);
  });

  it('takes the metric of the experiment: nothing diverges from itself', async () => {
    const kl = (await run(`${text}metric: kl\n`, place.results('kl'))).steps[0].values;
    expect([kl['clean.all'], kl['same.all']]).toEqual([0, 0]);
    expect(kl['last.L2']).toBeGreaterThan(0);
    const logProb = (await run(`${text}metric: log-prob\n`, place.results('lp'))).steps[0].values;
    const expected = mean((item, i) => {
      const row = rowOf(i, item.answers[1].position);
      const top = Math.max(...row);
      return row[90] - top - Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0));
    });
    expect(logProb['clean.L2']).toBeCloseTo(expected, 3);
  });

  it('gives the same whole and in shares, and is held to what is expected', async () => {
    const whole = place.figures('baseline');
    const expecting = `${text}expect:\n  - baseline clean.L1: ${whole.values['clean.L1'].toFixed(4)} ± 0.01\n  - baseline clean.L2: 99\n`;
    for (const index of [1, 2, 3]) await run(expecting, place.results('shares'), { share: { index, of: 3 } });
    const shared = place.figures('baseline', place.results('shares'));
    expect({ ...shared, checks: [] }).toEqual(whole);
    expect(shared.checks.map(isFailure)).toEqual([false, true]);
  });

  it('refuses a corruption that the data does not have', async () => {
    const wrong = 'model: m\ndata: d\nsteps: [{ run: baseline, with: { corruptions: [cur] } }]\n';
    const [step] = (await run(wrong, place.results())).steps;
    expect(step).toMatchObject({ state: 'failed', message: 'There is no corruption "cur". The data has same, last.' });
  });
});
