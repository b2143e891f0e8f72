import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CircuitEvaluator } from '../../../src/core/circuits/circuitEvaluator.ts';
import { edgeAttribution } from '../../../src/core/circuits/eap.ts';
import { EdgeGraph } from '../../../src/core/circuits/edgeGraph.ts';
import { acdc } from '../../../src/core/circuits/prune.ts';
import { pruneDeadEnds } from '../../../src/core/circuits/selectEdges.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { type Packed, readReference, unpack } from '../../support/gradients.ts';
import { referenceModels } from '../../support/smallModels.ts';

interface Reference {
  readonly ids: readonly (readonly number[])[];
  readonly corrupted: readonly (readonly number[])[];
  /** `[row][answer]`: the answer, then its foils. */
  readonly answers: readonly (readonly (readonly number[])[])[];
  readonly positions: readonly number[];
  readonly clean: readonly (readonly number[])[];
  readonly readers: readonly (readonly [layer: number, channel: string, head: number, upstream: number])[];
  readonly eap: Packed;
  readonly steps: number;
  readonly eapIg: Packed;
  readonly acdc: { readonly threshold: number; readonly rises: Packed; readonly kept: readonly number[] };
}

function taskOf({ ids, corrupted, answers, positions }: Reference): TaskSet {
  const items = ids.map(
    (row, i): TaskItem => ({
      ...{ id: `r${i}`, text: '', ids: row, tokens: row.map(String), roles: {}, tags: [] },
      answers: answers[i].map(([answer, ...foils], a) => ({ name: `A${a}`, position: positions[a], answer, foils })),
      corrupted: { other: corrupted[i] },
    }),
  );
  const about = { roles: [], answerNames: ['A0', 'A1'], corruptions: ['other'], seed: 0, hash: '0', refused: 0 };
  return { name: 'reference', items, ...about, problems: [] };
}

function ranks(values: ArrayLike<number>): number[] {
  const order = Array.from(values, (value, i) => ({ value, i })).sort((a, b) => a.value - b.value);
  const result: number[] = new Array(values.length);
  order.forEach(({ i }, rank) => {
    result[i] = rank;
  });
  return result;
}

function spearman(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [x, y] = [ranks(a), ranks(b)];
  const n = x.length;
  const squares = x.reduce((sum, rank, i) => sum + (rank - y[i]) ** 2, 0);
  return 1 - (6 * squares) / (n * (n * n - 1));
}

function furthest(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

describe.each(['gpt2', 'llama-tied', 'gpt-neox'])('circuits of %s as PyTorch finds them', (name) => {
  const reference = readReference<Reference>(`circuits-${name}.json`);
  const task = taskOf(reference);
  const metric = { kind: 'logit-difference', foil: 'mean' } as const;
  const memoryBytes = 1 << 26;

  async function withRunner<T>(use: (runner: ModelRunner) => Promise<T>): Promise<T> {
    const cacheDir = mkdtempSync(join(tmpdir(), 'mechanist-circuits-'));
    const path = join(referenceModels, name);
    const model = await openModelFiles(path, { ref: path, cacheDir, availableBytes: Number.MAX_SAFE_INTEGER });
    const runner = await ModelRunner.open(model, { threads: 1 });
    try {
      return await use(runner);
    } finally {
      await runner.close();
      rmSync(cacheDir, { recursive: true });
    }
  }

  it('has the same graph', async () => {
    await withRunner(async ({ config }) => {
      const { readers } = new EdgeGraph(config);
      const own = readers.map(({ layer, channel, head, upstream }) => [layer, channel, head, upstream]);
      expect(own).toEqual(reference.readers);
    });
  });

  it.each([
    ['EAP', undefined],
    ['EAP-IG', reference.steps],
  ])('%s: every score, in the same order', async (_, steps) => {
    await withRunner(async (runner) => {
      const found = await edgeAttribution(runner, task, { corruption: 'other', metric, memoryBytes, steps });
      const { data } = unpack(steps === undefined ? reference.eap : reference.eapIg);
      expect(furthest(found.scores, data)).toBeLessThan(1e-4);
      expect(spearman(found.scores, data)).toBeGreaterThan(0.99);
    });
  });

  it('ACDC: every rise, and the same edges', async () => {
    await withRunner(async (runner) => {
      const ablation = { kind: 'resample', corruption: 'other' } as const;
      const options = { scope: 'edges', ablation, metric: { kind: 'kl' }, memoryBytes, seed: 0 } as const;
      const evaluator = await CircuitEvaluator.create(runner, task, options);
      const { threshold } = reference.acdc;
      const info = { name: 'acdc', model: { ref: name }, ablation, provenance: {} };
      const found = await acdc(evaluator, { threshold, maxPasses: Number.POSITIVE_INFINITY }, info);
      const { data } = unpack(reference.acdc.rises);
      const rises = Float64Array.from(found.effects, (effect) => effect ?? Number.NaN);
      expect(furthest(rises, data)).toBeLessThan(1e-4);
      expect(spearman(rises, data)).toBeGreaterThan(0.99);
      const graph = new EdgeGraph(runner.config);
      const kept = pruneDeadEnds(graph, Uint8Array.from(reference.acdc.kept));
      expect(graph.keep(found.circuit)).toEqual(kept);
      expect(found.complete).toBe(true);
    });
  });
});
