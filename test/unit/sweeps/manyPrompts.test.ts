import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { withCells } from '../../../src/shared/gridCells.ts';
import type { AblateRequest, GridCell, GridDocument } from '../../../src/shared/gridDocument.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { sweep, WORDS, wordEngine, wordsOf } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const PROMPTS = 10_000;
const shape = { ...SHAPES.gpt2, nLayers: 2, nHeads: 2, nKeyValueHeads: 2, dModel: 8, dHead: 4, dMlp: 20 };
const attention = { ...shape.attention, windows: [null, null] };
const config = { ...shape, attention };

/** Short prompts of three lengths. */
function prompts(count: number) {
  const random = seededRandom(1);
  const word = () => random.below(config.dVocab);
  return Array.from({ length: count }, (_, i) => ({
    clean: wordsOf(Array.from({ length: 3 + (i % 3) }, word)),
    ...{ answer: random.below(20), foils: [20 + random.below(20)] },
  }));
}

/** Bytes that are reached from somewhere, buffers included. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('a sweep of 10,000 prompts', () => {
  const { model, remove } = randomModel(config, 6);
  let engine: AnalysisEngine;
  let request: AblateRequest;

  beforeAll(async () => {
    engine = await wordEngine(model);
    request = {
      ...{ ...WORDS, analysis: 'ablate', sites: 'neurons', layer: 1, mode: 'zero', memoryBytes: 2_000_000 },
      prompts: prompts(PROMPTS),
    };
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('streams: little stays of each, progress never goes back, and a cancel in the middle keeps its cells', async () => {
    const before = usedBytes();
    const cells: GridCell[] = [];
    const seen: { done: number; total: number }[] = [];
    const controller = new AbortController();
    let partial: GridDocument | undefined;
    let most = 0;
    const stopped = sweep(
      engine,
      request,
      {
        onStarted: (document) => {
          partial = document;
        },
        onCells: (some) => {
          cells.push(...some);
          most = Math.max(most, usedBytes());
          if (cells.length >= 3) controller.abort();
        },
      },
      { signal: controller.signal, onProgress: ({ done, total }) => seen.push({ done, total }) },
    );
    await expect(stopped).rejects.toMatchObject({ code: 'cancelled' });
    if (partial === undefined) throw new Error('It never started.');
    // Of each prompt its text, tokens and a number a cell: about 2 kB. Its activations would take 0.8 kB more.
    expect((most - before) / PROMPTS).toBeLessThan(2600);
    expect(partial.byItem.data).toHaveLength(config.dMlp * PROMPTS);
    expect(seen.at(-1)).toEqual({ done: cells.length, total: config.dMlp });

    const again: GridCell[] = [];
    const whole = await sweep(
      engine,
      request,
      { resume: withCells(partial, cells), onCells: (some) => again.push(...some) },
      { onProgress: ({ done, total }) => seen.push({ done, total }) },
    );
    expect(whole.complete).toBe(true);
    expect(again).toHaveLength(config.dMlp - cells.length);
    expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b));
    expect(seen.at(-1)).toEqual({ done: config.dMlp, total: config.dMlp });
    // A few of them alone give the same numbers.
    const few = [0, 4999, PROMPTS - 1];
    const alone = await sweep(engine, { ...request, prompts: few.map((item) => request.prompts[item]) });
    for (let cell = 0; cell < config.dMlp; cell += 1) {
      few.forEach((item, i) => {
        expect(whole.byItem.data[cell * PROMPTS + item]).toBeCloseTo(alone.byItem.data[cell * few.length + i], 4);
      });
    }
  });
});
