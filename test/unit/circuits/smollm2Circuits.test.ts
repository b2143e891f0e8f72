import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { CircuitEvaluator } from '../../../src/core/circuits/circuitEvaluator.ts';
import { edgeAttribution } from '../../../src/core/circuits/eap.ts';
import { EdgeGraph } from '../../../src/core/circuits/edgeGraph.ts';
import type { TaskItem, TaskSet } from '../../../src/shared/taskSet.ts';
import { hasSmollm2, smollm2File, smollm2Reason } from '../../support/smollm2.ts';
import { load, mechanistCache } from '../reference/referenceFigures.ts';

/** Indirect objects; the corruption repeats the other name. */
function ioi({ model: { tokenizer } }: AnalysisEngine): TaskSet {
  const pairs = [
    [' Mary', ' John'],
    [' Anna', ' Tom'],
    [' Paul', ' Mary'],
    [' James', ' Dan'],
  ];
  const one = (text: string) => tokenizer.encodePiece(text)[0];
  const items = pairs.map(([io, s], i): TaskItem => {
    const idsOf = (again: string) =>
      tokenizer.encode(`When${io} and${s} went to the store,${again} gave a drink to`).map(({ id }) => id);
    const ids = idsOf(s);
    const answers = [{ name: 'name', position: ids.length - 1, answer: one(io), foils: [one(s)] }];
    return { id: String(i), text: '', ids, tokens: [], roles: {}, tags: [], answers, corrupted: { other: idsOf(io) } };
  });
  const about = {
    roles: [],
    answerNames: ['name'],
    corruptions: ['other'],
    seed: 0,
    hash: '0',
    refused: 0,
    problems: [],
  };
  return { name: 'ioi', items, ...about };
}

describe.skipIf(!hasSmollm2)(`edges of SmolLM2-135M${smollm2Reason}`, () => {
  let engine: AnalysisEngine;
  beforeAll(async () => {
    engine = await load(smollm2File, mechanistCache());
  }, 120_000);
  afterAll(() => engine?.close());

  it('attribution foresees what corrupting the strongest edges does, within a tenth for those into the logits', async () => {
    const task = ioi(engine);
    const metric = { kind: 'logit-difference', foil: 'one' } as const;
    const memoryBytes = 1 << 29;
    const { graph, scores } = await edgeAttribution(engine.runner, task, { corruption: 'other', metric, memoryBytes });
    const evaluator = await CircuitEvaluator.create(engine.runner, task, {
      ...{ scope: 'edges', ablation: { kind: 'resample', corruption: 'other' }, metric, memoryBytes, seed: 0 },
    });
    const strongest = (first: number, last: number, count: number) =>
      Array.from({ length: last - first }, (_, i) => first + i)
        .sort((a, b) => Math.abs(scores[b]) - Math.abs(scores[a]))
        .slice(0, count);
    const logits = graph.readers[graph.readers.length - 1].firstEdge;
    const upper = graph.readers[graph.firstReader(26)].firstEdge;
    const edges = [...strongest(logits, graph.edges, 8), ...strongest(upper, logits, 6)];
    const without = (edge: number) => {
      const { keep } = evaluator.space.full;
      keep[edge] = 0;
      return { keep };
    };
    const all = await evaluator.scores([evaluator.space.full, ...edges.map(without)]);
    const [full, ...rest] = all.map(({ values }) => values.reduce((sum, value) => sum + value, 0) / values.length);
    edges.forEach((edge, i) => {
      const effect = full - rest[i];
      const share = i < 8 ? 0.1 : 0.5;
      expect(Math.abs(effect - scores[edge]), `edge ${edge}`).toBeLessThan(share * Math.abs(effect) + 0.02);
    });
    expect(new EdgeGraph(engine.model.config).edges).toBe(70_651);
  }, 120_000);
});
