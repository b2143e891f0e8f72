import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { circuitToText } from '../../../src/core/circuits/circuitFile.ts';
import type { ExperimentOptions } from '../../../src/core/experiments/runExperiment.ts';
import { stepKinds } from '../../../src/core/experiments/stepKinds.ts';
import { ExperimentParser } from '../../../src/core/tasks/experiment/experimentFile.ts';
import type { CircuitFile } from '../../../src/shared/circuit.ts';
import type { ExperimentOutcome } from '../../../src/shared/experimentRun.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { load, REFERENCE } from '../reference/referenceFigures.ts';
import { ResultsPlace, task } from './experimentRuns.ts';

const answers = [
  { name: 'L1', position: 4, answer: 70, foils: [71, 72, 73] },
  { name: 'L2', position: 6, answer: 90, foils: [9] },
];
const items: TaskItem[] = Array.from({ length: 12 }, (_, i) => {
  const ids = [5, 40 + i, 41, 60, 61 + i, 7, 8];
  return {
    ...{ id: String(i), text: '', ids, tokens: ids.map(String), tags: [], answers },
    roles: { A: [1], B: [4], END: [6] },
    corrupted: { 'cur:L1': ids.with(1, 30 + i), 'cur:L2': ids.with(4, 100 + i), all: ids.map((id) => id + 20) },
  };
});
const own: TaskSet = {
  ...{ ...task, items, roles: ['A', 'B', 'END'], answerNames: ['L1', 'L2'] },
  corruptions: ['cur:L1', 'cur:L2', 'all'],
};

/** A step of each kind that needs more than its defaults. */
const withs: Readonly<Record<string, string>> = {
  'patch-residual': '{ corruption: "cur:{answer}" }',
  'patch-heads': '{ corruption: "cur:{answer}" }',
  'patch-paths': '{ corruption: "cur:{answer}" }',
  'attention-by-role': '{ heads: [L1.H0, L2.H1] }',
  'mean-pattern': '{ heads: [L1.H0, L2.H1] }',
  'ov-circuit': '{ heads: [L1.H0, L2.H1], sets: { first: [a, b, c], second: [d, e, f] } }',
  'copying-scores': '{ tokens: [a, b, c] }',
  'copying-scatter': '{ heads: [L1.H0, L2.H1], to: [A, B] }',
  'swap-positions': '{ heads: [L1.H0, L2.H1], pairs: [[A, B]] }',
  'swap-bos-attention': '{ pairs: [[A, B]] }',
  'swap-combination': '{ heads: [L1.H0], swapped: [L0.H1, L2.H1], pairs: [[A, B]] }',
  'circuit-evaluate': '{ circuit: two.circuit.json, randomCircuits: 30, randomOrders: 6 }',
  'discover-eap': '{ corruption: all, edges: 20 }',
  'discover-eap-ig': '{ corruption: all, edges: 20, steps: 2 }',
  'discover-acdc': '{ ablation: { kind: resample, corruption: all }, threshold: 0.05, maxPasses: 10 }',
  'discover-greedy': '{ ablation: { kind: mean } }',
  feature:
    '{ observables: [{ a: 1, b: -1 }, { c: 1 }], paths: [L2.H1 <= MLP 1, emb], point: boundary, norm: jacobian, corruption: all }',
  'head-norms': '{ observables: [{ a: 1, b: -1 }, { c: 1 }] }',
  'heads-map': '{ observable: { a: 1, b: -1 }, corruption: all }',
  'find-paths': '{ observable: { a: 1, b: -1 }, corruption: all, at: [A, B], length: 2, beam: 4 }',
  debias:
    '{ feature: { observable: { a: 1, b: -1 }, path: L1.H0@A }, protected: { c: 1 }, corruption: all, control: texts.txt, controlTokens: 60 }',
  'couple-features':
    '{ features: { observables: [{ a: 1, b: -1 }, { c: 1, d: -1 }], paths: [L2.H1@3, L2.H1@3 <= L1.H0@2] }, corpus: texts.txt, tokens: 8200, corruption: all }',
  'steer-feature':
    '{ feature: { observable: { a: 1, b: -1 }, path: L1.H0@A }, corruption: all, factors: [-1, 0.5, 2] }',
  'feature-baselines':
    '{ feature: { observable: { a: 1, b: -1 }, path: L1.H0@A }, corruption: all, sizes: [2, 8], seeds: 3 }',
  'top-tokens':
    '{ features: [{ observable: { a: 1, b: -1 }, path: L2.H1@3 <= L1.H0@2 }], corpus: texts.txt, tokens: 8200, corruption: all }',
};

const searches = ['discover-acdc', 'discover-greedy'];

const circuit: CircuitFile = {
  ...{ schemaVersion: 1, kind: 'circuit', name: 'two', model: { ref: 'm' }, scope: 'heads', provenance: {} },
  nodes: [{ node: 'L1.H0' }, { node: 'L2.H1', role: 'mover' }],
  ablation: { kind: 'mean', corruption: 'all' },
};

describe.each(stepKinds.map(({ name }) => name))('%s in an experiment', (name) => {
  let engine: AnalysisEngine;
  let cache: string;
  let place: ResultsPlace;

  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), 'mechanist-steps-'));
    engine = await load(join(REFERENCE, 'models', 'gpt2'), cache);
    place = new ResultsPlace(stepKinds);
    writeFileSync(join(place.folder, 'two.circuit.json'), circuitToText(circuit));
    writeFileSync(join(place.folder, 'texts.txt'), 'One text of a corpus, and another.\n\n'.repeat(700));
  });
  afterAll(async () => {
    await engine.close();
    place.remove();
    rmSync(cache, { recursive: true, force: true });
  });

  const text = `model: m\ndata: d\nsteps:\n  - run: ${name}\n    with: ${withs[name] ?? '{}'}\n`;
  const run = async (
    results: string,
    options: Partial<ExperimentOptions> = {},
    signal?: AbortSignal,
  ): Promise<ExperimentOutcome> => {
    const file = new ExperimentParser(stepKinds).parse(text);
    expect(file.problems).toEqual([]);
    const place0 = { file, path: join(place.folder, 'x.experiment.yaml'), folder: place.folder, model: 'm' };
    const all: ExperimentOptions = { ...place0, results: place.results(results), kinds: stepKinds, ...options };
    return await engine.experiment(all, { task: own, memoryBytes: 1 << 28 }, { signal });
  };

  /** All but what it took: cells that run together share the unchanged runs. */
  const numbers = (results: string) => ({ ...place.figures(name, place.results(results)), cost: null });

  it('gives the same whole, stopped and resumed, and in shares', async () => {
    const [outcome] = (await run('whole')).steps;
    expect(outcome).toMatchObject({ state: 'complete', message: null });
    expect(Object.values(outcome.values).every(Number.isFinite)).toBe(true);
    expect(Object.keys(outcome.values).length).toBeGreaterThan(0);
    const whole = numbers('whole');
    for (const index of [1, 2, 3]) await run('shares', { share: { index, of: 3 } });
    expect(numbers('shares')).toEqual(whole);
    if (place.figures(name, place.results('whole')).cells.total < 3) return;
    const controller = new AbortController();
    const onStepProgress = ({ cells }: { cells: { done: number } }) => {
      if (cells.done >= 2) controller.abort();
    };
    await expect(run('stopped', { onStepProgress }, controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
    expect(numbers('stopped').complete).toBe(false);
    expect((await run('stopped')).steps[0].reused).toBeGreaterThan(0);
    expect(numbers('stopped')).toEqual(whole);
  });

  // A search whose decisions need each other is one cell: it leaves checkpoints.
  it.runIf(searches.includes(name))('goes on inside its cell, and shows what is left meanwhile', async () => {
    await run('whole');
    const whole = numbers('whole');
    const checkpoints = () =>
      readdirSync(join(place.results('left'), 'parts')).filter((file) => /checkpoint/.test(file));
    const stopAfter = async (steps: number) => {
      const controller = new AbortController();
      let seen = 0;
      const onStepProgress = () => {
        seen += 1;
        if (seen >= steps) controller.abort();
      };
      await expect(run('left', { onStepProgress }, controller.signal)).rejects.toMatchObject({ code: 'cancelled' });
      return numbers('left');
    };
    const first = await stopAfter(4);
    expect(first).toMatchObject({ complete: false, cells: { done: 0, total: 1 } });
    expect(first.title).toMatch(/: \d+ of \d+ .* decided, \d+ out$/);
    expect(first.values.decided).toBeGreaterThan(0);
    const second = await stopAfter(5);
    expect(second.values.decided).toBeGreaterThan(first.values.decided);
    expect(second.values.passes).toBeGreaterThanOrEqual(first.values.passes);
    expect(checkpoints()).toHaveLength(1);
    // What the stop left counts, and is shown by a merge as well.
    await run('left', { mergeOnly: true });
    expect(numbers('left')).toEqual(second);
    const seen: number[] = [];
    const [outcome] = (await run('left', { onStepProgress: () => seen.push(1) })).steps;
    expect(outcome.state).toBe('complete');
    expect(seen.length).toBeLessThan(whole.values.decided - second.values.decided + 6);
    expect(numbers('left')).toEqual(whole);
    expect(checkpoints()).toEqual([]);
  });
});
