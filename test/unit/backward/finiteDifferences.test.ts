import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Backward } from '../../../src/core/engine/backward/backward.ts';
import type { FreezablePart } from '../../../src/core/engine/backward/backwardGraph.ts';
import type { Objective } from '../../../src/core/engine/backward/objective.ts';
import { blockWeightNames, globalWeightNames } from '../../../src/core/engine/backward/weightNames.ts';
import { allHookPoints, hookName } from '../../../src/core/engine/hookPoints.ts';
import { ModelRunner } from '../../../src/core/engine/modelRunner.ts';
import type { ModelWeights, TensorLocation } from '../../../src/core/models/modelWeights.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { metricOfItem } from '../../../src/core/tasks/metrics.ts';
import type { MetricSpec } from '../../../src/shared/metric.ts';
import { type Matrix, oracleRun } from '../../support/oracle.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';

type Edit = (name: string, value: Matrix) => Matrix;

/** Half the step of a central difference: small for its own error, large for that of float64. */
const STEP = 1e-4;
/** Share of Σ |gradient × direction| that float32 rounding may change. */
const TOLERANCE = 1e-5;

const plus = (a: Matrix, b: Matrix, factor: number): Matrix =>
  a.map((row, r) => row.map((value, c) => value + factor * b[r][c]));

function values({ file, offset, byteLength }: TensorLocation): number[] {
  const bytes = readFileSync(file).subarray(offset, offset + byteLength);
  return Array.from({ length: byteLength / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

/** The weights with one tensor read from another place. */
function replaced<T>(weights: T, from: TensorLocation, to: TensorLocation): T {
  if (weights === (from as unknown)) return to as T;
  if (Array.isArray(weights)) return weights.map((entry: unknown) => replaced(entry, from, to)) as T;
  if (typeof weights !== 'object' || weights === null) return weights;
  return Object.fromEntries(Object.entries(weights).map(([key, value]) => [key, replaced(value, from, to)])) as T;
}

describe.each(Object.entries(SHAPES))('gradients of %s', (_, config) => {
  const random = normals(11);
  const draw = (rows: number, columns: number): Matrix =>
    Array.from({ length: rows }, () => Array.from({ length: columns }, random));
  const [PROMPT, OTHER] = [
    [3, 14, 15, 9, 26, 5, 35],
    [8, 9, 7, 9, 3, 23, 8],
  ];
  const LAST = PROMPT.length - 1;
  const metric = { kind: 'logit-difference', foil: 'mean' } as const;
  const targets = [
    { name: 'last', position: LAST, answer: 4, foils: [7, 31] },
    { name: 'inner', position: 3, answer: 12, foils: [2] },
  ];
  const OBJECTIVE: Objective = { kind: 'metric', metric, targets: [targets] };
  let model: OpenModel;
  let runner: ModelRunner;
  let backward: Backward;
  let remove: () => void;
  let folder: string;

  beforeAll(async () => {
    ({ model, remove } = randomModel(config, 5));
    folder = mkdtempSync(join(tmpdir(), 'mechanist-weights-'));
    runner = await ModelRunner.open(model, { threads: 1 });
    backward = new Backward(runner);
  });
  afterAll(async () => {
    await runner.close();
    remove();
    rmSync(folder, { recursive: true });
  });

  const run = (edit?: Edit, weights: ModelWeights = model.weights) =>
    oracleRun(config, weights, PROMPT, new Map(), edit);
  const score = (logits: Matrix, spec: MetricSpec = metric, reference?: Matrix) =>
    metricOfItem(spec, (p) => logits[p], targets, reference && ((p) => reference[p])).value;

  /** Σ gradient × direction, where attention maps have one matrix per head; and the sum of the absolute values. */
  const along = (gradient: ArrayLike<number>, directions: readonly Matrix[]) => {
    const flat = directions.flat(2);
    expect(gradient.length).toBe(flat.length);
    const terms = flat.map((value, i) => value * gradient[i]);
    return [terms.reduce((a, b) => a + b, 0), terms.reduce((a, b) => a + Math.abs(b), 0)] as const;
  };

  const gradientAt = async (hooks: readonly string[], objective = OBJECTIVE, freeze: readonly FreezablePart[] = []) =>
    (await backward.gradients([PROMPT], objective, { hooks, freeze })).gradients;

  it('are finite differences of the float64 oracle at every hook point', async () => {
    const hooks = allHookPoints(config)
      .map(hookName)
      .filter((hook) => !hook.startsWith('blocks.0'));
    const found = await gradientAt(hooks);
    const plain = run();
    expect(Math.abs(score(plain.logits))).toBeGreaterThan(0.1);
    for (const hook of hooks) {
      const own = plain.activations.has(hook)
        ? [hook]
        : Array.from({ length: config.nHeads }, (__, head) => `${hook}.${head}`);
      const map = hook.endsWith('hook_pattern');
      const directions = new Map(
        own.map((name) => {
          const value = plain.activations.get(name) ?? [];
          const direction = draw(value.length, value[0].length);
          // No step where the mask hides the key.
          const step = direction.map((row, r) => row.map((d, c) => (map && value[r][c] === 0 ? 0 : d)));
          return [name, step] as const;
        }),
      );
      const at = (step: number) =>
        score(
          run((name, value) => {
            const direction = directions.get(name);
            return direction === undefined ? value : plus(value, direction, step);
          }).logits,
        );
      const [expected, scale] = along(found.get(hook)?.data ?? [], [...directions.values()]);
      expect(scale, hook).toBeGreaterThan(0);
      expect(Math.abs((at(STEP) - at(-STEP)) / (2 * STEP) - expected) / scale, hook).toBeLessThan(TOLERANCE);
    }
  });

  it('start at every metric', async () => {
    const plain = run();
    const other = oracleRun(config, model.weights, OTHER).logits;
    const kinds: readonly MetricSpec[] = [
      { kind: 'logit-difference', foil: 'max' },
      { kind: 'log-prob' },
      { kind: 'prob' },
      { kind: 'cross-entropy' },
      { kind: 'kl' },
    ];
    const direction = draw(PROMPT.length, config.dModel);
    for (const spec of kinds) {
      const objective: Objective = {
        kind: 'metric',
        metric: spec,
        targets: [targets],
        reference: (__, position) => other[position],
      };
      const result = await backward.gradients([PROMPT], objective, { hooks: ['hook_embed'] });
      const at = (step: number) =>
        score(run((name, x) => (name === 'hook_embed' ? plus(x, direction, step) : x)).logits, spec, other);
      const [expected, scale] = along(result.gradients.get('hook_embed')?.data ?? [], [direction]);
      expect(Math.abs(result.values[0] - score(plain.logits, spec, other)), spec.kind).toBeLessThan(2e-5);
      expect(Math.abs((at(STEP) - at(-STEP)) / (2 * STEP) - expected) / scale, spec.kind).toBeLessThan(3 * TOLERANCE);
    }
  });

  it('start at a linear observable and at a given gradient of the last residual stream', async () => {
    const direction = draw(PROMPT.length, config.dModel);
    const terms = [
      { id: 4, weight: 1.5 },
      { id: 40, weight: -0.5 },
    ];
    const linear: Objective = { kind: 'linear', items: [[{ position: -1, terms }]] };
    const flat = Float32Array.from({ length: PROMPT.length * config.dModel }, random);
    const dims = [1, PROMPT.length, config.dModel];
    const residual: Objective = { kind: 'residual', gradient: { dims, data: flat } };
    const last = `blocks.${config.nLayers - 1}.hook_resid_post`;
    const functions = [
      (r: ReturnType<typeof run>) => 1.5 * r.logits[LAST][4] - 0.5 * r.logits[LAST][40],
      (r: ReturnType<typeof run>) => (r.activations.get(last) ?? []).flat().reduce((a, x, i) => a + x * flat[i], 0),
    ];
    for (const [i, objective] of [linear, residual].entries()) {
      const result = await backward.gradients([PROMPT], objective, { hooks: ['hook_embed', last] });
      const at = (step: number) =>
        functions[i](run((name, x) => (name === 'hook_embed' ? plus(x, direction, step) : x)));
      const [expected, scale] = along(result.gradients.get('hook_embed')?.data ?? [], [direction]);
      expect(Math.abs(result.values[0] - functions[i](run()))).toBeLessThan(1e-4);
      expect(Math.abs((at(STEP) - at(-STEP)) / (2 * STEP) - expected) / scale).toBeLessThan(TOLERANCE);
      if (objective === residual) expect(result.gradients.get(last)?.data).toEqual(flat);
    }
  });

  it('of weights are finite differences, for every tensor of a block and outside the blocks', async () => {
    const block = [...blockWeightNames(model.weights.blocks[1])].map(([n, at]) => [`blocks.1.${n}`, at] as const);
    const all = new Map([...block, ...globalWeightNames(model.weights)]);
    const tied = model.weights.unembed.weight === model.weights.embed;
    const { gradients } = await backward.weightGradients([PROMPT], OBJECTIVE, { weights: [...all.keys()] });
    for (const [name, location] of all) {
      if (tied && name === 'unembed.weight') continue;
      const before = values(location);
      const move = before.map(() => 1e-3 * random());
      const file = join(folder, 'moved.bin');
      const moved = (sign: number) => {
        // What float32 makes of the step is the step.
        const after = Float32Array.from(before, (value, i) => value + sign * move[i]);
        writeFileSync(file, after);
        const to = { ...location, file, offset: 0 };
        return { after, value: score(run(undefined, replaced(model.weights, location, to)).logits) };
      };
      const [up, down] = [moved(1), moved(-1)];
      const gradient = Array.from(gradients.get(name)?.data ?? []);
      if (tied && name === 'embed') {
        gradients.get('unembed.weight')?.data.forEach((value, i) => {
          gradient[i] += value;
        });
      }
      expect(gradients.get(name)?.dims, name).toEqual(location.shape);
      const step = before.map((__, i) => up.after[i] - down.after[i]);
      const [expected, scale] = along(gradient, [[step]]);
      // The step is larger than at hooks, because weights are float32: its cube shows.
      expect(Math.abs(up.value - down.value - expected) / scale, name).toBeLessThan(1e-4);
    }
  });

  /** The oracle with the frozen parts held at their values on the unedited prompt. */
  const frozen = (parts: readonly FreezablePart[]): Edit => {
    const base = run().activations;
    const linear = new Map<string, Matrix>();
    const at = (name: string, r: number, c: number) => base.get(name)?.[r][c] ?? Number.NaN;
    return (name, value) => {
      const fixed =
        (parts.includes('patterns') && name.includes('hook_pattern')) ||
        (parts.includes('norm-scales') && name.endsWith('hook_scale')) ||
        (parts.includes('mlps') && name.endsWith('hook_mlp_out')) ||
        (parts.includes('attention') && name.endsWith('hook_attn_out'));
      if (fixed) return base.get(name) ?? value;
      if (!parts.includes('mlp-gates')) return value;
      // post = gate × factor, the gate that of the unedited prompt.
      const factorName = config.mlp.gated ? 'hook_pre_linear' : 'hook_pre';
      if (name.endsWith(`mlp.${factorName}`)) linear.set(name, value);
      if (!name.endsWith('hook_post') || !name.includes('.mlp.')) return value;
      const factor = name.replace('hook_post', factorName);
      return value.map((row, r) =>
        row.map((__, c) => (at(name, r, c) / at(factor, r, c)) * (linear.get(factor)?.[r][c] ?? Number.NaN)),
      );
    };
  };

  it.each<FreezablePart[][]>([
    [['patterns']],
    [['norm-scales']],
    [['mlp-gates']],
    [['mlps']],
    [['attention']],
    [['patterns', 'norm-scales']],
  ])('with frozen %s are those of the frozen function', async (parts) => {
    const hooks = ['hook_embed', 'blocks.1.hook_attn_out', 'blocks.1.hook_mlp_out', 'blocks.1.attn.hook_v'];
    const found = await gradientAt(hooks, OBJECTIVE, parts);
    const hold = frozen(parts);
    const directions = draw(PROMPT.length, config.dModel);
    const at = (step: number) =>
      score(run((name, x) => (name === 'hook_embed' ? plus(x, directions, step) : hold(name, x))).logits);
    const [expected, scale] = along(found.get('hook_embed')?.data ?? [], [directions]);
    expect(Math.abs((at(STEP) - at(-STEP)) / (2 * STEP) - expected) / scale).toBeLessThan(TOLERANCE);
    const plain = await gradientAt(['hook_embed']);
    expect(plain.get('hook_embed')?.data).not.toEqual(found.get('hook_embed')?.data);
  });

  it('are exact over any distance once patterns, norm scales and MLP gates are frozen: the model is linear', async () => {
    const parts: readonly FreezablePart[] = ['patterns', 'norm-scales', 'mlp-gates'];
    const hook = 'blocks.1.hook_resid_pre';
    const found = await gradientAt([hook], OBJECTIVE, parts);
    const hold = frozen(parts);
    const far = draw(PROMPT.length, config.dModel);
    const moved = score(run((name, x) => (name === hook ? plus(x, far, 3) : hold(name, x))).logits);
    const [expected, scale] = along(found.get(hook)?.data ?? [], [far]);
    expect(Math.abs((moved - score(run().logits)) / 3 - expected) / scale).toBeLessThan(TOLERANCE);
  });
});
