import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CircuitEvaluator, type EvaluatorOptions } from '../../../src/core/circuits/circuitEvaluator.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { AblationValue, CircuitFile } from '../../../src/shared/circuit.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import type { TaskSet } from '../../../src/shared/taskSet.ts';
import { distance } from '../../support/gradients.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';
import { randomTask } from '../../support/randomTask.ts';

const options: EvaluatorOptions = {
  scope: 'heads+mlps',
  ablation: { kind: 'zero' },
  metric: { kind: 'logit-difference', foil: 'max' },
  memoryBytes: 1 << 26,
  seed: 5,
};

const ABLATIONS: readonly AblationValue[] = [
  { kind: 'zero' },
  { kind: 'mean' },
  { kind: 'mean', corruption: 'other' },
  { kind: 'resample', corruption: 'other' },
];

function circuitOf(nodes: CircuitFile['nodes']): CircuitFile {
  return {
    ...{ schemaVersion: 1, kind: 'circuit', name: 'c', model: { ref: 'random' }, scope: 'heads+mlps', nodes },
    ...{ ablation: { kind: 'zero' }, provenance: {} },
  };
}

describe.each(['gpt2', 'gptNeoX', 'llama', 'mistral'])('circuits of %s', (shape) => {
  const config = SHAPES[shape];
  const { model, remove } = randomModel(config, 3);
  const even = randomTask(config, [9, 9, 9, 9], 2);
  const uneven = randomTask(config, [9, 7, 9, 7, 8], 2);
  const stride = config.nHeads + 1;
  let runner: ModelRunner;

  beforeAll(async () => {
    runner = await ModelRunner.open(model, { threads: 1 });
  });
  afterAll(async () => {
    await runner.close();
    remove();
  });

  /** What an intervention list makes of the metric, run plainly in one batch of equal lengths, `[row, answer]`. */
  async function plain(task: TaskSet, interventions: readonly Intervention[], corrupted = false): Promise<number[]> {
    const batch = (other: boolean) => task.items.map(({ ids, corrupted: c }) => Int32Array.from(other ? c.other : ids));
    const runs = { other: batch(true) };
    const run = await runner.runWith(batch(corrupted), { interventions, runs });
    const { data } = await run.logits({ positions: task.items[0].answers.map(({ position }) => position) });
    return task.items.flatMap(({ answers }, i) =>
      answers.map(({ answer, foils }, a) => {
        const at = (id: number) => data[(i * answers.length + a) * config.dVocab + id];
        return at(answer) - Math.max(...foils.map(at));
      }),
    );
  }

  /** The interventions that ablate what a mask leaves out. */
  function ablating(keep: ArrayLike<number>, ablation: AblationValue): Intervention[] {
    const change = (hook: string, heads?: readonly number[]): Intervention => {
      const at = { hook, ...(heads && { heads }) };
      if (ablation.kind === 'zero') return { at, kind: 'zero' };
      if (ablation.kind === 'resample') return { at, kind: 'patch', from: { run: 'other' } };
      return { at, kind: 'mean', over: 'batch', ...(ablation.corruption && { of: 'other' }) };
    };
    return Array.from({ length: config.nLayers }, (_, layer) => {
      const heads = Array.from({ length: config.nHeads }, (_, head) => head).filter(
        (head) => keep[layer * stride + head] === 0,
      );
      return [
        ...(heads.length === 0 ? [] : [change(`blocks.${layer}.attn.hook_z`, heads)]),
        ...(keep[layer * stride + config.nHeads] === 1 ? [] : [change(`blocks.${layer}.hook_mlp_out`)]),
      ];
    }).flat();
  }

  const evaluatorOf = (task: TaskSet, own: Partial<EvaluatorOptions> = {}) =>
    CircuitEvaluator.create(runner, task, { ...options, ...own });

  it.each(ABLATIONS)('score as the plain run with the same interventions: %j', async (ablation) => {
    const evaluator = await evaluatorOf(even, { ablation });
    const random = seededRandom(8);
    const masks = Array.from({ length: 6 }, (_, i) =>
      Uint8Array.from({ length: config.nLayers * stride }, (_, node) =>
        // Some leave the first layers whole, so that their clean run is reused.
        i % 2 === 0 && node < 2 * stride ? 1 : random.below(2),
      ),
    );
    const scores = await evaluator.scores([...masks.map((keep) => ({ keep })), evaluator.space.full]);
    for (const [i, keep] of masks.entries()) {
      expect(distance(scores[i].values, await plain(even, ablating(keep, ablation)))).toBeLessThan(1e-5);
    }
    expect(distance(scores[6].values, await plain(even, []))).toBeLessThan(1e-5);
    await evaluator.release();
  });

  it.each(ABLATIONS)(
    'neurons: all of an MLP are the MLP, without some is an intervention on post: %j',
    async (ablation) => {
      const evaluator = await evaluatorOf(even, { ablation });
      const { space } = evaluator;
      const all = Array.from({ length: config.dMlp }, (_, neuron) => ({ node: `N1.${neuron}` }));
      const heads = [{ node: 'L0.H1' }, { node: 'MLP 0' }, { node: 'L2.H0' }];
      const [byNeurons, byMlp] = [circuitOf([...heads, ...all]), circuitOf([...heads, { node: 'MLP 1' }])];
      expect(space.of(byNeurons)).toEqual(space.of(byMlp));
      const gone = [0, 3, config.dMlp - 1];
      const few = [1, 2, 4];
      const own = space.of(circuitOf(few.map((neuron) => ({ node: `N1.${neuron}` }))));
      expect(space.complement(space.complement(own))).toEqual(own);
      const selections = [
        space.without(gone.map((neuron) => `N1.${neuron}`)),
        // The whole model but for all neurons of an MLP that are not in the circuit.
        { ...space.full, neurons: own.neurons },
        space.complement(own),
        space.full,
        space.complement(space.of(circuitOf(few.map((neuron) => ({ node: `N1.${neuron}`, at: ['end'] }))))),
      ];
      const scores = await evaluator.scores(selections);
      const change = (neurons: readonly number[], positions?: readonly number[]): Intervention => {
        const at = { hook: 'blocks.1.mlp.hook_post', neurons, ...(positions && { positions }) };
        if (ablation.kind === 'zero') return { at, kind: 'zero' };
        if (ablation.kind === 'resample') return { at, kind: 'patch', from: { run: 'other' } };
        return { at, kind: 'mean', over: 'batch', ...(ablation.corruption && { of: 'other' }) };
      };
      const others = all.map((_, neuron) => neuron).filter((neuron) => !few.includes(neuron));
      expect(distance(scores[0].values, await plain(even, [change(gone)]))).toBeLessThan(1e-5);
      expect(distance(scores[1].values, await plain(even, [change(others)]))).toBeLessThan(1e-5);
      expect(distance(scores[2].values, await plain(even, [change(few)]))).toBeLessThan(1e-5);
      expect(distance(scores[3].values, await plain(even, []))).toBeLessThan(1e-5);
      expect(distance(scores[4].values, await plain(even, [change(few, [7, 8])]))).toBeLessThan(1e-5);
      // The interventions do something.
      expect(distance(scores[2].values, scores[3].values)).toBeGreaterThan(1e-4);
      await evaluator.release();
    },
  );

  it('random circuits have as many neurons, of MLPs that are not kept', async () => {
    const evaluator = await evaluatorOf(even);
    const circuit = circuitOf([{ node: 'MLP 0' }, { node: 'N1.2' }, { node: 'N2.1', at: ['end'] }, { node: 'L0.H0' }]);
    const random = seededRandom(4);
    for (let draw = 0; draw < 20; draw += 1) {
      const { keep, neurons } = evaluator.space.random(circuit, random);
      const kept = [...(neurons ?? [])].flatMap(([, choice]) => [...choice.keep].filter((value) => value > 0));
      expect(kept.sort()).toEqual([1, 2]);
      const mlps = Array.from({ length: config.nLayers }, (_, layer) => layer).filter(
        (layer) => keep[layer * stride + config.nHeads] === 1 && !neurons?.has(layer),
      );
      expect(mlps).toHaveLength(1);
    }
    await evaluator.release();
  });

  it('restore everything: faithfulness 1; ablate everything: 0', async () => {
    const evaluator = await evaluatorOf(uneven, { ablation: { kind: 'resample', corruption: 'other' } });
    const nodes = Array.from({ length: config.nLayers * stride }, (_, i) => ({
      node:
        i % stride === config.nHeads ? `MLP ${Math.floor(i / stride)}` : `L${Math.floor(i / stride)}.H${i % stride}`,
    }));
    const [all, none] = [await evaluator.quick(circuitOf(nodes)), await evaluator.quick(circuitOf([]))];
    for (const { mean } of [all.faithfulness.overall, ...all.faithfulness.answers]) expect(mean).toBe(1);
    for (const { mean } of [none.faithfulness.overall, ...none.faithfulness.answers]) expect(mean).toBe(0);
    expect(all.inCircuit).toEqual(all.full);
  });

  it('a circuit and its complement change places', async () => {
    const evaluator = await evaluatorOf(uneven);
    const own = evaluator.space.of(circuitOf([{ node: 'L0.H1' }, { node: 'L1.H2', at: ['end'] }, { node: 'MLP 1' }]));
    const other = evaluator.space.complement(own);
    expect(evaluator.space.complement(other)).toEqual(own);
    const rest = evaluator.space.without(['L0.H1', 'MLP 1']);
    const [a, b] = await evaluator.scores([
      evaluator.space.complement(rest),
      evaluator.space.of(circuitOf([{ node: 'L0.H1' }, { node: 'MLP 1' }])),
    ]);
    expect([...a.values]).toEqual([...b.values]);
  });

  it('a mean over one row of itself changes nothing', async () => {
    const one = { ...even, items: even.items.slice(0, 1) };
    const evaluator = await evaluatorOf(one, { ablation: { kind: 'mean' } });
    const [full, empty] = await evaluator.scores([evaluator.space.full, evaluator.space.empty]);
    expect(distance(empty.values, full.values)).toBeLessThan(1e-5);
  });

  it('a node that counts at some positions is replaced at the others only', async () => {
    const evaluator = await evaluatorOf(uneven, { ablation: { kind: 'zero' } });
    const { space } = evaluator;
    const places = {
      keep: space.full.keep.slice(),
      at: new Map([
        [1, ['end', '0']],
        [config.nHeads, ['first']],
      ]),
    };
    places.keep[1] = 2;
    places.keep[config.nHeads] = 3;
    const [scores] = await evaluator.scores([places]);
    for (const [i, item] of uneven.items.entries()) {
      const last = item.ids.length - 1;
      const positions = Array.from({ length: last - 2 }, (_, p) => p + 1);
      const wanted = await plain({ ...uneven, items: [item] }, [
        { at: { hook: 'blocks.0.attn.hook_z', heads: [1], positions }, kind: 'zero' },
        { at: { hook: 'blocks.0.hook_mlp_out', positions: [0] }, kind: 'zero' },
      ]);
      expect(distance(scores.values.subarray(2 * i, 2 * i + 2), wanted)).toBeLessThan(1e-5);
    }
    await expect(evaluator.quick(circuitOf([{ node: 'L0.H1', at: ['nowhere'] }]))).rejects.toThrow(
      /no role or position/,
    );
  });

  it('little memory changes no number, and layers are shared', async () => {
    const evaluator = await evaluatorOf(uneven);
    const small = await evaluatorOf(uneven, { memoryBytes: 1 });
    const random = seededRandom(4);
    const circuit = circuitOf([{ node: 'L1.H1' }, { node: 'L2.H2' }, { node: 'MLP 2' }]);
    const selections = Array.from({ length: 5 }, () => evaluator.space.random(circuit, random));
    for (const { keep } of selections) expect(keep.reduce((sum, k) => sum + k, 0)).toBe(3);
    const [a, b] = [await evaluator.scores(selections), await small.scores(selections)];
    a.forEach(({ values }, i) => {
      expect(distance(values, b[i].values)).toBeLessThan(1e-5);
    });
    const before = evaluator.passes;
    await evaluator.scores([evaluator.space.without([`L${config.nLayers - 1}.H0`])]);
    expect(evaluator.passes - before).toBeCloseTo(1 / config.nLayers, 10);
  });

  it('other metrics read whole rows', async () => {
    const kl = await evaluatorOf(uneven, { metric: { kind: 'kl' } });
    const [full, empty] = await kl.scores([kl.space.full, kl.space.empty]);
    for (const value of full.values) expect(value).toBeLessThan(1e-9);
    for (const value of empty.values) expect(value).toBeGreaterThan(1e-4);
    const prob = await evaluatorOf(uneven, { metric: { kind: 'prob' } });
    const [scores] = await prob.scores([prob.space.full]);
    expect(scores.values.every((value) => value > 0 && value < 1)).toBe(true);
    const difference = await evaluatorOf(uneven);
    const [plainScores] = await difference.scores([difference.space.full]);
    expect(scores.correct).toEqual(plainScores.correct);
    expect(plainScores.values.map((value) => (value > 0 ? 1 : 0))).toEqual(Float64Array.from(plainScores.correct));
  });
});

describe('a circuit that does not fit', () => {
  it('is refused with the reason', async () => {
    const config = SHAPES.gpt2;
    const { model, remove } = randomModel(config, 3);
    const runner = await ModelRunner.open(model, { threads: 1 });
    const task = randomTask(config, [6, 6]);
    const wrong = CircuitEvaluator.create(runner, task, { ...options, ablation: { kind: 'mean', corruption: 'cur' } });
    await expect(wrong).rejects.toThrow('Row r0 has no corruption "cur". The data has other.');
    const empty = CircuitEvaluator.create(runner, { ...task, items: [] }, options);
    await expect(empty).rejects.toThrow(/no rows/);
    const evaluator = await CircuitEvaluator.create(runner, task, options);
    await expect(evaluator.quick(circuitOf([{ node: 'L7.H0' }]))).rejects.toThrow(/layers are 0 to 2/);
    const controller = new AbortController();
    controller.abort();
    await expect(evaluator.quick(circuitOf([]), { signal: controller.signal })).rejects.toMatchObject({
      code: 'cancelled',
    });
    await expect(evaluator.quick(circuitOf([]))).resolves.toBeDefined();
    await runner.close();
    remove();
  });
});
