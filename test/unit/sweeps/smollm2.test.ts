import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import type { GridDocument, PatchSite } from '../../../src/shared/gridDocument.ts';
import { sweep, WORDS } from '../../support/gridContext.ts';
import {
  load,
  maxDelta,
  mechanistCache,
  type Packed,
  readFigures,
  smollm2File,
  unpack,
} from '../reference/referenceFigures.ts';

interface Grids {
  readonly exact: Readonly<Record<string, Packed>>;
  readonly attribution: Readonly<Record<string, Packed>>;
}

interface Paths {
  readonly senders: readonly (readonly [number, number])[];
  readonly receivers: readonly (readonly [number, number])[];
  readonly final: Readonly<Record<'mlpsFrozen' | 'mlpsRecomputed', Packed>>;
  readonly toReceivers: Readonly<Record<'mlpsFrozen' | 'mlpsRecomputed', Readonly<Record<'q' | 'k' | 'v', Packed>>>>;
}

interface Figures {
  readonly tolerance: number;
  readonly prompts: readonly {
    readonly clean: string;
    readonly corrupted: string;
    readonly answer: number;
    readonly foil: number;
    readonly cleanValue: number;
    readonly corruptedValue: number;
    readonly zeroHeads: Packed;
    readonly zeroMlps: Packed;
    readonly patching?: { readonly noising: Grids; readonly denoising: Grids };
    readonly paths?: Paths;
  }[];
  readonly meanHeads: { readonly prompts: readonly number[]; readonly values: Packed };
}

const file = smollm2File();
const { tolerance, prompts, meanHeads } = readFigures<Figures>('interventions-smollm2.json');
const flat = ({ values }: GridDocument) => values.flat().map(Number);
const promptOf = ({ clean, corrupted, answer, foil }: Figures['prompts'][number]) => ({
  ...{ clean, corrupted, answer, foils: [foil] },
});

describe.skipIf(file === null)('sweeps of SmolLM2 against PyTorch', () => {
  let engine: AnalysisEngine;
  beforeAll(async () => {
    engine = await load(file ?? '', mechanistCache(), 2);
  });
  afterAll(async () => {
    await engine.close();
  });

  it('ablates the heads and MLPs of thirteen prompts of three lengths in one sweep', async () => {
    const request = { ...WORDS, analysis: 'ablate' as const, mode: 'zero' as const, prompts: prompts.map(promptOf) };
    const heads = await sweep(engine, { ...request, sites: 'heads' });
    const mlps = await sweep(engine, { ...request, sites: 'mlps' });
    prompts.forEach((figures, item) => {
      const own = ({ byItem }: GridDocument) => byItem.data.filter((_, i) => i % prompts.length === item);
      expect(Math.abs(heads.clean.byItem[item] - figures.cleanValue)).toBeLessThan(tolerance);
      expect(maxDelta(own(heads), unpack(figures.zeroHeads)), figures.clean).toBeLessThan(tolerance);
      expect(maxDelta(own(mlps), unpack(figures.zeroMlps)), figures.clean).toBeLessThan(tolerance);
    });
  }, 180_000);

  it('ablates heads with their mean over eight prompts', async () => {
    const request = { ...WORDS, analysis: 'ablate' as const, mode: 'mean' as const, sites: 'heads' as const };
    const own = meanHeads.prompts.map((index) => promptOf(prompts[index]));
    const { byItem } = await sweep(engine, { ...request, prompts: own });
    const [layers, heads, items] = byItem.dims;
    // `[prompt, layer, head]` in the file.
    const expected = unpack(meanHeads.values);
    const turned = Float32Array.from(byItem.data, (_, i) => {
      const [item, cell] = [Math.floor(i / (layers * heads)), i % (layers * heads)];
      return byItem.data[cell * items + item];
    });
    expect(maxDelta(turned, expected)).toBeLessThan(tolerance);
  }, 180_000);

  it('patches activations', async () => {
    // The other prompts' grids cost minutes; the random models have them all.
    for (const figures of prompts.slice(0, 1)) {
      for (const direction of ['noising', 'denoising'] as const) {
        for (const [hook, expected] of Object.entries(figures.patching?.[direction].exact ?? {})) {
          const site = hook.replace('hook_', '') as PatchSite;
          const request = { ...WORDS, analysis: 'patch' as const, direction, site, prompts: [promptOf(figures)] };
          const document = await sweep(engine, request);
          expect(Math.abs((document.corrupted?.mean ?? Number.NaN) - figures.corruptedValue)).toBeLessThan(tolerance);
          expect(maxDelta(flat(document), unpack(expected)), `${figures.clean} ${site}`).toBeLessThan(tolerance);
        }
      }
    }
  }, 300_000);

  it('patches paths between heads of two layers', async () => {
    const [figures] = prompts;
    const { paths } = figures;
    if (paths === undefined) throw new Error('The reference has no paths.');
    for (const [mlps, key] of [
      ['frozen', 'mlpsFrozen'],
      ['recomputed', 'mlpsRecomputed'],
    ] as const) {
      const request = { ...WORDS, analysis: 'path-patch' as const, direction: 'noising' as const, mlps };
      const final = await sweep(engine, { ...request, receivers: 'final', prompts: [promptOf(figures)] });
      expect(maxDelta(flat(final), unpack(paths.final[key]))).toBeLessThan(tolerance);
      for (const input of ['q', 'k', 'v'] as const) {
        const receivers = paths.receivers.map(([layer, head]) => ({ layer, head, input }));
        const document = await sweep(engine, { ...request, receivers, prompts: [promptOf(figures)] });
        const values = paths.senders.map(([layer, head]) => document.values[layer][head] ?? Number.NaN);
        expect(maxDelta(values, unpack(paths.toReceivers[key][input])), `${input} ${mlps}`).toBeLessThan(tolerance);
      }
    }
  }, 300_000);
});
