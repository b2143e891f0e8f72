import { InferenceSession } from 'onnxruntime-node';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { sweepMemory } from '../../../src/core/analyses/sweepMemory.ts';
import type { MechanistError } from '../../../src/shared/errors.ts';
import { withCells } from '../../../src/shared/gridCells.ts';
import type {
  AblateRequest,
  GridCell,
  GridDocument,
  GridPrompt,
  GridRequest,
} from '../../../src/shared/gridDocument.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { sweep, WORDS, wordEngine, wordsOf } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const config = SHAPES.llama;
const LENGTH = 6;
let engine: AnalysisEngine;
let remove: () => void;

beforeAll(async () => {
  const random = randomModel(config, 9);
  remove = random.remove;
  engine = await wordEngine(random.model);
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  await engine.close();
  remove();
});

/** Pairs of one length whose answers are read at several positions. */
function pairs(seed: number, count: number): GridPrompt[] {
  const random = seededRandom(seed);
  const text = () => wordsOf(Array.from({ length: LENGTH }, () => random.below(config.dVocab)));
  return Array.from({ length: count }, () => ({
    ...{ clean: text(), corrupted: text(), answer: random.below(20), foils: [20 + random.below(20)] },
    position: LENGTH - 1 - random.below(4),
  }));
}

const single = ({ corrupted: _, ...prompt }: GridPrompt): GridPrompt => prompt;
const ablate: AblateRequest = {
  ...{ ...WORDS, analysis: 'ablate', sites: 'heads', mode: 'zero' },
  prompts: pairs(3, 6).map(single),
};

function expectEqual(found: GridDocument, expected: GridDocument, what: string): void {
  expect(found.complete, what).toBe(true);
  expected.byItem.data.forEach((value, i) => {
    expect(Math.abs(found.byItem.data[i] - value), `${what}: ${value}`).toBeLessThan(2e-4);
  });
  expect(found.clean.mean).toBeCloseTo(expected.clean.mean, 4);
}

/** Sessions are made by a factory of this class. */
const { prototype } = InferenceSession as unknown as { readonly prototype: InferenceSession };

/** Lets the runtime fail as it does when memory ends, whenever one input has more numbers than `limit()`. */
function limitRuns(limit: () => number): { readonly failures: () => number } {
  let failures = 0;
  const run = prototype.run;
  vi.spyOn(prototype, 'run').mockImplementation(function (
    this: InferenceSession,
    feeds: InferenceSession.FeedsType,
    ...rest: unknown[]
  ) {
    const sizes = Object.values(feeds).map(({ size }) => size);
    if (Math.max(...sizes) <= limit()) return Reflect.apply(run, this, [feeds, ...rest]);
    failures += 1;
    return Promise.reject(new Error('Non-zero status code returned while running MatMul node: std::bad_alloc'));
  });
  return { failures: () => failures };
}

describe('numbers do not depend on the memory of a sweep', () => {
  const requests: readonly (readonly [string, (seed: number) => GridRequest])[] = [
    ...(['zero', 'mean', 'resample'] as const).flatMap((mode) =>
      (['heads', 'mlps', 'neurons', 'positions'] as const).map(
        (sites) =>
          [
            `${mode} ablation of ${sites}`,
            (seed: number): GridRequest => ({
              ...ablate,
              mode,
              sites,
              seed,
              layer: 1,
              prompts: pairs(seed, 7).map(single),
            }),
          ] as const,
      ),
    ),
    [
      'estimated resampling',
      (seed) => ({ ...ablate, mode: 'resample', method: 'attribution', seed, prompts: pairs(seed, 7).map(single) }),
    ],
    [
      'screened means',
      (seed) => ({
        ...ablate,
        mode: 'mean',
        method: 'screened',
        verifyTop: 3,
        seed,
        prompts: pairs(seed, 7).map(single),
      }),
    ],
    ['divergence', (seed) => ({ ...ablate, metric: { kind: 'kl' }, prompts: pairs(seed, 7).map(single) })],
    [
      'estimated divergence',
      (seed) => ({
        ...WORDS,
        analysis: 'patch',
        site: 'z',
        method: 'attribution',
        metric: { kind: 'kl' },
        prompts: pairs(seed, 7),
      }),
    ],
    ['patching by position', (seed) => ({ ...WORDS, analysis: 'patch', site: 'attn_out', prompts: pairs(seed, 7) })],
    ['patching of keys', (seed) => ({ ...WORDS, analysis: 'patch', site: 'k', prompts: pairs(seed, 7) })],
  ];

  it.each(requests)('%s', async (what, make) => {
    const seed = 1 + Math.floor(what.length / 2);
    const { pool } = engine.runner;
    const before = pool.runs;
    const whole = await sweep(engine, make(seed));
    const runs = pool.runs - before;
    let most = 0;
    // Down to one prompt at a time, and then to less.
    for (let memoryBytes = 300_000; ; memoryBytes /= 3) {
      const started = pool.runs;
      const little = await sweep(engine, { ...make(seed), memoryBytes }).catch((error: MechanistError) => error);
      if (little instanceof Error) {
        expect(little.code, little.message).toBe('model-too-large');
        break;
      }
      expectEqual(little, whole, `${what} in ${memoryBytes} bytes`);
      most = Math.max(most, pool.runs - started);
    }
    expect(most).toBeGreaterThan(2 * runs);
  });

  it('resampling takes each value from another prompt, by the seed', async () => {
    const resampled = (seed: number) => sweep(engine, { ...ablate, mode: 'resample', seed });
    const [one, again, two] = [await resampled(1), await resampled(1), await resampled(2)];
    expect(again.byItem.data).toEqual(one.byItem.data);
    expect(two.byItem.data).not.toEqual(one.byItem.data);
    expect(one.corrupted).toBeNull();
  });
});

describe('when memory ends', () => {
  it.each<readonly [string, GridRequest]>([
    ['ablation', ablate],
    ['resampling', { ...ablate, mode: 'resample' }],
    ['patching', { ...WORDS, analysis: 'patch', site: 'q', prompts: pairs(4, 6) }],
    ['an estimate', { ...WORDS, analysis: 'patch', site: 'z', method: 'attribution', prompts: pairs(4, 6) }],
    ['paths', { ...WORDS, analysis: 'path-patch', receivers: 'final', mlps: 'recomputed', prompts: pairs(4, 6) }],
  ])('%s goes on in smaller batches', async (what, request) => {
    const whole = await sweep(engine, request);
    // Room for two prompts of six; a batch of cells has dozens.
    const limited = limitRuns(() => 2 * LENGTH * config.dModel);
    const seen: number[] = [];
    const onProgress = ({ done }: { done: number }) => seen.push(done);
    expectEqual(await sweep(engine, request, {}, { onProgress }), whole, what);
    expect(limited.failures()).toBeGreaterThan(0);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('stops in words when not even one prompt finds room', async () => {
    limitRuns(() => LENGTH * config.dModel - 1);
    const stopped = sweep(engine, { ...ablate, prompts: ablate.prompts.map((p) => ({ ...p, position: -1 })) });
    await expect(stopped).rejects.toMatchObject({ code: 'model-too-large', message: /single run of 6 tokens/ });
  });

  it('keeps the cells that are done, from which it goes on', async () => {
    const whole = await sweep(engine, ablate);
    const cells: GridCell[] = [];
    let partial: GridDocument | undefined;
    limitRuns(() => (cells.length >= 3 ? 0 : Number.POSITIVE_INFINITY));
    const stopped = sweep(
      engine,
      { ...ablate, memoryBytes: 120_000 },
      {
        onStarted: (document) => {
          partial = document;
        },
        onCells: (some) => cells.push(...some),
      },
    );
    await expect(stopped).rejects.toMatchObject({ code: 'model-too-large', message: /cells that are done are kept/ });
    vi.restoreAllMocks();
    if (partial === undefined) throw new Error('It never started.');
    const kept = withCells(partial, cells);
    const again: GridCell[] = [];
    const resumed = await sweep(engine, ablate, { resume: kept, onCells: (some) => again.push(...some) });
    expectEqual(resumed, whole, 'resumed');
    expect(cells.length).toBeGreaterThanOrEqual(3);
    expect(again).toHaveLength(config.nLayers * config.nHeads - cells.length);
  });

  it('takes a quarter of what is free unless it is told', () => {
    expect(sweepMemory(8e9)).toBe(2e9);
  });
});
