import { closeSync, openSync, truncateSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { TensorLocation } from '../../../src/core/models/modelWeights.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { TraceRequest } from '../../../src/shared/engineProtocol.ts';
import type { MechanistError } from '../../../src/shared/errors.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

/** Overwrites one number of a weight. */
function damage({ file, offset }: TensorLocation, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  const handle = openSync(file, 'r+');
  writeSync(handle, bytes, 0, 4, offset);
  closeSync(handle);
}

async function failure(promise: Promise<unknown>): Promise<MechanistError> {
  try {
    await promise;
  } catch (error) {
    return error as MechanistError;
  }
  throw new Error('It did not fail.');
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function make(shape: keyof typeof SHAPES = 'llama'): OpenModel {
  const { model, remove } = randomModel(SHAPES[shape]);
  cleanups.push(remove);
  return model;
}
async function openEngine(model = make()): Promise<AnalysisEngine> {
  const engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 1 << 20, version: 'test' });
  cleanups.push(() => engine.close());
  return engine;
}
async function openRunner(model = make()): Promise<ModelRunner> {
  const runner = await ModelRunner.open(model, { threads: 1 });
  cleanups.push(() => runner.close());
  return runner;
}
const request = (more: Partial<TraceRequest> = {}): TraceRequest => ({
  model: 'm',
  prompt: 't1 t2 t3',
  method: 'direct',
  ...more,
});

describe('bad numbers in the weights', () => {
  it.each([
    ['blocks.1.mlp.hook_pre', (model: OpenModel) => model.weights.blocks[1].mlp.gate?.weight],
    [
      'blocks.2.attn.hook_q',
      ({ weights }: OpenModel) => {
        const { qkv } = weights.blocks[2].attention;
        return qkv.kind === 'separate' ? qkv.q.weight : undefined;
      },
    ],
    ['blocks.0.hook_attn_out', (model: OpenModel) => model.weights.blocks[0].attention.out.weight],
  ])('stop the run and name %s', async (hook, locate) => {
    const model = make();
    const location = locate(model);
    if (location === undefined) throw new Error('no such weight');
    damage(location, Number.NaN);
    const engine = await openEngine(model);
    const error = await failure(engine.trace(request()));
    expect(error.code).toBe('model-corrupt');
    expect(error.data.hook).toBe(hook);
    expect(error.message).toContain('NaN');
  });

  it('are found in the embedding and told apart from overflow', async () => {
    const model = make();
    damage(model.weights.embed, Number.NaN);
    const runner = await openRunner(model);
    expect((await failure(runner.run([[0, 1]]))).data.hook).toBe('hook_embed');
    const other = make();
    const { gate } = other.weights.blocks[1].mlp;
    if (gate !== null) damage(gate.weight, Number.POSITIVE_INFINITY);
    expect((await failure((await openRunner(other)).run([[1, 2]]))).code).toBe('model-corrupt');
  });

  it('cannot hide behind a file that was cut', async () => {
    const model = make();
    const runner = await openRunner(model);
    truncateSync(model.weights.embed.file, model.weights.embed.offset + 8);
    expect((await failure(runner.run([[1, 2]]))).code).toBe('model-corrupt');
  });
});

describe('questions that cannot be answered', () => {
  it('are refused with the reason', async () => {
    const runner = await openRunner();
    expect((await failure(runner.run([]))).code).toBe('prompt-empty');
    expect((await failure(runner.run([[]]))).code).toBe('prompt-empty');
    expect((await failure(runner.run([[1, 2], [1]]))).code).toBe('bad-input');
    expect((await failure(runner.run([[1, 999]]))).code).toBe('bad-input');
    expect((await failure(runner.run([new Array(65).fill(1)]))).code).toBe('prompt-too-long');
    expect((await failure(runner.run([[1, 2]], { positions: [2] }))).code).toBe('bad-input');
    expect((await failure(runner.run([[1, 2]], { fromLayer: 1 }))).code).toBe('bad-input');
    expect((await failure(runner.run([[1, 2]], { toLayer: 9 }))).code).toBe('bad-input');
    expect((await failure(runner.run([[1, 2]], { toLayer: 1, hooks: ['blocks.2.hook_resid_pre'] }))).code).toBe(
      'bad-input',
    );
    const residual = { dims: [1, 3, 24], data: new Float32Array(72) };
    expect((await failure(runner.run([[1, 2]], { fromLayer: 1, residual }))).code).toBe('bad-input');
  });

  it('are refused by every analysis in words', async () => {
    const engine = await openEngine();
    expect((await failure(engine.trace(request({ prompt: '' })))).code).toBe('prompt-empty');
    expect((await failure(engine.trace(request({ position: 3 })))).message).toContain('it has 3 tokens');
    expect((await failure(engine.trace(request({ position: -4 })))).code).toBe('bad-input');
    expect((await failure(engine.trace(request({ position: 0.5 })))).code).toBe('bad-input');
    expect((await failure(engine.trace(request({ observable: {} })))).code).toBe('bad-input');
    expect((await failure(engine.trace(request({ observable: { 't1 t2': 1 } })))).code).toBe('token-splits');
    expect((await failure(engine.lens(request(), [7]))).code).toBe('bad-input');
    expect((await failure(engine.head(request(), { layer: 3, head: 0, source: 0 }))).message).toContain(
      'layers are 0 to 2',
    );
    expect((await failure(engine.head(request(), { layer: 0, head: 4, source: 0 }))).code).toBe('bad-input');
    expect((await failure(engine.head(request(), { layer: 0, head: 0, source: 3 }))).code).toBe('bad-input');
  });

  it('do not include strange text', async () => {
    const engine = await openEngine();
    for (const prompt of ['\0\0', ' ', '\n', '💥', '𝔘t1']) {
      const document = await engine.trace(request({ prompt }));
      expect(document.attributions.every(Number.isFinite)).toBe(true);
      expect(document.attributions).toHaveLength(document.tokens.length);
    }
  });
});

describe('cancelling', () => {
  it('stops between runs, and the next question works', async () => {
    const engine = await openEngine();
    const controller = new AbortController();
    const before = engine.runner.counters.runs;
    const running = failure(
      engine.trace(request({ prompt: 't1 t2 t3 t4 t5', method: 'occlusion' }), {
        signal: controller.signal,
        onProgress: ({ label }) => {
          if (label === 'L2 of 3') controller.abort();
        },
      }),
    );
    expect((await running).code).toBe('cancelled');
    expect(engine.runner.counters.runs - before).toBe(2);
    expect((await engine.trace(request({ prompt: 't1 t2 t3 t4 t5' }))).complete).toBe(true);
  });

  it('lets a message that arrives during a run stop the next one', async () => {
    const engine = await openEngine();
    const controller = new AbortController();
    const running = failure(engine.trace(request(), { signal: controller.signal }));
    setTimeout(() => controller.abort(), 0);
    expect((await running).code).toBe('cancelled');
  });

  it('while loading leaves nothing open', async () => {
    const controller = new AbortController();
    const opening = AnalysisEngine.open(
      make(),
      { threads: 1, cacheBytes: 1, version: 'test' },
      { signal: controller.signal, onProgress: () => controller.abort() },
    );
    expect((await failure(opening)).code).toBe('cancelled');
  });

  it('closes while a run is under way', async () => {
    const engine = await openEngine();
    const running = failure(engine.trace(request({ method: 'occlusion' })));
    await new Promise((resolve) => setImmediate(resolve));
    await engine.close();
    expect((await running).code).toBe('cancelled');
  });
});

describe('progress', () => {
  it('never falls, keeps its total and ends full', async () => {
    const engine = await openEngine();
    for (const method of ['direct', 'occlusion', 'direct'] as const) {
      const reports: { done: number; total: number }[] = [];
      await engine.trace(request({ method }), { onProgress: (progress) => reports.push(progress) });
      expect(new Set(reports.map((report) => report.total)).size).toBe(1);
      expect(reports.every((report, i) => i === 0 || report.done >= reports[i - 1].done)).toBe(true);
      expect(reports.at(-1)?.done).toBe(reports.at(-1)?.total);
    }
  });
});
