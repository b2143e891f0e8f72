import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { type Corpus, corpusShares, openCorpus } from '../../../src/core/observables/corpus.ts';
import { shareWindows, windowBatches } from '../../../src/core/observables/corpusWindows.ts';
import { dot, fittedLine } from '../../../src/core/observables/coupling.ts';
import { couplingShare, joinCouplingShares } from '../../../src/core/observables/couplingShare.ts';
import { mean, seededRandom } from '../../../src/shared/statistics.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

describe('features on a corpus', () => {
  const { model, remove } = randomModel(SHAPES.llama, 4);
  const random = seededRandom(3);
  const features = ['blocks.2.hook_resid_pre', 'blocks.1.hook_resid_mid', 'blocks.2.hook_resid_pre'].map((hook) => ({
    hook,
    vector: Float64Array.from({ length: 24 }, () => random.normal()),
  }));
  let folder: string;
  let engine: AnalysisEngine;
  let corpus: Corpus;

  beforeAll(async () => {
    engine = await AnalysisEngine.open(model, { threads: 1, cacheBytes: 0, version: 'test' });
    folder = mkdtempSync(join(tmpdir(), 'mechanist-coupling-'));
    const path = join(folder, 'c.txt');
    const word = () => `t${random.below(50)}`;
    const documents = Array.from({ length: 40 }, () => Array.from({ length: 3 + random.below(90) }, word).join(' '));
    writeFileSync(path, documents.join('\n\n'));
    corpus = openCorpus('c.txt', { path }, 'blank-line');
  });
  afterAll(async () => {
    await engine.close();
    remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const share = (index: number, start: number, end: number) => ({ index, start, end, tokens: 1e6 });
  const context = () => ({ model, runner: engine.runner, seed: 5 });

  /** Activations at the positions that are read, without the code under test. */
  async function activations(hook: string): Promise<Float64Array[]> {
    const { windows } = await shareWindows(model, corpus, share(0, 0, corpus.bytes));
    const rows: Float64Array[] = [];
    for (const { ids } of windows) {
      const { activations: found } = await engine.runner.run([ids], { hooks: [hook] });
      const data = found.get(hook)?.data ?? new Float32Array();
      for (let position = 1; position < ids.length; position += 1) {
        rows.push(Float64Array.from(data.subarray(position * 24, (position + 1) * 24)));
      }
    }
    return rows;
  }

  it('have the covariance at the hook of the row, and the slope with each at its own', async () => {
    const part = await couplingShare(context(), corpus, share(0, 0, corpus.bytes), features, 20);
    const { moments, tokens, documents, cut } = joinCouplingShares(engine.runner, features, [part], 20);
    const read = await Promise.all(features.map(({ hook }) => activations(hook)));
    expect({ documents, cut, n: tokens - moments.own.count > 0 }).toEqual({ documents: 40, cut: false, n: true });
    const centred = (values: readonly number[]) => {
      const centre = mean(values);
      return values.map((value) => value - centre);
    };
    const slope = (x: readonly number[], y: readonly number[]) =>
      dot(centred(x), centred(y)) / dot(centred(x), centred(x));
    features.forEach((first, row) => {
      features.forEach((second, column) => {
        const line = fittedLine(moments.own, row, column);
        expect(line?.n).toBe(read[row].length);
        const own = read[row].map((x) => dot(x, first.vector));
        const other = read[column].map((x) => dot(x, second.vector));
        const here = read[row].map((x) => dot(x, second.vector));
        expect(line?.slope).toBeCloseTo(slope(own, other), 6);
        expect(moments.covariance(row, column)).toBeCloseTo(slope(own, here), 6);
        expect(line?.rSquared).toBeCloseTo(slope(own, other) * slope(other, own), 6);
      });
    });
    // Where both are read at one hook, the two are the same number.
    expect(moments.covariance(0, 2)).toBeCloseTo(fittedLine(moments.own, 0, 2)?.slope ?? 0, 12);
  });

  it('are the same read whole and in shares, through JSON; the sample is part of the corpus', async () => {
    const whole = await couplingShare(context(), corpus, share(0, 0, corpus.bytes), features, 20);
    const edges = [0, 700, 1900, corpus.bytes];
    const parts = [];
    for (let i = 0; i < 3; i += 1) {
      const part = await couplingShare(context(), corpus, share(i, edges[i], edges[i + 1]), features, 20);
      parts.push(JSON.parse(JSON.stringify(part)) as typeof part);
    }
    const one = joinCouplingShares(engine.runner, features, [whole], 20);
    const joined = joinCouplingShares(engine.runner, features, parts, 20);
    expect(joined.tokens).toBe(one.tokens);
    features.forEach((_, row) => {
      features.forEach((__, column) => {
        const [a, b] = [one, joined].map(({ moments }) => moments.covariance(row, column));
        expect(b).toBeCloseTo(a ?? 0, 9);
        const [c, d] = [one, joined].map(({ moments }) => fittedLine(moments.own, row, column)?.slopeError);
        expect(d).toBeCloseTo(c ?? 0, 9);
      });
    });
    expect(joined.sample).toHaveLength(20);
    const first = await activations(features[0].hook);
    const known = new Set(first.map((x) => dot(x, features[0].vector).toFixed(4)));
    for (const { scores, ids, at } of joined.sample) {
      expect(known).toContain(scores[0].toFixed(4));
      expect(ids.length).toBeGreaterThan(at);
    }
    expect(corpusShares(corpus, 1e6)).toHaveLength(1);
  });

  it('let other questions to the engine go first before each batch of texts', async () => {
    const { windows } = await shareWindows(model, corpus, share(0, 0, corpus.bytes));
    const done: number[] = [];
    let gave = 0;
    const onProgress = ({ done: batches }: { readonly done: number }) => done.push(batches);
    const giveWay = async () => {
      expect(done).toHaveLength(gave);
      gave += 1;
    };
    await couplingShare({ ...context(), onProgress, giveWay }, corpus, share(0, 0, corpus.bytes), features, 5);
    expect(gave).toBe(windowBatches(windows).length);
    expect(gave).toBeGreaterThan(1);
  });

  it('cost one forward pass of each text up to their last layer, however many they are', async () => {
    const { windows, tokens } = await shareWindows(model, corpus, share(0, 0, corpus.bytes));
    const positions = windows.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(positions).toBeLessThanOrEqual(tokens);
    const passes = async (count: number) => {
      const many = Array.from({ length: count }, (_, i) => features[i % 3]);
      const before = engine.runner.counters.blockPositions;
      await couplingShare(context(), corpus, share(0, 0, corpus.bytes), many, 5);
      return engine.runner.counters.blockPositions - before;
    };
    // Layers 0 and 1: what enters layer 2 is there before it runs.
    expect(await passes(3)).toBe(2 * positions);
    expect(await passes(100)).toBe(2 * positions);
  });
});
