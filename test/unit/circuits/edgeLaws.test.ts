import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CircuitEvaluator, type EvaluatorOptions } from '../../../src/core/circuits/circuitEvaluator.ts';
import { edgeAttribution } from '../../../src/core/circuits/eap.ts';
import { EdgeGraph } from '../../../src/core/circuits/edgeGraph.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { AblationValue } from '../../../src/shared/circuit.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { distance } from '../../support/gradients.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';

const resample: AblationValue = { kind: 'resample', corruption: 'other' };
const metric = { kind: 'logit-difference', foil: 'mean' } as const;
const options: EvaluatorOptions = { scope: 'edges', ablation: resample, metric, memoryBytes: 1 << 26, seed: 5 };

describe.each(['gpt2', 'gptNeo', 'gptNeoX', 'llama', 'llamaAdjacent', 'mistral', 'qwen2'])('edges of %s', (shape) => {
  const config = SHAPES[shape];
  const { model, remove } = randomModel(config, 3);
  const task = randomTask(config, [9, 7, 9, 7, 8], 2);
  const graph = new EdgeGraph(config);
  const swapped = {
    ...task,
    items: task.items.map((item) => ({ ...item, ids: item.corrupted.other, corrupted: { other: item.ids } })),
  };
  let runner: ModelRunner;

  beforeAll(async () => {
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });
  const evaluatorOf = (own: Partial<EvaluatorOptions> = {}, of: TaskSet = task) =>
    CircuitEvaluator.create(runner, of, { ...options, ...own });

  it('are numbered as they run: every edge has one number and one name', () => {
    const seen = new Set<string>();
    let count = 0;
    graph.each((edge, reader, writer) => {
      expect(edge).toBe(count);
      count += 1;
      const all = new Set(Array.from({ length: graph.writers }, (_, i) => i));
      for (const named of graph.describe(reader, writer, all)) {
        expect(graph.edge(named)).toBe(edge);
        seen.add(`${named.from}>${named.to}>${named.channel}`);
      }
    });
    expect(count).toBe(graph.edges);
    const { nLayers, nHeads, parallelResidual } = config;
    const before = Array.from({ length: nLayers }, (_, layer) => 1 + layer * (nHeads + 1));
    const perLayer = before.map((n) => 3 * nHeads * n + n + (parallelResidual ? 0 : nHeads));
    expect(seen.size).toBe(perLayer.reduce((a, b) => a + b, 0) + 1 + nLayers * (nHeads + 1));
  });

  it('all kept is the clean run, none kept the corrupted one', async () => {
    const evaluator = await evaluatorOf();
    const heads = await evaluatorOf({ scope: 'heads' });
    const corrupted = await evaluatorOf({ scope: 'heads', ablation: { kind: 'zero' } }, swapped);
    const [full, empty] = await evaluator.scores([evaluator.space.full, evaluator.space.empty]);
    const [clean] = await heads.scores([heads.space.full]);
    const [other] = await corrupted.scores([corrupted.space.full]);
    expect(distance(full.values, clean.values)).toBeLessThan(1e-5);
    expect(distance(empty.values, other.values)).toBeLessThan(1e-5);
  });

  it.each<AblationValue>([resample, { kind: 'zero' }, { kind: 'mean', corruption: 'other' }])(
    'a node all of whose edges go is a node that is ablated: %j',
    async (ablation) => {
      const edges = await evaluatorOf({ ablation });
      const nodes = await evaluatorOf({ ablation, scope: 'heads+mlps' });
      const sets = [['L0.H1'], ['L1.H3', 'MLP 0'], ['L2.H0', 'L0.H2', 'MLP 2'], ['MLP 1']];
      // Outgoing edges only: what the ablated node reads does not count.
      const selections = sets.map((names) => {
        const writers = names.map((name) => graph.writer(name));
        const { keep } = edges.space.full;
        graph.each((edge, _, writer) => {
          if (writers.includes(writer)) keep[edge] = 0;
        });
        return { keep };
      });
      const [a, b] = [
        await edges.scores(selections),
        await nodes.scores(sets.map((names) => nodes.space.without(names))),
      ];
      a.forEach(({ values }, i) => {
        expect(distance(values, b[i].values)).toBeLessThan(2e-5);
      });
      const whole = await edges.scores(sets.map((names) => edges.space.without(names)));
      whole.forEach(({ values }, i) => {
        expect(distance(values, b[i].values)).toBeLessThan(2e-5);
      });
    },
  );

  it('little memory and the order of questions change no number; lower layers are not run again', async () => {
    const [evaluator, small] = [await evaluatorOf(), await evaluatorOf({ memoryBytes: 1 })];
    const random = seededRandom(4);
    const masks = Array.from({ length: 4 }, () => ({
      keep: Uint8Array.from({ length: graph.edges }, () => random.below(2)),
    }));
    const last = graph.readers.slice(graph.firstReader(config.nLayers - 1));
    const { keep } = evaluator.space.full;
    for (const { firstEdge } of last) keep[firstEdge] = 0;
    const all = [masks[0], { keep }, masks[1], { keep }, masks[2], masks[3]];
    const [a, b] = [await evaluator.scores(all), await small.scores([...all].reverse())];
    a.forEach(({ values }, i) => {
      expect(distance(values, b[all.length - 1 - i].values)).toBeLessThan(1e-5);
    });
    expect([...a[3].values]).toEqual([...a[1].values]);
    const before = evaluator.passes;
    await evaluator.scores([{ keep }]);
    expect(evaluator.passes - before).toBeCloseTo(1 / config.nLayers, 10);
  });

  it('little memory changes no score; the clean and the corrupted run are all that runs forward', async () => {
    const { blockPositions: before } = runner.counters;
    const own = { corruption: 'other', metric, memoryBytes: 1 << 26 };
    const { scores, passes } = await edgeAttribution(runner, task, own);
    const positions = task.items.reduce((sum, { ids }) => sum + ids.length, 0);
    expect(runner.counters.blockPositions - before).toBe(2 * positions * config.nLayers);
    // A forward and a backward pass are 3.
    expect(passes).toBeGreaterThan(4);
    expect(passes - 3).toBeLessThan(3);
    const small = await edgeAttribution(runner, task, { ...own, memoryBytes: 1 });
    expect(distance(small.scores, scores)).toBeLessThan(1e-5);
  });

  it.runIf(['gpt2', 'gptNeoX', 'llamaAdjacent'].includes(shape))(
    'edges from the embedding carry the whole change of the metric along the line that EAP-IG follows',
    async () => {
      const steps = 16;
      const own = { corruption: 'other', metric, memoryBytes: 1 << 26 };
      const fromEmbedding = async (of: TaskSet, count?: number) => {
        const { scores } = await edgeAttribution(runner, of, { ...own, steps: count });
        let sum = 0;
        graph.each((edge, _, writer) => {
          if (writer === 0) sum += scores[edge];
        });
        return sum;
      };
      const evaluator = await evaluatorOf();
      const [full, empty] = await evaluator.scores([evaluator.space.full, evaluator.space.empty]);
      const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
      const change = mean(full.values) - mean(empty.values);
      // Steps 1/m … 1 are a right sum; half the difference of its ends makes it the trapezoidal rule.
      const [atClean, atCorrupted] = [await fromEmbedding(task), -(await fromEmbedding(swapped))];
      const integral = (await fromEmbedding(task, steps)) + (atCorrupted - atClean) / (2 * steps);
      expect(Math.abs(integral - change)).toBeLessThan(0.02 * Math.max(1, Math.abs(change)));
    },
  );
});
