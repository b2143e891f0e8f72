import { afterAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { TurnJob } from '../../../src/engine/modelTurns.ts';
import { bundledTurns } from '../../support/bundledTurns.ts';

const { turns, remove } = bundledTurns();
afterAll(remove);

const context = { signal: new AbortController().signal, onProgress: () => undefined };

describe('turns on a model', () => {
  it('count to each long run its own forward passes, whatever runs when it gives way', async () => {
    const counted: Record<string, number> = {};
    /** `pieces` passes of `tokens` positions each, giving way before each. */
    const long = (name: string, tokens: number, pieces: number) =>
      turns.inTurns('small-world', context, async ({ runner }: AnalysisEngine, { giveWay }: TurnJob) => {
        const before = runner.counters.blockPositions;
        for (let piece = 0; piece < pieces; piece += 1) {
          await giveWay();
          await runner.logits([Array.from({ length: tokens }, (_, i) => i + 5)]);
        }
        counted[name] = (runner.counters.blockPositions - before) / runner.config.nLayers;
      });
    const short = () => turns.withModel('small-world', context, ({ runner }) => runner.logits([[7, 8, 9]]));
    await Promise.all([long('a', 4, 5), long('b', 6, 3), short(), short()]);
    // The last block runs for the rows of the logits alone: the same for each pass, with or without company.
    await long('alone a', 4, 5);
    await long('alone b', 6, 3);
    expect(counted.a).toBe(counted['alone a']);
    expect(counted.b).toBe(counted['alone b']);
    expect(counted.a).toBeGreaterThan(10);
  });
});
