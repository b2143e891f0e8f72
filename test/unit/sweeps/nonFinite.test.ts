import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { SweepStack } from '../../../src/core/engine/sweeps/sweepStack.ts';
import type { OpenModel } from '../../../src/core/models/openModel.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import { MechanistError } from '../../../src/shared/errors.ts';
import type { AblateRequest, GridCell, GridRequest } from '../../../src/shared/gridDocument.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { sweep, WORDS, wordEngine, wordsOf } from '../../support/gridContext.ts';
import { overwriteTensor } from '../../support/overwriteTensor.ts';
import { normals, randomModel, SHAPES } from '../../support/randomModel.ts';
import { REFERENCE } from '../reference/referenceFigures.ts';

const TOKENS = [
  [3, 9, 4, 20, 7],
  [8, 1, 2, 2, 40],
];
const LENGTH = TOKENS[0].length;
const prompts = TOKENS.map((ids) => ({ clean: wordsOf(ids), answer: 5, foils: [6] }));
const zeroHeads: AblateRequest = { ...WORDS, analysis: 'ablate', sites: 'heads', mode: 'zero', prompts };

async function failure(work: Promise<unknown>): Promise<MechanistError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof MechanistError) return error;
  throw new Error(`expected a MechanistError, got ${String(error)}`);
}

describe('a sweep on a damaged model', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mechanist-damaged-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['blocks.1.mlp.hook_pre', ({ weights }: OpenModel) => weights.blocks[1].mlp.in.weight, Number.NaN],
    ['blocks.0.hook_attn_out', ({ weights }: OpenModel) => weights.blocks[0].attention.out.weight, Infinity],
    ['hook_embed', ({ weights }: OpenModel) => weights.embed, Number.NaN],
  ])('names %s, before the first cell', async (hook, weightOf, value) => {
    const copy = join(folder, hook);
    cpSync(join(REFERENCE, 'models/gpt2'), copy, { recursive: true });
    const options = { ref: 'gpt2', cacheDir: join(folder, 'cache'), availableBytes: Number.MAX_SAFE_INTEGER };
    const model = await openModelFiles(copy, options);
    const first = hook === 'hook_embed' ? 9 * model.config.dModel : 0;
    await overwriteTensor(weightOf(model), Float32Array.of(value), first);
    const engine = await wordEngine(model);
    const cells: GridCell[] = [];
    const patch: GridRequest = {
      ...{ ...WORDS, analysis: 'patch', site: 'z' },
      prompts: prompts.map((prompt) => ({ ...prompt, corrupted: prompt.clean })),
    };
    for (const request of [zeroHeads, patch, { ...patch, method: 'attribution' as const }]) {
      const error = await failure(sweep(engine, request, { onCells: (some) => cells.push(...some) }));
      expect(error).toMatchObject({ code: 'model-corrupt', data: { hook } });
      expect(error.message).toContain(hook);
    }
    expect(cells).toEqual([]);
    expect((await failure(engine.runner.runWith(TOKENS, { interventions: [] }))).data.hook).toBe(hook);
    await engine.close();
  });
});

describe.each([1, 2])('a sweep whose cells overflow in layer %i', (layer) => {
  const { model, remove } = randomModel(SHAPES.qwen2, 4);
  const { nLayers, nHeads, dModel } = model.config;
  const normed = `blocks.${layer}.ln2.hook_normalized`;
  const post = `blocks.${layer}.mlp.hook_post`;
  let engine: AnalysisEngine;

  const zeroHead = (row: number, head: number): Intervention => ({
    kind: 'zero',
    at: { hook: `blocks.${row}.attn.hook_z`, heads: [head] },
  });

  /** A neuron that is off in the unchanged runs and beyond float32 at an answer where some, but not all, heads are missing. */
  beforeAll(async () => {
    engine = await wordEngine(model);
    const read = async (interventions: readonly Intervention[]) => {
      const { activations } = await engine.runner.runWith(TOKENS, { interventions, hooks: [normed] });
      return activations.get(normed)?.data ?? new Float32Array(0);
    };
    const clean = await read([]);
    const [first, below, own] = [
      await read([zeroHead(0, 0)]),
      await read([zeroHead(0, nHeads - 1)]),
      await read([zeroHead(layer, nHeads - 1)]),
    ];
    const random = normals(layer);
    const most = (data: Float32Array, direction: Float32Array, step = 1) => {
      let found = Number.NEGATIVE_INFINITY;
      for (let row = (step - 1) * dModel; row < data.length; row += step * dModel) {
        found = Math.max(
          found,
          direction.reduce((sum, d, i) => sum + d * data[row + i], 0),
        );
      }
      return found;
    };
    let direction: Float32Array;
    do {
      direction = Float32Array.from({ length: dModel }, random);
    } while (
      most(clean, direction) > -0.01 ||
      most(first, direction) > -0.01 ||
      Math.max(most(below, direction, LENGTH), most(own, direction, LENGTH)) < 0.01
    );
    const { gate, in: up } = model.weights.blocks[layer].mlp;
    const gain = await engine.runner.files.tensor(model.weights.blocks[layer].norm2.gain);
    if (gate === null) throw new Error('The MLP has no gate.');
    await overwriteTensor(
      gate.weight,
      direction.map((d, i) => (1e30 * d) / gain[i]),
    );
    await overwriteTensor(up.weight, new Float32Array(dModel).fill(1e30));
    await engine.close();
    engine = await wordEngine(model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  it('keeps the cells before, and names cell and hook as the plain run does', async () => {
    const cells: GridCell[] = [];
    const seen: number[] = [];
    const error = await failure(
      sweep(
        engine,
        zeroHeads,
        { onCells: (some) => cells.push(...some) },
        { onProgress: ({ done }) => seen.push(done) },
      ),
    );
    expect(error).toMatchObject({ code: 'model-corrupt', data: { hook: post } });
    expect(error.message).toContain('cells that are done are kept');
    const [, row, head] = /^L(\d+)\.H(\d+)$/.exec(String(error.data.cell)) ?? [];
    const plain = await failure(
      engine.runner.runWith(TOKENS, { interventions: [zeroHead(Number(row), Number(head))] }),
    );
    expect(plain).toMatchObject({ code: 'bad-input', data: { hook: post } });
    expect(cells.length).toBeGreaterThan(0);
    expect(cells.length).toBeLessThan(nLayers * nHeads);
    expect(seen.at(-1)).toBe(cells.length);
    for (const { byItem } of cells) for (const value of byItem) expect(Number.isFinite(value)).toBe(true);
  });

  it('names the hook also where only parts of the layer are run', async () => {
    const stack = new SweepStack(engine.runner);
    const { dHead } = model.config;
    const at = (value: number, rows: number) => new Float32Array(rows * dHead).fill(value);
    const attend = (q: number, v: number) =>
      stack.attend(layer, 1, { q: at(q, 2), k: at(1e20, 2), v: at(v, 2) }, [0, 1], {});
    expect((await failure(attend(1e20, 1))).data.hook).toBe(`blocks.${layer}.attn.hook_attn_scores`);
    expect((await failure(attend(0, Number.POSITIVE_INFINITY))).data.hook).toBe(`blocks.${layer}.attn.hook_z`);
    const rows = new Float32Array(2 * dModel).fill(Number.NaN);
    expect((await failure(stack.mlp(layer, rows, {}))).data.hook).toBe(`blocks.${layer}.hook_resid_mid`);
    await stack.release();
  });
});
