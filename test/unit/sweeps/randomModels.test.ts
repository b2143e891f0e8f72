import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { openModelFiles } from '../../../src/core/models/openModelFiles.ts';
import type { GridDocument, GridPrompt, PatchSite } from '../../../src/shared/gridDocument.ts';
import { sweep, WORDS, wordEngine, wordsOf } from '../../support/gridContext.ts';
import {
  maxDelta,
  type Packed,
  REFERENCE,
  randomModelNames,
  readFigures,
  unpack,
} from '../reference/referenceFigures.ts';

interface Figures {
  readonly tolerance: number;
  readonly ids: readonly number[];
  readonly otherIds: readonly number[];
  readonly answer: number;
  readonly foil: number;
  readonly clean: number;
  readonly corrupted: number;
  readonly sweeps: {
    readonly zeroHeads: Packed;
    readonly zeroMlps: Packed;
    readonly meanHeads: Packed;
    readonly noising: Grids;
    readonly denoising: Grids;
  };
}

interface Grids {
  readonly exact: Readonly<Record<string, Packed>>;
  readonly attribution: Readonly<Record<string, Packed>>;
  readonly paths: Readonly<Record<string, Packed>> & {
    readonly senders: readonly (readonly [number, number])[];
    readonly receivers: readonly (readonly [number, number])[];
  };
}

const SITES: readonly PatchSite[] = [
  ...(['resid_pre', 'resid_mid', 'resid_post', 'attn_out', 'mlp_out'] as const),
  ...(['z', 'q', 'k', 'v', 'pattern'] as const),
];

const flat = ({ values }: GridDocument) => values.flat().map(Number);

describe.each(randomModelNames())('sweeps of %s against PyTorch', (name) => {
  const figures = readFigures<Figures>(`interventions-${name}.json`);
  const { tolerance, answer, foil, sweeps } = figures;
  let cache: string;
  let engine: AnalysisEngine;
  const prompt: GridPrompt = {
    clean: wordsOf(figures.ids),
    corrupted: wordsOf(figures.otherIds),
    answer,
    foils: [foil],
  };

  beforeAll(async () => {
    cache = mkdtempSync(join(tmpdir(), 'mechanist-sweeps-'));
    const options = { ref: name, cacheDir: cache, availableBytes: Number.MAX_SAFE_INTEGER };
    engine = await wordEngine(await openModelFiles(join(REFERENCE, 'models', name), options));
  });
  afterAll(async () => {
    await engine.close();
    rmSync(cache, { recursive: true });
  });

  it('ablates heads and MLPs', async () => {
    const request = { ...WORDS, analysis: 'ablate' as const, mode: 'zero' as const, prompts: [prompt] };
    const heads = await sweep(engine, { ...request, sites: 'heads' });
    expect(Math.abs(heads.clean.mean - figures.clean)).toBeLessThan(tolerance);
    expect(maxDelta(flat(heads), unpack(sweeps.zeroHeads))).toBeLessThan(tolerance);
    const mlps = await sweep(engine, { ...request, sites: 'mlps' });
    expect(maxDelta(flat(mlps), unpack(sweeps.zeroMlps))).toBeLessThan(tolerance);
  });

  it.each(['noising', 'denoising'] as const)('patches activations, %s', async (direction) => {
    for (const site of SITES) {
      const expected = sweeps[direction].exact[`hook_${site}`];
      const request = { ...WORDS, analysis: 'patch' as const, direction, prompts: [prompt] };
      const asked = sweep(engine, { ...request, site });
      if (expected === undefined) {
        await expect(asked).rejects.toMatchObject({ code: 'bad-input' });
        continue;
      }
      const document = await asked;
      expect(Math.abs((document.corrupted?.mean ?? Number.NaN) - figures.corrupted)).toBeLessThan(tolerance);
      expect(maxDelta(flat(document), unpack(expected)), site).toBeLessThan(tolerance);
    }
  });

  it.each(['noising', 'denoising'] as const)('patches paths, %s', async (direction) => {
    const { paths } = sweeps[direction];
    const request = { ...WORDS, analysis: 'path-patch' as const, direction, prompts: [prompt] };
    for (const mlps of ['frozen', 'recomputed'] as const) {
      const final = await sweep(engine, { ...request, receivers: 'final', mlps });
      expect(maxDelta(flat(final), unpack(paths[`final, MLPs ${mlps}`]))).toBeLessThan(tolerance);
      for (const input of ['q', 'k', 'v'] as const) {
        const receivers = paths.receivers.map(([layer, head]) => ({ layer, head, input }));
        const document = await sweep(engine, { ...request, receivers, mlps });
        const values = paths.senders.map(([layer, head]) => document.values[layer][head] ?? Number.NaN);
        expect(maxDelta(values, unpack(paths[`${input}, MLPs ${mlps}`])), `${input} ${mlps}`).toBeLessThan(tolerance);
      }
    }
  });

  it.each(['noising', 'denoising'] as const)('estimates patching from one backward pass, %s', async (direction) => {
    for (const site of SITES) {
      const expected = sweeps[direction].attribution[`hook_${site}`];
      if (expected === undefined) continue;
      const request = { ...WORDS, analysis: 'patch' as const, direction, prompts: [prompt], site };
      const document = await sweep(engine, { ...request, method: 'attribution' });
      expect(maxDelta(flat(document), unpack(expected)), site).toBeLessThan(2 * tolerance);
      expect(document.exact.flat()).not.toContain(true);
    }
  });

  it('screens: estimates all cells, runs the largest', async () => {
    const request = { ...WORDS, analysis: 'ablate' as const, mode: 'zero' as const, sites: 'heads' as const };
    const document = await sweep(engine, { ...request, prompts: [prompt], method: 'screened', verifyTop: 5 });
    const expected = unpack(sweeps.zeroHeads);
    const run = document.exact.flat();
    expect(run.filter(Boolean)).toHaveLength(5);
    flat(document).forEach((value, i) => {
      if (run[i]) expect(Math.abs(value - expected[i])).toBeLessThan(tolerance);
    });
    expect(document.complete).toBe(true);
    expect(document.screening).toMatchObject({ verified: 5, top: 5 });
  });
});
