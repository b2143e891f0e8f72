import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalysisEngine } from '../../../src/core/analyses/analysisEngine.ts';
import { derangement } from '../../../src/core/engine/interventions/replacement.ts';
import type {
  AblateRequest,
  GridDocument,
  GridPrompt,
  PatchRequest,
  PatchSite,
} from '../../../src/shared/gridDocument.ts';
import type { Intervention } from '../../../src/shared/intervention.ts';
import { seededRandom } from '../../../src/shared/statistics.ts';
import { sweep, WORDS, wordEngine, wordsOf } from '../../support/gridContext.ts';
import { randomModel, SHAPES } from '../../support/randomModel.ts';

/** Float32 sums in another order. */
const TOLERANCE = 2e-4;

describe.each(Object.entries(SHAPES))('shortcuts of %s give the numbers of plain runs', (name, config) => {
  const { nLayers, nHeads, nKeyValueHeads, dVocab } = config;
  let engine: AnalysisEngine;
  let remove: () => void;

  beforeAll(async () => {
    const random = randomModel(config, 11);
    remove = random.remove;
    engine = await wordEngine(random.model);
  });
  afterAll(async () => {
    await engine.close();
    remove();
  });

  interface Setting {
    readonly clean: number[][];
    readonly corrupted: number[][];
    readonly prompts: GridPrompt[];
    readonly position: number;
    /** Where the prompts of a pair part. */
    readonly part: number;
    readonly answer: number;
    readonly foil: number;
  }

  /** Prompts of one length, that share a beginning with their partners, read at a random position. */
  function setting(seed: number, count: number): Setting {
    const random = seededRandom(seed);
    const length = 3 + random.below(7);
    const part = random.below(length);
    const clean = Array.from({ length: count }, () => Array.from({ length }, () => random.below(dVocab)));
    const corrupted = clean.map((ids) => ids.map((id, pos) => (pos < part ? id : random.below(dVocab))));
    const position = random.below(length);
    const answer = random.below(dVocab);
    const foil = (answer + 1 + random.below(dVocab - 1)) % dVocab;
    const prompts = clean.map((ids, i) => ({
      ...{ clean: wordsOf(ids), corrupted: wordsOf(corrupted[i]), answer, foils: [foil] },
      position: position - (random.below(2) === 0 ? 0 : length),
    }));
    return { clean, corrupted, prompts, position, part, answer, foil };
  }

  /** The metric of every prompt by a whole run with interventions. */
  async function plain(
    { position, answer, foil }: Setting,
    tokens: readonly number[][],
    interventions: readonly Intervention[],
    source?: readonly number[][],
  ): Promise<number[]> {
    const runs = source && { source };
    const result = await engine.runner.runWith(tokens, { interventions, ...(runs && { runs }) });
    const { data } = await result.logits({ positions: [position], columns: [answer, foil] });
    return tokens.map((_, i) => data[2 * i] - data[2 * i + 1]);
  }

  function expectCell(document: GridDocument, row: number, column: number, expected: readonly number[]): void {
    const items = expected.length;
    const from = (row * document.axes.columns.labels.length + column) * items;
    expected.forEach((value, i) => {
      expect(Math.abs(document.byItem.data[from + i] - value), `L${row}.${column} of ${name}`).toBeLessThan(TOLERANCE);
    });
  }

  it.each([1, 2])('ablations, setting %i', async (seed) => {
    const at = setting(seed, 3);
    const request: Omit<AblateRequest, 'sites' | 'mode'> = { ...WORDS, analysis: 'ablate', prompts: at.prompts, seed };
    const prompts = at.prompts.map(({ corrupted: _corrupted, ...rest }) => rest);
    const layer = seed % nLayers;
    for (const mode of ['zero', 'mean', 'resample'] as const) {
      const change = (site: Intervention['at']): Intervention => {
        if (mode === 'zero') return { at: site, kind: 'zero' };
        if (mode === 'mean') return { at: site, kind: 'mean', over: 'batch' };
        return { at: site, kind: 'patch', from: { run: 'source', items: derangement(3, seed) } };
      };
      const run = (site: Intervention['at']) => plain(at, at.clean, [change(site)], at.clean);
      // A little memory: several batches, and unchanged runs that are made again.
      const heads = await sweep(engine, { ...request, prompts, sites: 'heads', mode });
      const head = (seed * 3) % nHeads;
      expectCell(heads, layer, head, await run({ hook: `blocks.${layer}.attn.hook_z`, heads: [head] }));
      const mlps = await sweep(engine, { ...request, prompts, sites: 'mlps', mode });
      expectCell(mlps, layer, 0, await run({ hook: `blocks.${layer}.hook_mlp_out` }));
      const neurons = await sweep(engine, { ...request, prompts, sites: 'neurons', mode, layer });
      expectCell(neurons, 0, 7, await run({ hook: `blocks.${layer}.mlp.hook_post`, neurons: [7] }));
      const positions = await sweep(engine, { ...request, prompts, sites: 'positions', mode });
      for (const position of [0, at.position]) {
        expectCell(
          positions,
          layer,
          position,
          await run({ hook: `blocks.${layer}.hook_resid_pre`, positions: [position] }),
        );
      }
    }
  });

  it.each([3, 4])('patches, setting %i', async (seed) => {
    const at = setting(seed, 2);
    const request: Omit<PatchRequest, 'site'> = { ...WORDS, analysis: 'patch', prompts: at.prompts };
    const layer = seed % nLayers;
    const sites: PatchSite[] = ['resid_pre', 'resid_post', 'attn_out', 'mlp_out', 'z', 'q', 'k', 'v', 'pattern'];
    for (const direction of ['denoising', 'noising'] as const) {
      const [base, source] = direction === 'denoising' ? [at.corrupted, at.clean] : [at.clean, at.corrupted];
      const run = (site: Intervention['at']) =>
        plain(at, base, [{ at: site, kind: 'patch', from: { run: 'source' } }], source);
      for (const site of sites) {
        const document = await sweep(engine, { ...request, site, direction });
        const byHead = site.length === 1 || site === 'pattern';
        const hook = `blocks.${layer}.${byHead ? 'attn.' : ''}hook_${site}`;
        const columns = byHead ? [0, (site === 'k' || site === 'v' ? nKeyValueHeads : nHeads) - 1] : [0, at.position];
        for (const column of columns) {
          const place = byHead ? { hook, heads: [column] } : { hook, positions: [column] };
          expectCell(document, layer, column, await run(place));
        }
        if (byHead) continue;
        const whole = await sweep(engine, { ...request, site, direction, byPosition: false });
        expectCell(whole, layer, 0, await run({ hook }));
      }
    }
  });

  it('patches heads by position', async () => {
    // Positions between the parting of the prompts and the answer: there a change has somewhere to go.
    let seed = 5;
    let at = setting(seed, 2);
    while (at.position < at.part + 3) {
      seed += 1;
      at = setting(seed, 2);
    }
    const request: Omit<PatchRequest, 'site'> = { ...WORDS, analysis: 'patch', prompts: at.prompts, byPosition: true };
    const layer = seed % (nLayers - 1);
    const positions = [...Array(at.position + 1).keys()].slice(at.part);
    for (const direction of ['denoising', 'noising'] as const) {
      const [base, source] = direction === 'denoising' ? [at.corrupted, at.clean] : [at.clean, at.corrupted];
      for (const site of ['z', 'q', 'k', 'v', 'pattern'] as const) {
        const last = (site === 'k' || site === 'v' ? nKeyValueHeads : nHeads) - 1;
        // The last layer first: rows are in the order in which they are named.
        const heads = [
          { layer: nLayers - 1, head: 0 },
          { layer, head: last },
        ];
        const document = await sweep(engine, { ...request, site, direction, heads });
        for (const [row, { layer: own, head }] of heads.entries()) {
          for (const position of positions) {
            const place = { hook: `blocks.${own}.attn.hook_${site}`, heads: [head], positions: [position] };
            const change = { at: place, kind: 'patch', from: { run: 'source' } } as const;
            expectCell(document, row, position, await plain(at, base, [change], source));
          }
        }
      }
    }
  });

  it('estimates of a head by position add up to the head’s', async () => {
    const at = setting(7, 2);
    const request: Omit<PatchRequest, 'site'> = { ...WORDS, analysis: 'patch', prompts: at.prompts };
    const layer = 1 % nLayers;
    for (const site of ['z', 'q', 'k', 'v', 'pattern'] as const) {
      const whole = await sweep(engine, { ...request, site, method: 'attribution' });
      const by = { ...request, site, byPosition: true, heads: { layer } };
      const parts = await sweep(engine, { ...by, method: 'attribution' });
      const base = whole.corrupted?.mean ?? Number.NaN;
      parts.values.forEach((row, head) => {
        const sum = row.reduce<number>((total, value) => total + (value ?? Number.NaN) - base, base);
        expect(Math.abs(sum - (whole.values[layer][head] ?? Number.NaN)), `${site} of H${head}`).toBeLessThan(
          TOLERANCE,
        );
      });
      const screened = await sweep(engine, { ...by, method: 'screened', verifyTop: 3 });
      const exact = await sweep(engine, by);
      screened.exact.forEach((row, r) => {
        row.forEach((run, c) => {
          const value = run ? exact.values[r][c] : parts.values[r][c];
          expect(screened.values[r][c]).toBeCloseTo(value ?? Number.NaN, 4);
        });
      });
    }
  });
});
