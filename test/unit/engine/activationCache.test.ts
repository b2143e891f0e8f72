import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import type { TraceDocument } from '../../../src/shared/traceDocument.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

const text = (ids: readonly number[]) => ids.map((id) => `t${id}`).join(' ');
const IDS = [3, 14, 15, 9, 26, 5, 35, 8];
const OBSERVABLE = { ' t7': 1, ' t11': -1 };

/** Every number of a trace. */
function numbers(document: TraceDocument): number[] {
  const { direct } = document;
  return [
    ...[document.observable.value, direct.embedding, direct.positionEmbedding, direct.bias],
    ...[...document.attributions, ...direct.heads.flat(), ...direct.mlps],
    ...[...direct.bySource.data, ...direct.attention.data, ...document.next.map((token) => token.logit)],
  ];
}

describe.each(['gpt2', 'llama'] as const)('activation cache of %s', (shape) => {
  const config = SHAPES[shape];
  let model: OpenModel;
  let remove: () => void;
  const engines: AnalysisEngine[] = [];

  const open = async (cacheBytes = 1 << 22) => {
    const engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes, version: 'test' });
    engines.push(engine);
    return engine;
  };
  const ask = (engine: AnalysisEngine, ids: readonly number[], more = {}) =>
    engine.trace({ model: 'm', prompt: text(ids), observable: OBSERVABLE, method: 'direct', ...more });
  const positionsOf = async (engine: AnalysisEngine, work: () => Promise<unknown>) => {
    const before = engine.runner.counters.blockPositions;
    await work();
    return (engine.runner.counters.blockPositions - before) / config.nLayers;
  };
  const expectEqual = (actual: TraceDocument, expected: TraceDocument) => {
    const [a, b] = [numbers(actual), numbers(expected)];
    expect(a).toHaveLength(b.length);
    const scale = Math.max(...b.map(Math.abs));
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]))) / scale).toBeLessThan(1e-5);
  };

  beforeAll(() => {
    ({ model, remove } = randomModel(config, 11));
  });
  afterAll(async () => {
    for (const engine of engines) await engine.close();
    remove();
  });

  it('computes only the positions after the common beginning, with the same numbers', async () => {
    const engine = await open();
    expect(await positionsOf(engine, () => ask(engine, IDS))).toBe(8);
    const edits: readonly (readonly [readonly number[], number])[] = [
      [[...IDS, 4, 2], 2],
      [[...IDS.slice(0, 6), 1, 1, 1], 3],
      [[9, ...IDS.slice(1)], 8],
      [IDS, 0],
      // A beginning of a known prompt: only its last position, for its row of attention.
      [IDS.slice(0, 5), 1],
    ];
    for (const [ids, positions] of edits) {
      let document: TraceDocument | undefined;
      expect(
        await positionsOf(engine, async () => {
          document = await ask(engine, ids);
        }),
        text(ids),
      ).toBe(positions);
      const fresh = await ask(await open(), ids);
      if (document !== undefined) expectEqual(document, fresh);
    }
  });

  it('answers another observable, the lens and the same question again without a forward pass', async () => {
    const engine = await open();
    await ask(engine, IDS);
    const again = await positionsOf(engine, async () => {
      await ask(engine, IDS);
      await ask(engine, IDS, { observable: { ' t30': 1 } });
      await engine.lens({ model: 'm', prompt: text(IDS), method: 'direct' }, [0, 3, 7]);
    });
    expect(again).toBe(0);
  });

  it('computes one position for a question about an earlier one, with the same numbers', async () => {
    const engine = await open();
    await ask(engine, IDS);
    expect(await positionsOf(engine, () => ask(engine, IDS, { position: 3 }))).toBe(1);
    expectEqual(await ask(engine, IDS, { position: 3 }), await ask(await open(), IDS, { position: 3 }));
  });

  it('occludes from the cache: only positions from the first occluded token on', async () => {
    const engine = await open();
    await ask(engine, IDS);
    // All eight tokens fit one batch that starts at the first.
    expect(await positionsOf(engine, () => ask(engine, IDS, { method: 'occlusion' }))).toBe(64);
  });

  it('stays under its limit and forgets the oldest prompt first', async () => {
    const engine = await open();
    await ask(engine, IDS);
    const one = engine.cache.bytes;
    const small = await open(Math.floor(2.5 * one));
    await ask(small, IDS);
    await ask(
      small,
      IDS.map((id) => id + 1),
    );
    await ask(small, IDS);
    await ask(
      small,
      IDS.map((id) => id + 2),
    );
    expect(small.cache.bytes).toBeLessThanOrEqual(2.5 * one);
    expect(await positionsOf(small, () => ask(small, IDS))).toBe(0);
    expect(
      await positionsOf(small, () =>
        ask(
          small,
          IDS.map((id) => id + 1),
        ),
      ),
    ).toBe(8);
  });
});
